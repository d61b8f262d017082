import pytest

from funcrec.report.student import critical, two_sided

# Abramowitz and Stegun, table 26.10.
TABLE = [(1, 12.706), (2, 4.303), (3, 3.182), (7, 2.365), (10, 2.228), (19, 2.093), (30, 2.042), (60, 2.000)]


@pytest.mark.parametrize(("freedom", "t"), TABLE)
def test_tabulated_values(freedom: int, t: float) -> None:
    assert two_sided(t, freedom) == pytest.approx(0.05, rel=1e-3)
    assert critical(0.05, freedom) == pytest.approx(t, abs=6e-4)


def test_ends() -> None:
    assert two_sided(0.0, 7) == 1
    assert 0 <= two_sided(1e6, 8) < 1e-12

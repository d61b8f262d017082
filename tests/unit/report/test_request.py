import pytest

from funcrec.errors import UsageError
from funcrec.report.request import TimeBound, parse_ranges, parse_time_range


def test_ranges_of_goroutines() -> None:
    assert parse_ranges("1,7,20-30") == ((1, 1), (7, 7), (20, 30))


@pytest.mark.parametrize("text", ["", "a", "1,", "5-3", "1-2-3", "-4"])
def test_bad_ranges_are_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_ranges(text)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("1s~1.5s", TimeBound(10**9), TimeBound(1_500_000_000)),
        ("1s+200ms", TimeBound(10**9), TimeBound(1_200_000_000)),
        ("+200ms", TimeBound(0), TimeBound(200_000_000)),
        ("10%~20%", TimeBound(percent=10.0), TimeBound(percent=20.0)),
        ("10%+5%", TimeBound(percent=10.0), TimeBound(percent=15.0)),
        ("1s~", TimeBound(10**9), None),
        ("~50%", None, TimeBound(percent=50.0)),
    ],
)
def test_time_ranges(text: str, start: TimeBound | None, end: TimeBound | None) -> None:
    window = parse_time_range(text)
    assert (window.start, window.end) == (start, end)


@pytest.mark.parametrize("text", ["", "~", "1s", "1~2", "1s+", "1s+10%", "120%~", "x%~", "1s~2parsec"])
def test_bad_time_ranges_are_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_time_range(text)


def test_percentages_are_of_the_length() -> None:
    assert TimeBound(percent=25.0).resolve(2_000) == 500
    assert TimeBound(7).resolve(2_000) == 7

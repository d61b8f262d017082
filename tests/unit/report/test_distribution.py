import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.errors import UsageError
from funcrec.report.distribution import (
    DURATIONS,
    Bin,
    Distribution,
    Scale,
    bins_of,
    distribute,
    linear_scale,
    merge,
    percentile,
)
from funcrec.report.summary import Groups


def distribution_of(values: list[float], scale: Scale | None = None, dtype: str = "") -> Distribution:
    numbers = np.array(values, dtype or (np.int64 if all(isinstance(each, int) for each in values) else np.float64))
    return distribute(Groups(np.zeros(len(values), np.intp), [("f",)]), numbers, np.ones(len(values), bool), scale)


def test_durations_have_ends_that_people_can_read() -> None:
    bins = bins_of(distribution_of([0, 511_999, 512_000, 999_999, 1_000_000, 3 * 10**9], DURATIONS), 0)
    assert bins[0] == Bin(0, 1, 1)
    assert [each for each in bins if each.count and each.low] == [
        Bin(256_000, 512_000, 1),
        Bin(512_000, 1_000_000, 2),
        Bin(1_000_000, 2_000_000, 1),
        Bin(2e9, 4e9, 1),
    ]


def test_octaves_of_whole_numbers() -> None:
    assert bins_of(distribution_of([0, 1, 3, 512, 1023, 1024]), 0)[:3] == [Bin(0, 1, 1), Bin(1, 2, 1), Bin(2, 4, 1)]
    assert bins_of(distribution_of([512, 1023, 1024]), 0) == [Bin(512, 1024, 2), Bin(1024, 2048, 1)]


def test_octaves_between_the_first_and_the_last_are_shown_empty() -> None:
    assert [each.count for each in bins_of(distribution_of([1, 16]), 0)] == [1, 0, 0, 0, 1]


def test_negative_numbers_share_a_bin() -> None:
    assert bins_of(distribution_of([-5, -1, 0, 2]), 0) == [Bin(None, 0, 2), Bin(0, 1, 1), Bin(1, 2, 0), Bin(2, 4, 1)]


def test_octaves_of_fractions() -> None:
    bins = bins_of(distribution_of([0.25, 0.75]), 0)
    assert bins == [Bin(0.25, 0.5, 1), Bin(0.5, 1, 1)]
    assert bins_of(distribution_of([0.0, 0.5]), 0)[0] == Bin(0, 2.0**-19, 1)


def test_linear_bins_and_what_lies_beyond() -> None:
    bins = bins_of(distribution_of([-1, 0, 4, 5, 11, 12, 99], linear_scale(0, 12, 5)), 0)
    assert bins == [Bin(None, 0, 1), Bin(0, 5, 2), Bin(5, 10, 1), Bin(10, 12, 1), Bin(12, None, 2)]


@pytest.mark.parametrize("numbers", [(0, 0, 1), (0, 1, 0), (5, 1, 1), (0, 1e9, 1)])
def test_bins_that_make_no_sense(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError):
        linear_scale(*numbers)


def test_what_is_no_number_is_left_out_and_counted() -> None:
    values = np.array([1.0, np.nan, np.inf, 4.0, 5.0])
    groups = Groups(np.array([0, 0, 0, 0, -1]), [("f",)])
    found = distribute(groups, values, np.array([True, True, True, False, True]), None)
    assert (found.n.tolist(), found.without_value) == ([1], 4)
    assert np.isnan(percentile(distribution_of([]), 0.5)[0])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.one_of(st.integers(-(2**40), 2**40), st.floats(-1e9, 1e9))), max_size=4), st.booleans())
def test_merge_of_parts_is_the_whole(parts: list[list[float]], is_linear: bool) -> None:
    scale = linear_scale(-100, 1000, 7) if is_linear else None
    whole = distribution_of([each for part in parts for each in part], scale, "f8")
    merged = merge([distribution_of([], scale, "f8"), *(distribution_of(part, scale, "f8") for part in parts)])
    assert bins_of(merged, 0) == bins_of(whole, 0)
    assert (merged.n.tolist(), merged.low.tolist(), merged.high.tolist()) == (
        whole.n.tolist(),
        whole.low.tolist(),
        whole.high.tolist(),
    )
    assert np.array_equal(percentile(merged, 0.5), percentile(whole, 0.5), equal_nan=True)

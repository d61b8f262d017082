"""Mergeable totals and histograms by key.

A `Summary` of many calls is small, and the summary of two sets of calls is the merge of their summaries, to the last
bit: that is what lets `stat` and `hist` run over many files as one map and one merge. It knows neither traces nor text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.cells import Cells, cell_at, count_cells, merge_cells
from funcrec.report.exact import BigInts, sum_by, sum_squares_by
from funcrec.report.loglinear import bucket_of, middle

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

Scalar = str | int | float | bool | None
Key = tuple[Scalar, ...]
K = TypeVar("K")

_NONE_YET = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Groups:
    """Which group each of n calls belongs to.

    Attributes:
        codes: intp[n], position in `keys`, -1: the call has no such value and belongs to none.
        keys: one tuple per group, distinct, one element per grouping expression.
    """

    codes: NDArray[np.intp]
    keys: list[Key]


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals of K groups of calls.

    Attributes:
        keys: the K groups, distinct, in any order.
        calls: i64[K], all calls.
        ended: i64[K], those with a known duration; the columns below are about these.
        total_ns, self_ns: i64[K], sums. A call within itself counts twice in `total_ns`.
        min_ns, max_ns: i64[K]; without a known duration the largest i64 and -1.
        squares: K Python integers, sums of squared durations; all 0 unless asked for.
        states: i64[K, len(State)], calls by how they ended.
        errors: i64[K], calls that returned an error; all 0 when no error value was recorded.
        histogram: known durations by log-linear bucket.
        span_ns: recorded time behind the calls; adds up over traces.
        without_key: calls left out because they have no such value.
    """

    keys: list[Key]
    calls: I64
    ended: I64
    total_ns: I64
    self_ns: I64
    min_ns: I64
    max_ns: I64
    squares: BigInts
    states: I64
    errors: I64
    histogram: Cells
    span_ns: int = 0
    without_key: int = 0

    def __len__(self) -> int:
        return len(self.keys)


def summarise(
    groups: Groups,
    duration_ns: I64,
    self_ns: I64,
    state: NDArray[np.uint8],
    *,
    error: NDArray[np.bool_] | None = None,
    spread: bool = False,
    span_ns: int = 0,
) -> Summary:
    """Add up n calls by group.

    Args:
        groups: the group of each call; calls of no group are left out and counted.
        duration_ns: i64[n], -1 where unknown.
        self_ns: i64[n], -1 where unknown.
        state: u8[n], a `State`.
        error: bool[n], the call returned an error.
        spread: add up squares as well, for the standard deviation.
        span_ns: recorded time behind these calls.
    """
    codes, n = groups.codes, len(groups.keys)
    outside = int(np.count_nonzero(codes < 0))
    if outside:
        inside = codes >= 0
        codes, duration_ns, self_ns, state = codes[inside], duration_ns[inside], self_ns[inside], state[inside]
        error = None if error is None else error[inside]
    calls = np.bincount(codes, minlength=n).astype(np.int64)
    states = np.bincount(codes * len(State) + state, minlength=n * len(State)).astype(np.int64)
    errors = np.zeros(n, np.int64) if error is None else np.bincount(codes[error], minlength=n).astype(np.int64)
    known = duration_ns >= 0
    if not known.all():
        codes, duration_ns, self_ns = codes[known], duration_ns[known], self_ns[known]
    least, most = np.full(n, _NONE_YET, np.int64), np.full(n, -1, np.int64)
    np.minimum.at(least, codes, duration_ns)
    np.maximum.at(most, codes, duration_ns)
    return Summary(
        keys=groups.keys,
        calls=calls,
        ended=np.bincount(codes, minlength=n).astype(np.int64),
        total_ns=sum_by(codes, duration_ns, n),
        self_ns=sum_by(codes, np.maximum(self_ns, 0), n),
        min_ns=least,
        max_ns=most,
        squares=sum_squares_by(codes, duration_ns, n) if spread else np.zeros(n, object),
        states=states.reshape(n, len(State)),
        errors=errors,
        histogram=count_cells(codes, bucket_of(duration_ns), n),
        span_ns=span_ns,
        without_key=outside,
    )


def places_of(keys: Iterable[K], place: dict[K, int]) -> NDArray[np.intp]:
    """Where keys stand in `place`; those that it lacks are put behind the others, in their order."""
    return np.array([place.setdefault(key, len(place)) for key in keys], np.intp)


def merge(parts: Sequence[Summary]) -> Summary:
    """The summary of all calls behind `parts`, in the order in which keys first appear."""
    place: dict[Key, int] = {}
    moved = [places_of(part.keys, place) for part in parts]
    n = len(place)

    def added(column: str, shape: tuple[int, ...] = (n,), dtype: type = np.int64) -> NDArray[np.int64]:
        total: NDArray[np.int64] = np.zeros(shape, dtype)
        for part, to in zip(parts, moved, strict=True):
            total[to] += getattr(part, column)  # keys are distinct within a part, so no place is named twice
        return total

    least, most = np.full(n, _NONE_YET, np.int64), np.full(n, -1, np.int64)
    for part, to in zip(parts, moved, strict=True):
        least[to] = np.minimum(least[to], part.min_ns)
        most[to] = np.maximum(most[to], part.max_ns)
    return Summary(
        keys=list(place),
        calls=added("calls"),
        ended=added("ended"),
        total_ns=added("total_ns"),
        self_ns=added("self_ns"),
        min_ns=least,
        max_ns=most,
        squares=added("squares", dtype=object),
        states=added("states", (n, len(State))),
        errors=added("errors"),
        histogram=merge_cells([part.histogram for part in parts], moved),
        span_ns=sum(part.span_ns for part in parts),
        without_key=sum(part.without_key for part in parts),
    )


def percentile_ns(summary: Summary, fraction: float) -> F64:
    """Percentile of the durations of each group, f64[K], NaN without any.

    The duration of rank ceil(fraction * n), within 0.4 %: one that occurred, not one between two.
    """
    n = len(summary)
    result = np.full(n, np.nan)
    have, buckets = cell_at(summary.histogram, summary.ended, fraction)
    result[have] = np.clip(middle(buckets), summary.min_ns[have], summary.max_ns[have])
    return result


def average_ns(summary: Summary) -> F64:
    """Mean duration of each group, f64[K], NaN without any."""
    result = np.full(len(summary), np.nan)
    np.divide(summary.total_ns, summary.ended, out=result, where=summary.ended > 0)
    return result


def deviation_ns(summary: Summary) -> F64:
    """Standard deviation (of a sample, n - 1) of the durations of each group, f64[K]; NaN below two calls.

    Without `spread` nothing is known: NaN, or 0 where all durations are 0.
    """
    result = np.full(len(summary), np.nan)
    for at in np.flatnonzero((summary.ended > 1) & ((summary.squares > 0) | (summary.max_ns == 0))):
        n, total = int(summary.ended[at]), int(summary.total_ns[at])
        result[at] = ((n * int(summary.squares[at]) - total * total) / (n * (n - 1))) ** 0.5
    return result

"""Mergeable distributions of any number by key: bins for people, fine buckets for percentiles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import UsageError
from funcrec.report.cells import Cells, cell_at, count_cells, merge_cells, no_cells
from funcrec.report.loglinear import bucket_of, middle, octave_of
from funcrec.report.summary import Groups, Key, places_of

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

# Fractions smaller than this octave are shown with 0.
_LEAST_OCTAVE = -20
_MOST_BINS = 10_000


@dataclass(frozen=True, slots=True)
class Scale:
    """Bins between given edges (ascending), and one on each side for what lies beyond."""

    edges: tuple[float, ...]

    def bin_of(self, values: F64) -> I64:
        """Bin of each value: -1 below the first edge, else the number of the last edge not above it."""
        return np.searchsorted(np.array(self.edges), values, side="right") - 1

    def ends(self, cell: int) -> tuple[float | None, float | None]:
        """Ends of a bin, None for an open one."""
        top = self.edges[cell + 1] if cell + 1 < len(self.edges) else None
        return (self.edges[cell] if cell >= 0 else None), top


# 1, 2, 4 ... 512 of each unit: doublings with ends that people can read, the last step of a unit a little shorter.
DURATIONS = Scale(
    (0.0, *(2.0**power * unit for unit in (1, 10**3, 10**6) for power in range(10)), *(2.0**k * 1e9 for k in range(34)))
)


@dataclass(frozen=True, slots=True)
class Distribution:
    """How the numbers of K groups are distributed.

    Attributes:
        keys: the K groups, distinct.
        n: i64[K], how many numbers.
        low, high: f64[K], the least and the greatest, inf and -inf of none.
        fine: counts by log-linear bucket.
        bins: counts by bin of `scale`; empty without it.
        scale: the bins asked for; None: octaves, which the fine buckets contain.
        whole: all numbers are integers.
        without_value: calls left out because they have no such value or key.
    """

    keys: list[Key]
    n: I64
    low: F64
    high: F64
    fine: Cells
    bins: Cells
    scale: Scale | None = None
    whole: bool = True
    without_value: int = 0

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Bin:
    """`count` numbers from `low` to below `high`; None is an open end."""

    low: float | None
    high: float | None
    count: int


def linear_scale(low: float, high: float, step: float) -> Scale:
    """Bins of one width from low to high; the last may be narrower.

    Raises:
        UsageError: no width, an end before the beginning, or too many bins.
    """
    if not (step > 0 and high > low):
        raise UsageError("these numbers make no bins", remedy="write LOW,HIGH,STEP with LOW below HIGH: 0,10ms,1ms")
    if (high - low) / step > _MOST_BINS:
        raise UsageError(f"these numbers make more than {_MOST_BINS} bins", remedy="use a larger step")
    count = int(np.ceil((high - low) / step - 1e-9))
    return Scale((*(low + step * number for number in range(count)), high))


def distribute(
    groups: Groups, values: NDArray[np.generic], known: NDArray[np.bool_], scale: Scale | None
) -> Distribution:
    """Count n numbers by group.

    Args:
        groups: the group of each, -1 to leave it out.
        values: n numbers of any type.
        known: bool[n], False for those that are none.
        scale: bins, or None for octaves.
    """
    k = len(groups.keys)
    take = known & (groups.codes >= 0)
    codes, numbers = groups.codes[take], values[take].astype(np.float64)
    take_finite = np.isfinite(numbers)
    if not take_finite.all():
        codes, numbers = codes[take_finite], numbers[take_finite]
    low, high = np.full(k, np.inf), np.full(k, -np.inf)
    np.minimum.at(low, codes, numbers)
    np.maximum.at(high, codes, numbers)
    fine = count_cells(codes, bucket_of(numbers), k)
    bins = count_cells(codes, scale.bin_of(numbers), k) if scale is not None else no_cells()
    whole = values.dtype.kind in "iub" or bool(np.all(numbers == np.floor(numbers)))
    n = np.bincount(codes, minlength=k).astype(np.int64)
    return Distribution(groups.keys, n, low, high, fine, bins, scale, whole, len(values) - len(numbers))


def merge(parts: Sequence[Distribution]) -> Distribution:
    """The distribution of all numbers behind `parts`, which have the same bins; keys in order of appearance."""
    place: dict[Key, int] = {}
    moved = [places_of(part.keys, place) for part in parts]
    k = len(place)
    n, low, high = np.zeros(k, np.int64), np.full(k, np.inf), np.full(k, -np.inf)
    for part, to in zip(parts, moved, strict=True):
        n[to] += part.n
        low[to] = np.minimum(low[to], part.low)
        high[to] = np.maximum(high[to], part.high)
    fine = merge_cells([part.fine for part in parts], moved)
    bins = merge_cells([part.bins for part in parts], moved)
    scale = parts[0].scale if parts else None
    whole, without = all(part.whole for part in parts), sum(part.without_value for part in parts)
    return Distribution(list(place), n, low, high, fine, bins, scale, whole, without)


def percentile(distribution: Distribution, fraction: float) -> F64:
    """The number of rank ceil(fraction * n) of each group within 0.4 %, f64[K], NaN of none."""
    result = np.full(len(distribution), np.nan)
    have, buckets = cell_at(distribution.fine, distribution.n, fraction)
    number = middle(buckets, whole=distribution.whole)
    result[have] = np.clip(number, distribution.low[have], distribution.high[have])
    return result


def bins_of(distribution: Distribution, group: int) -> list[Bin]:
    """Bins of one group from its first to its last count, those without any between them included."""
    scale = distribution.scale
    least = -1 if distribution.whole else _LEAST_OCTAVE  # the bin of 0
    if scale is not None:
        cells, counts = distribution.bins.of(group)
    else:
        buckets, counts = distribution.fine.of(group)
        cells = np.where(buckets < 0, least - 1, np.maximum(octave_of(np.maximum(buckets, 0)), least))
    if len(cells) == 0:
        return []
    first = int(cells[0])
    totals = np.zeros(int(cells[-1]) - first + 1, np.int64)
    np.add.at(totals, cells - first, counts)
    numbered = ((first + at, int(count)) for at, count in enumerate(totals))
    if scale is not None:
        return [Bin(*scale.ends(cell), count) for cell, count in numbered]
    return [Bin(*_octave_edges(cell, least), count) for cell, count in numbered]


def _octave_edges(cell: int, least: int) -> tuple[float | None, float | None]:
    """Ends of an octave; the least one begins at 0, all negative numbers are below it."""
    if cell < least:
        return None, 0.0
    return 0.0 if cell == least else 2.0**cell, 2.0 ** (cell + 1)

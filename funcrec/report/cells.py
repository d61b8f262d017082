"""Sparse counts by (group, cell): what histograms of many groups are made of. They merge exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.report.exact import sum_by

I64 = NDArray[np.int64]

# Up to this many counters a dense table is faster than sorting (and needs at most 128 MB).
_DENSE = 1 << 24


@dataclass(frozen=True, slots=True)
class Cells:
    """m counts, none of them 0: `group`, `cell` and `count` are i64[m], sorted by group, then cell."""

    group: I64
    cell: I64
    count: I64

    def of(self, group: int) -> tuple[I64, I64]:
        """Cells and counts of one group."""
        first, last = np.searchsorted(self.group, [group, group + 1])
        return self.cell[first:last], self.count[first:last]


def no_cells() -> Cells:
    """Counts of nothing."""
    return Cells(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))


def count_cells(codes: NDArray[np.intp], cells: I64, groups: int) -> Cells:
    """Count how often each cell (any integers) occurs in each group (0..groups-1)."""
    if len(cells) == 0:
        return no_cells()
    first = int(cells.min())
    width = int(cells.max()) - first + 1
    flat = codes * width + (cells - first)
    if groups * width <= _DENSE:
        dense = np.bincount(flat, minlength=groups * width)
        pairs = np.flatnonzero(dense)
        counts = dense[pairs]
    else:
        pairs, counts = np.unique(flat, return_counts=True)
    return Cells(pairs // width, pairs % width + first, counts.astype(np.int64))


def merge_cells(parts: Sequence[Cells], moved: Sequence[NDArray[np.intp]]) -> Cells:
    """Add up counts; `moved` has the new number of each group of each part."""
    parts_kept = [(part, to) for part, to in zip(parts, moved, strict=True) if len(part.count)]
    if not parts_kept:
        return no_cells()
    group = np.concatenate([to[part.group] for part, to in parts_kept])
    cell = np.concatenate([part.cell for part, _ in parts_kept])
    count = np.concatenate([part.count for part, _ in parts_kept])
    first = int(cell.min())
    width = int(cell.max()) - first + 1
    pairs, places = np.unique(group * width + (cell - first), return_inverse=True)
    return Cells(pairs // width, pairs % width + first, sum_by(places.astype(np.intp), count, len(pairs)))


def cell_at(cells: Cells, totals: I64, fraction: float) -> tuple[NDArray[np.intp], I64]:
    """The groups that have counts, and in each the cell of rank ceil(fraction * total).

    Args:
        cells: counts by group and cell.
        totals: i64[groups], sum of the counts of each group.
        fraction: 0 to 1.
    """
    have = np.flatnonzero(totals)
    rank = np.maximum(np.ceil(fraction * totals[have] - 1e-9).astype(np.int64), 1)
    before = (np.cumsum(totals) - totals)[have]
    return have, cells.cell[np.searchsorted(np.cumsum(cells.count), before + rank)]

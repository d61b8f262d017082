"""Walks over more calls than are taken at a time."""

import numpy as np

from funcrec.report.grouping import distinct_pairs, encode
from funcrec.report.nesting import by_depth, fold_up, nearest_shown, with_callees

_N = 600_000  # more than two pieces
_RNG = np.random.default_rng(5)


def _tree() -> tuple[np.ndarray, np.ndarray]:
    """Random trees of three levels: parents and depths."""
    parent = np.full(_N, -1, np.int64)
    depth = _RNG.integers(0, 3, _N).astype(np.uint32)
    depth[:3] = 0, 1, 2
    last = [np.maximum.accumulate(np.where(depth == level, np.arange(_N), 0)) for level in (0, 1)]
    for level in (1, 2):
        inner = np.flatnonzero(depth == level)
        parent[inner] = last[level - 1][inner]
    return parent, depth


def test_positions_of_each_depth_ascend() -> None:
    _, depth = _tree()
    levels = by_depth(depth)
    assert [np.array_equal(rows, np.flatnonzero(depth == level)) for level, rows in enumerate(levels)] == [True] * 3
    few = np.array([7, 70_000, 7], np.uint32)
    assert [rows.tolist() for rows in by_depth(few)] == [[0, 2], [1]]


def test_sums_reach_the_outermost_caller() -> None:
    parent, depth = _tree()
    folded = fold_up(np.add, np.ones(_N, np.int64), parent, depth)
    assert folded[depth == 0].sum() == _N
    assert (folded[depth == 2] == 1).all()


def test_the_nearest_shown_caller_is_found_past_hidden_ones() -> None:
    parent, depth = _tree()
    shown = depth != 1
    above = np.where(parent >= 0, parent, 0)
    wanted = np.where(depth == 2, parent[above], parent)
    assert np.array_equal(nearest_shown(parent, shown), wanted)
    nothing = np.zeros(_N, bool)
    assert (nearest_shown(parent, nothing) == -1).all()


def test_callees_are_those_of_marked_callers() -> None:
    parent, depth = _tree()
    marked = (depth == 0) & (np.arange(_N) % 2 == 0)
    found = with_callees(parent, marked)
    outermost = np.arange(_N)
    for _ in range(2):
        outermost = np.where(parent[outermost] >= 0, parent[outermost], outermost)
    assert np.array_equal(found, marked[outermost])


def test_numbers_are_encoded_as_numpy_does() -> None:
    for kind, low in ((np.uint64, 10**12), (np.uint32, 5), (np.int64, -70)):
        numbers = (_RNG.integers(0, 900, _N) + low).astype(kind)
        codes, distinct = encode(numbers)
        assert np.array_equal(distinct, np.unique(numbers))
        assert np.array_equal(distinct[codes], numbers)
        assert distinct.dtype == kind
    pid = _RNG.integers(0, 2, _N).astype(np.uint32)
    goid = _RNG.integers(1, 5, _N).astype(np.uint64)
    assert distinct_pairs(pid, goid) == {(process, number) for process in (0, 1) for number in (1, 2, 3, 4)}

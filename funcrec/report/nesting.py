"""Walks up and down the tree of calls, for all calls at once. A caller's row is always below its callees' rows."""

import numpy as np
from numpy.typing import NDArray

from funcrec.report.columns import Mask

Index = NDArray[np.int64]


def with_callees(parent: Index, marked: Mask) -> Mask:
    """Return the marked calls and everything called by them, directly or not."""
    # One more row stands for "no caller": it is never marked and its own caller.
    above = np.append(np.where(parent < 0, len(parent), parent), len(parent))
    result = np.append(marked, False)
    while True:
        # After k rounds `above` is the caller 2**k levels up, and all nearer ones have been looked at.
        result |= result[above]
        higher = above[above]
        if np.array_equal(higher, above):
            return result[:-1]
        above = higher


def with_callers(parent: Index, marked: Mask) -> Mask:
    """Return the marked calls and everything that leads to them."""
    result = marked.copy()
    rows = np.flatnonzero(marked)
    while len(rows):
        rows = parent[rows]
        rows = np.unique(rows[rows >= 0])
        rows = rows[~result[rows]]  # their callers are marked already
        result[rows] = True
    return result


def nearest_shown(parent: Index, shown: Mask) -> Index:
    """Return the nearest shown caller of every call, -1 for none."""
    if shown.all():
        return parent
    none = len(parent)
    above = np.append(np.where(parent < 0, none, parent), none)
    # A shown call leads to itself, another one to its caller; following twice as far each round ends at a shown one.
    lead = np.where(np.append(shown, True), np.arange(none + 1), above)
    while True:
        further = lead[lead]
        if np.array_equal(further, lead):
            break
        lead = further
    result = lead[above[:-1]]
    return np.where(result == none, -1, result)


def levels(parent: Index, depth: NDArray[np.uint32], rows: Index) -> NDArray[np.int64]:
    """Return the number of callers of each row, counted over `parent` (which must lead to rows among `rows` or to -1).

    Args:
        parent: caller of every call.
        depth: any number that is larger in a callee than in its caller.
        rows: the calls asked for, ascending.
    """
    result = np.zeros(len(parent) + 1, dtype=np.int64)
    result[-1] = -1  # what -1 reads
    for level in by_depth(depth[rows]):
        here = rows[level]
        result[here] = result[parent[here]] + 1
    return result[rows]


def by_depth(depth: NDArray[np.uint32]) -> list[Index]:
    """Return the positions of each depth that occurs, from the outermost inwards; positions ascend within a depth."""
    if len(depth) == 0:
        return []
    # Sixteen bits are sorted by counting.
    order = np.argsort(depth.astype(np.uint16) if int(depth.max()) < 1 << 16 else depth, kind="stable")
    ordered = depth[order]
    return np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1)

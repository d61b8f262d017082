"""Walks up and down the tree of calls, for all calls at once. A caller's row is always below its callees' rows."""

import operator
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.columns import Mask

Index = NDArray[np.int64]
_CHUNK = 1 << 18


def with_callees(parent: Index, marked: Mask) -> Mask:
    """Return the marked calls and everything called by them, directly or not."""
    # One more row stands for "no caller", which -1 reads: it is never marked and its own caller.
    above = _narrow(len(parent))
    above[:-1] = parent
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
    # A shown call leads to itself, another one to its caller; following twice as far each round ends at a shown one.
    # The last place is "no caller", which -1 reads as well.
    lead = _narrow(none)
    hidden = np.flatnonzero(~shown)
    lead[hidden] = parent[hidden]
    while True:
        further = lead[lead[hidden]]
        if np.array_equal(further, lead[hidden]):
            break
        lead[hidden] = further
    del hidden, further
    result = lead[parent].astype(np.int64)
    result[result == none] = -1
    return result


def _narrow(n: int) -> NDArray[Any]:
    """0 to n, in 32 bits where these are enough."""
    return np.arange(n + 1, dtype=np.int32 if n < 1 << 31 else np.int64)


def levels(parent: Index, depth: NDArray[np.uint32], rows: Index) -> NDArray[np.int64]:
    """Return the number of callers of each row, counted over `parent` (which must lead to rows among `rows` or to -1).

    Args:
        parent: caller of every call.
        depth: any number that is larger in a callee than in its caller.
        rows: the calls asked for, ascending.
    """
    if _is_deep(depth):
        numbers = array("q", [-1]) * (len(parent) + 1)  # the last is what -1 reads
        for row, above in zip(array("q", rows.tobytes()), array("q", parent[rows].tobytes()), strict=True):
            numbers[row] = numbers[above] + 1
        return np.frombuffer(numbers, dtype=np.int64)[rows]
    result = np.zeros(len(parent) + 1, dtype=np.int64)
    result[-1] = -1
    for level in by_depth(depth[rows]):
        for part in _slices(level):
            here = rows[part]
            result[here] = result[parent[here]] + 1
    return result[rows]


def fold_up(ufunc: np.ufunc, values: NDArray[Any], parent: Index, depth: NDArray[np.uint32]) -> NDArray[Any]:
    """Combine the value of every call with those of everything that it called, directly or not.

    Args:
        ufunc: np.add or np.maximum.
        values: one per call.
        parent, depth: of the calls; a callee is deeper than its caller.
    """
    result = values.copy()
    if _is_deep(depth):
        combine: Callable[[Any, Any], Any] = operator.add if ufunc is np.add else max
        # Arrays, since lists of that many numbers take five times the memory.
        folded, callers = array(result.dtype.char, result.tobytes()), array("q", parent.tobytes())
        for row in range(len(folded) - 1, -1, -1):
            if callers[row] >= 0:
                folded[callers[row]] = combine(folded[callers[row]], folded[row])
        return np.frombuffer(folded, dtype=values.dtype)
    for level in reversed(by_depth(depth)):
        for part in _slices(level):
            callers_here = parent[part]
            inner = np.flatnonzero(callers_here >= 0)
            ufunc.at(result, callers_here[inner], result[part[inner]])
    return result


def _is_deep(depth: NDArray[np.uint32]) -> bool:
    """True when there are so many levels, for so few calls, that going level by level costs more than call by call."""
    return len(depth) > 0 and int(depth.max()) > 1000 + len(depth) // 100


def _slices(rows: Index) -> Iterator[Index]:
    """Some rows at a time, so that what is made of them takes little room."""
    return (rows[low : low + _CHUNK] for low in range(0, len(rows), _CHUNK))


def by_depth(depth: NDArray[np.uint32]) -> list[Index]:
    """Return the positions of each depth that occurs, from the outermost inwards; positions ascend within a depth."""
    if len(depth) == 0:
        return []
    high = int(depth.max())
    if high >= 1 << 16:
        order = np.argsort(depth, kind="stable")
        ordered = depth[order]
        return np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1)
    # Some at a time, each put behind those before it: sorting all at once takes twice the room. numpy sorts sixteen
    # bits by counting.
    parts = [depth[low : low + _CHUNK].astype(np.uint16) for low in range(0, len(depth), _CHUNK)]
    counts = [np.bincount(part, minlength=high + 1) for part in parts]
    ends = np.cumsum(sum(counts))
    free = np.append(0, ends[:-1])
    order = np.empty(len(depth), np.int64)
    for number, (part, count) in enumerate(zip(parts, counts, strict=True)):
        place = np.repeat(free - np.cumsum(count) + count, count) + np.arange(len(part))
        order[place] = np.argsort(part, kind="stable") + number * _CHUNK
        free += count
    return [level for level in np.split(order, ends[:-1]) if len(level)]

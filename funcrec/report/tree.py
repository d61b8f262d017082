"""Calls to merged trees: one node for every path of functions, top-down from the roots or bottom-up from a function."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from funcrec.report.columns import Mask
from funcrec.report.exact import sum_by
from funcrec.report.filters import Selection
from funcrec.report.grouping import by_label, encode
from funcrec.report.labels import function_names
from funcrec.report.nesting import levels, nearest_shown, with_callees
from funcrec.report.request import Names
from funcrec.report.summary import places_of

I64 = NDArray[np.int64]

MAX_LEVELS = 1000  # of a tree: more can be neither drawn nor read, and is the depth of a recursion


@dataclass(frozen=True, slots=True)
class Tree:
    """N nodes, every parent before its children.

    Attributes:
        names: of functions. code: i64[N], position of each node's name there.
        parent: i64[N], node of the caller (in a tree of callers: of the function called), -1 for roots.
        calls: i64[N]; ended: i64[N], those with a known duration.
        total_ns, self_ns: i64[N], sums of the known ones.
    """

    names: list[str]
    code: I64
    parent: I64
    calls: I64
    ended: I64
    total_ns: I64
    self_ns: I64

    def __len__(self) -> int:
        return len(self.code)

    @property
    def func(self) -> list[str]:
        """Name of the function of each node."""
        return [self.names[each] for each in self.code.tolist()]


@dataclass(frozen=True, slots=True)
class Frames:
    """The calls shown, n of them, callers before the calls they made.

    Attributes:
        code: intp[n], position in `names`.
        names: function names.
        parent: i64[n], position of the nearest shown caller, -1.
        depth: i64[n], number of shown callers.
        duration_ns, self_ns: i64[n], -1 where unknown.
        counted: bool[n], False for callers that belong to another part of the trace.
    """

    code: NDArray[np.intp]
    names: list[str]
    parent: I64
    depth: I64
    duration_ns: I64
    self_ns: I64
    counted: Mask


def frames_of(selection: Selection, names: Names = Names.FULL) -> Frames:
    """The calls shown of a selection, under their nearest shown callers."""
    calls, parents = selection.calls, selection.parents
    rows = np.flatnonzero(selection.mask)
    counted = rows >= selection.since
    whole = selection.is_everything
    start_ns, end_ns, self_ns = (
        column if whole else column[rows] for column in (calls.start_ns, calls.end_ns, calls.self_ns)
    )
    code, labels = by_label(
        calls.function if whole else calls.function[rows], function_names(selection.trace, names).__getitem__
    )
    # The last place, -1, is for those without; everything shown is in its place already.
    place = np.full(0 if whole else len(calls) + 1, -1, np.int64)
    if not whole:
        place[rows] = np.arange(len(rows))
    return Frames(
        code=code,
        names=[str(label) for label in labels],
        parent=parents if whole else place[parents[rows]],
        depth=levels(parents, calls.depth, rows),
        duration_ns=np.where((end_ns >= 0) & counted, end_ns - start_ns, -1),
        self_ns=self_ns,
        counted=counted,
    )


def callees(frames: Frames) -> Tree:
    """Merge all calls top-down: calls with the same path of functions are one node."""
    everything, inside = frames, np.flatnonzero(frames.depth < MAX_LEVELS)
    if len(inside) < len(frames.depth):
        frames = _only(frames, inside)
    order = np.argsort(frames.depth, kind="stable")
    ends = np.cumsum(np.bincount(frames.depth, minlength=1))
    node = np.full(len(order), -1, np.int64)
    parents: list[I64] = []
    codes: list[I64] = []
    count = 0
    for rows in np.split(order, ends[:-1]):
        above = np.where(frames.parent[rows] >= 0, node[frames.parent[rows]], -1)
        found, pairs = encode((above + 1) * len(frames.names) + frames.code[rows])
        node[rows] = found + count
        up, code = np.divmod(pairs.astype(np.int64), max(len(frames.names), 1))
        parents.append(up - 1)
        codes.append(code)
        count += len(pairs)
    if frames is everything:
        return _tree(frames, node.astype(np.intp), np.arange(len(node)), parents, codes)
    # What is deeper counts with the innermost that has a node: as calls and self time, its total time is in there.
    of = np.full(len(everything.depth), -1, np.int64)
    of[inside] = node
    deeper = np.flatnonzero(everything.depth >= MAX_LEVELS)
    of[deeper] = of[nearest_shown(everything.parent, everything.depth < MAX_LEVELS)[deeper]]
    duration_ns = everything.duration_ns.copy()
    duration_ns[deeper] = np.minimum(duration_ns[deeper], 0)
    return _tree(replace(everything, duration_ns=duration_ns), of.astype(np.intp), np.arange(len(of)), parents, codes)


def _only(frames: Frames, rows: I64) -> Frames:
    """Some calls, whose callers are all among them."""
    place = np.full(len(frames.depth) + 1, -1, np.int64)
    place[rows] = np.arange(len(rows))
    return Frames(
        frames.code[rows],
        frames.names,
        place[frames.parent[rows]],
        frames.depth[rows],
        frames.duration_ns[rows],
        frames.self_ns[rows],
        frames.counted[rows],
    )


def callers(frames: Frames, start: I64) -> Tree:
    """Merge the ways that lead to some calls, bottom-up: roots are their functions, children who called.

    Args:
        frames: the calls shown.
        start: positions of the calls to begin with; their counts and times go to every node on their way up.
    """
    rows, at = np.arange(len(start)), start.astype(np.int64)
    above = np.full(len(start), -1, np.int64)
    nodes: list[I64] = []
    members: list[I64] = []
    parents: list[I64] = []
    codes: list[I64] = []
    count = 0
    for _ in range(MAX_LEVELS):
        if len(rows) == 0:
            break
        found, pairs = encode((above + 1) * len(frames.names) + frames.code[at])
        up, code = np.divmod(pairs.astype(np.int64), max(len(frames.names), 1))
        parents.append(up - 1)
        codes.append(code)
        nodes.append(found + count)
        members.append(start[rows])
        above = found + count
        count += len(pairs)
        going = frames.parent[at] >= 0
        rows, above, at = rows[going], above[going], frames.parent[at[going]]
    empty = np.zeros(0, np.int64)
    node = np.concatenate([empty, *nodes]).astype(np.intp)
    return _tree(frames, node, np.concatenate([empty, *members]), parents, codes)


def _tree(frames: Frames, node: NDArray[np.intp], rows: I64, parents: list[I64], codes: list[I64]) -> Tree:
    """Add up the calls `rows` that belong to `node`."""
    empty = np.zeros(0, np.int64)
    parent, code = np.concatenate([empty, *parents]), np.concatenate([empty, *codes])
    n = len(parent)
    known = frames.duration_ns[rows] >= 0
    ended = node[known]
    return Tree(
        names=frames.names,
        code=code,
        parent=parent,
        calls=np.bincount(node[frames.counted[rows]], minlength=n).astype(np.int64),
        ended=np.bincount(ended, minlength=n).astype(np.int64),
        total_ns=sum_by(ended, frames.duration_ns[rows[known]], n),
        self_ns=sum_by(ended, np.maximum(frames.self_ns[rows[known]], 0), n),
    )


def outermost(frames: Frames, wanted: Mask) -> I64:
    """Positions of the wanted calls that lie in no other wanted call."""
    within = np.append(with_callees(frames.parent, wanted), False)  # the last is for those without a caller
    return np.flatnonzero(wanted & ~within[frames.parent])


def below(frames: Frames, start: I64) -> Frames:
    """Only the given calls, none within another, which become roots, and everything that they called."""
    is_start = np.zeros(len(frames.code), np.bool_)
    is_start[start] = True
    kept = np.flatnonzero(with_callees(frames.parent, is_start))
    place = np.full(len(frames.code), -1, np.int64)
    place[kept] = np.arange(len(kept))
    parent = np.where(is_start[kept], -1, place[frames.parent[kept]])
    depth = levels(parent, frames.depth[kept].astype(np.uint32), np.arange(len(kept)))
    return replace(_only(frames, kept), parent=parent, depth=depth)


def under(tree: Tree, name: str) -> Tree:
    """The tree below one more root, which stands for all that is in it and took no time itself."""
    if not len(tree):
        return tree
    roots = tree.parent < 0

    def with_root(column: I64, value: int) -> I64:
        return np.concatenate([np.array([value], np.int64), column])

    return Tree(
        names=[*tree.names, name],
        code=with_root(tree.code, len(tree.names)),
        parent=with_root(tree.parent + 1, -1),
        calls=with_root(tree.calls, int(tree.calls[roots].sum())),
        ended=with_root(tree.ended, int(tree.ended[roots].sum())),
        total_ns=with_root(tree.total_ns, int(tree.total_ns[roots].sum())),
        self_ns=with_root(tree.self_ns, 0),
    )


def merge(parts: Sequence[Tree]) -> Tree:
    """The tree of all calls behind `parts`; nodes of equal paths are one, siblings in order of appearance."""
    codes: dict[str, int] = {}
    code, parent, before = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for part in parts:
        code.append(places_of(part.names, codes)[part.code])
        parent.append(np.where(part.parent >= 0, part.parent + before, -1))
        before += len(part)
    node, above, which = _joined(np.concatenate(parent), np.concatenate(code), len(codes))

    def added(column: str) -> I64:
        total, low = np.zeros(len(above), np.int64), 0
        for part in parts:
            total[node[low : low + len(part)]] += getattr(part, column)  # paths are distinct within a part
            low += len(part)
        return total

    return Tree(
        names=list(codes),
        code=which,
        parent=above,
        calls=added("calls"),
        ended=added("ended"),
        total_ns=added("total_ns"),
        self_ns=added("self_ns"),
    )


def _joined(parent: I64, code: I64, codes: int) -> tuple[I64, I64, I64]:
    """Make one node of those with the same path, level by level: where each goes; parent and code of each there is."""
    order = np.argsort(parent, kind="stable")
    ordered = parent[order]
    node = np.full(len(parent) + 1, -1, np.int64)  # the last is what -1 reads
    above, which, count = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    level = order[: np.searchsorted(ordered, 0)]
    while len(level):
        keys = (node[parent[level]] + 1) * codes + code[level]
        distinct, first, place = np.unique(keys, return_index=True, return_inverse=True)
        appeared = np.argsort(first)
        rank = np.empty(len(distinct), np.int64)
        rank[appeared] = np.arange(len(distinct))
        node[level] = rank[place] + count
        up, own = np.divmod(distinct[appeared], codes)
        above.append(up - 1)
        which.append(own)
        count += len(distinct)
        low, high = (np.searchsorted(ordered, level, side=side) for side in ("left", "right"))
        children = high - low
        level = order[np.repeat(low - np.cumsum(children) + children, children) + np.arange(int(children.sum()))]
    return node[:-1], np.concatenate(above), np.concatenate(which)

"""Calls to nested spans on tracks: the preparation that every viewer needs, done once.

A track is one goroutine with what the runtime did for it on system stacks, or a system stack that served no goroutine.
On a track calls are in start order, outer before inner, and every call lies
inside its parent: calls whose end was not recorded get the latest time at which they are known to have run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import Calls, State
from funcrec.report.export.formats import MAX_DEPTH
from funcrec.report.export.source import Source

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Track:
    """One goroutine, or one system stack that served none.

    Attributes:
        pid, goid: as in `Calls`.
        stack: that of its outermost calls, as in `Calls`.
        title: `goroutine 7 main.worker`, for people.
        first, count: the track's calls are rows first..first+count of the timeline.
        busy_ns: time covered by its outermost calls.
        number: among the tracks of the whole trace, in order of first appearance. new: it appears here first.
    """

    pid: int
    goid: int
    stack: int
    title: str
    first: int
    count: int
    busy_ns: int
    number: int = 0
    new: bool = True


@dataclass(frozen=True, slots=True)
class Timeline:
    """m calls, track by track, each track in preorder; columns of equal length.

    Attributes:
        row: row of the call in the trace's `Calls`.
        start_ns, end_ns: i64 since the trace's start; end_ns is closed for every call (see the module).
        known: bool, False where end_ns is not a recorded end.
        self_ns: i64, duration minus that of the children shown; 0 where the end is not known.
        state, function, caller: as in `Calls`.
        track: u32, index into `tracks`.
        depth: i64, number of shown callers on the track.
        parent: i64, timeline index of the nearest shown caller on the track, or -1.
        size: i64, number of calls in the subtree, the call included.
        tracks: in order of first appearance.
    """

    source: Source
    row: Index
    start_ns: Index
    end_ns: Index
    known: NDArray[np.bool_]
    self_ns: Index
    state: NDArray[np.uint8]
    function: NDArray[np.uint32]
    caller: NDArray[np.uint32]
    track: NDArray[np.uint32]
    depth: Index
    parent: Index
    size: Index
    tracks: list[Track]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def fresh(self) -> NDArray[np.bool_]:
        """bool[m]: the call began in this part of the trace; the others are callers that were there before."""
        return self.row >= self.source.since

    @property
    def track_numbers(self) -> Index:
        """Track.number of each track."""
        return np.array([track.number for track in self.tracks], np.int64)

    def in_start_order(self) -> Index:
        """The fresh calls as the trace has them, which is how values are read fastest."""
        order = np.argsort(self.row)
        return order[np.searchsorted(self.row[order], self.source.since) :]

    def edges(self) -> tuple[Index, NDArray[np.bool_]]:
        """Begins and ends of all calls in the order of an Euler tour, which is time order on each track.

        Returns:
            (call, begin): i64[2m] timeline index, bool[2m] True for the begin of it.
        """
        m = len(self)
        index = np.arange(m)
        # Before the begin of call i lie i begins and the ends of all earlier calls but its depth[i] open callers.
        begin_at = 2 * index - self.depth
        end_at = begin_at + 2 * self.size - 1
        call = np.empty(2 * m, np.int64)
        begin = np.zeros(2 * m, np.bool_)
        call[begin_at] = index
        call[end_at] = index
        begin[begin_at] = True
        return call, begin


def levels(depth: Index) -> Iterator[Index]:
    """Yield the indices of each depth below MAX_DEPTH, outermost first; within one depth in ascending order."""
    order = np.argsort(depth, kind="stable")
    if not len(order):
        return
    bounds = np.searchsorted(depth[order], np.arange(min(int(depth[order[-1]]) + 2, MAX_DEPTH + 1)))
    for low, high in pairwise(bounds.tolist()):
        if high > low:
            yield order[low:high]


TrackNumbers = dict[tuple[int, int, int], int]  # by pid, goroutine and stack


def build(source: Source, numbers: TrackNumbers | None = None) -> Timeline:
    """Arrange the calls that `source` shows.

    Args:
        source: a trace, or a part of it: a window of `Foresight.nested`.
        numbers: of the tracks in earlier parts; those that appear here are added.
    """
    numbers = {} if numbers is None else numbers
    nest = _nest(source, _outer_stacks(source.calls), numbers)
    if not nest.is_tree():
        # Losses can tear the calls of system stacks from the calls around them: then each stack is a track of its own.
        nest = _nest(source, source.calls.stack, numbers)
    if not nest.is_tree():
        nest = nest.side_by_side()  # no program leaves such calls, but a file may say anything
    calls, row = source.calls, nest.row
    start = calls.start_ns[row] - source.trace.start_ns
    known = calls.end_ns[row] >= 0
    end = _close(calls, row, start, source.trace.end_ns - source.trace.start_ns)
    next_start = _next_start(start, nest.size, nest.track)
    _fit(end, start, calls.state[row] >= State.LOST, nest.parent, nest.layers, next_start)
    duration = np.where(known, end - start, 0)
    own = duration.copy()
    inner = nest.parent >= 0
    np.subtract.at(own, nest.parent[inner], duration[inner])
    return Timeline(
        source=source,
        row=row,
        start_ns=start,
        end_ns=end,
        known=known,
        self_ns=np.where(known, np.maximum(own, 0), 0),
        state=calls.state[row],
        function=calls.function[row],
        caller=calls.caller[row],
        track=nest.track,
        depth=nest.depth,
        parent=nest.parent,
        size=nest.size,
        tracks=_tracks(source, nest, np.where(nest.depth == 0, end - start, 0), numbers),
    )


@dataclass(frozen=True, slots=True)
class _Nest:
    """The calls shown as trees: see Timeline for the columns.

    stacks: the stack of each track; layers: timeline indices by depth.
    """

    row: Index
    track: NDArray[np.uint32]
    parent: Index
    depth: Index
    size: Index
    first: Index
    stacks: NDArray[np.uint64]
    layers: list[Index]

    def is_tree(self) -> bool:
        """True when rows are in preorder: only then do begins and ends take all places of an Euler tour."""
        begin_at = 2 * np.arange(len(self.row)) - self.depth
        places = np.concatenate([begin_at, begin_at + 2 * self.size - 1])
        inside = (places >= 0) & (places < len(places))
        return bool(inside.all()) and bool((np.bincount(places, minlength=len(places)) == 1).all())

    def side_by_side(self) -> "_Nest":
        """The same calls, none within another."""
        none = np.zeros(len(self.row), np.int64)
        return replace(self, parent=none - 1, depth=none, size=none + 1, layers=list(levels(none)))


def _nest(source: Source, stack: NDArray[np.uint64], numbers: TrackNumbers) -> _Nest:
    """Arrange by (pid, goroutine, stack); a parent on another track does not count as one."""
    calls = source.calls
    track_of_call = _track_ids(calls, stack, source.mask, numbers)
    shown = np.flatnonzero(source.mask)
    row = shown[np.argsort(track_of_call[shown], kind="stable")]
    parent, depth = _nesting(calls, source.mask, row, track_of_call)
    layers = list(levels(depth))
    size = np.ones(len(row), np.int64)
    for layer in reversed(layers[1:]):
        np.add.at(size, parent[layer], size[layer])
    first, track = _dense(track_of_call[row])
    return _Nest(row, track, parent, depth, size, first, stack[row[first]], layers)


def _outer_stacks(calls: Calls) -> NDArray[np.uint64]:
    """u64[n]: the stack of each call's outermost caller."""
    stack = calls.stack.copy()
    for layer in levels(calls.depth.astype(np.int64)):
        inner = layer[calls.parent[layer] >= 0]
        stack[inner] = stack[calls.parent[inner]]
    return stack


def _track_ids(calls: Calls, stack: NDArray[np.uint64], mask: NDArray[np.bool_], numbers: TrackNumbers) -> Index:
    """i64[n]: number of each call's (pid, goid, stack), those known first, then by first appearance of a call shown."""
    if not len(calls):
        return np.empty(0, np.int64)
    order = np.lexsort((stack, calls.goid, calls.pid))
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = False
    for column in (calls.pid, calls.goid, stack):
        ordered = column[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    group = np.cumsum(fresh) - 1
    # lexsort is stable, so the first row of a group is its earliest call.
    shown = np.where(mask[order], order, len(order))
    first = np.minimum.reduceat(shown, np.flatnonzero(fresh))
    if numbers:
        keys = zip(*(column[order[fresh]].tolist() for column in (calls.pid, calls.goid, stack)), strict=True)
        known = [numbers.get(key, len(numbers)) for key in keys]
    else:
        known = [0] * len(first)
    rank = np.argsort(np.lexsort((first, np.array(known))), kind="stable")
    ids = np.empty(len(order), np.int64)
    ids[order] = rank[group]
    return ids


def _nesting(calls: Calls, mask: NDArray[np.bool_], row: Index, track: Index) -> tuple[Index, Index]:
    """Parents (timeline index of the nearest shown caller on the same track, or -1) and depths of the rows shown."""
    above = calls.parent.copy()
    above[(above >= 0) & (track[above] != track)] = -1
    place = np.full(len(calls), -1, np.int64)
    place[row] = np.arange(len(row))
    depth = np.zeros(len(calls), np.int64)
    for layer in levels(calls.depth.astype(np.int64)):
        inner = layer[above[layer] >= 0]
        up = above[inner]
        above[inner] = np.where(mask[up], up, above[up])
        up = above[inner]
        depth[inner] = np.where(up >= 0, depth[up] + 1, 0)
    parent = above[row]
    return np.where(parent >= 0, place[parent], -1), depth[row]


def _close(calls: Calls, row: Index, start: Index, trace_end: int) -> Index:
    """End of each call since the trace's start: as recorded, the end of the trace while open, else its start."""
    known = calls.end_ns[row] >= 0
    recorded = calls.end_ns[row] - (calls.start_ns[row] - start)
    return np.where(known, recorded, np.where(calls.state[row] == State.OPEN, trace_end, start))


def _next_start(start: Index, size: Index, track: NDArray[np.uint32]) -> Index:
    """Start of the first call on the same track after each call's subtree; the largest i64 when there is none."""
    following = np.arange(len(start)) + size
    inside = np.minimum(following, len(start) - 1)
    follows = (following < len(start)) & (track[inside] == track)
    return np.where(follows, start[inside], np.iinfo(np.int64).max)


def _fit(
    end: Index, start: Index, unseen: NDArray[np.bool_], parent: Index, layers: list[Index], next_start: Index
) -> None:
    """Make the ends nest, in place. Changes nothing where every end was recorded."""
    for layer in reversed(layers[1:]):
        # A call whose return was lost or not recorded ran at least as long as what it called.
        up = parent[layer]
        grow = unseen[up]
        np.maximum.at(end, up[grow], end[layer[grow]])
    np.minimum(end, next_start, out=end)
    for layer in layers[1:]:
        end[layer] = np.minimum(end[layer], end[parent[layer]])
    np.maximum(end, start, out=end)


def _dense(track: Index) -> tuple[Index, NDArray[np.uint32]]:
    """First row of each track in a column where tracks are contiguous, and the column renumbered from 0."""
    fresh = np.ones(len(track), np.bool_)
    fresh[1:] = track[1:] != track[:-1]
    return np.flatnonzero(fresh), (np.cumsum(fresh) - 1).astype(np.uint32)


def _tracks(source: Source, nest: _Nest, outer_ns: Index, numbers: TrackNumbers) -> list[Track]:
    calls = source.calls
    entries = {(record.pid, record.goid): record.entry for record in source.trace.goroutines}
    several = len({record.pid for record in source.trace.processes}) > 1
    counts = np.diff(np.append(nest.first, len(nest.row)))
    busy = np.add.reduceat(outer_ns, nest.first) if len(nest.first) else outer_ns
    tracks = []
    for at, count, busy_ns, stack in zip(
        nest.first.tolist(), counts.tolist(), busy.tolist(), nest.stacks.tolist(), strict=True
    ):
        pid, goid = int(calls.pid[nest.row[at]]), int(calls.goid[nest.row[at]])
        title = f"goroutine {goid}" if goid else "no goroutine"
        if entries.get((pid, goid)):
            title += f" {entries[pid, goid]}"
        if stack:
            # EventColumns.stack: thread << 2 | 1 (the thread's system stack) or 2 (its signal stack).
            title += f", {'signal' if stack & 3 == 2 else 'system'} stack of thread {stack >> 2}"
        if several:
            title += f", process {pid}"
        key = (pid, goid, stack)
        new = key not in numbers
        tracks.append(Track(*key, title, at, count, busy_ns, numbers.setdefault(key, len(numbers)), new))
    return tracks

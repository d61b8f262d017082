"""Calls merged by their stack: one node per distinct chain of callers, for the formats that hold totals only."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.report.export.source import Source
from funcrec.report.export.timeline import Index, Timeline, Track, levels


@dataclass(frozen=True, slots=True)
class Stacks:
    """k nodes of the merged tree, callers before what they call; columns of equal length.

    Attributes:
        parent: i64, node of the caller or -1. depth: i64, number of callers.
        function: u32.
        line: i64, line in the *caller* where it calls this node, 0 when unknown or not kept apart.
        track: i64, Track.number of the calls where goroutines are kept apart, else -1.
        calls: i64, number of calls.
        self_ns, total_ns: i64, sums over them (calls without a recorded end count 0 here).
        node: i64[m], the node of each call of the timeline.
    """

    parent: Index
    depth: Index
    function: NDArray[np.uint32]
    line: Index
    track: Index
    calls: Index
    self_ns: Index
    total_ns: Index
    node: Index

    def __len__(self) -> int:
        return len(self.parent)


def merge(timeline: Timeline, *, by_line: bool = False, by_track: bool = False) -> Stacks:
    """Merge the calls of a timeline by stack; of a part of a trace, the calls that began in it count.

    Args:
        timeline: the calls.
        by_line: keep calls from different lines of the caller apart.
        by_track: keep goroutines apart.
    """
    line = _call_lines(timeline) if by_line else np.zeros(len(timeline), np.int64)
    track = timeline.track_numbers[timeline.track] if by_track else np.full(len(timeline), -1, np.int64)
    fresh, known, parent = timeline.fresh, timeline.known, timeline.parent
    total = np.where(known & fresh, timeline.end_ns - timeline.start_ns, 0)
    # What a call took from its caller: in which part of the trace the caller began does not matter to the sum.
    inner = np.flatnonzero(parent >= 0)
    inner = inner[known[parent[inner]]]
    own = total.copy()
    np.subtract.at(own, parent[inner], total[inner])
    return _merged(timeline.depth, parent, track, timeline.function, line, (fresh.astype(np.int64), own, total))


def join(first: Stacks, second: Stacks) -> Stacks:
    """Return the stacks of all calls of two parts of a trace; `node` leads from the nodes of one, then the other."""
    pairs = ((getattr(first, name), getattr(second, name)) for name in ("depth", "track", "function", "line"))
    depth, track, function, line = map(np.concatenate, pairs)
    above = np.where(second.parent >= 0, second.parent + len(first), -1)
    weights = (
        np.concatenate((one, other))
        for one, other in zip(
            (first.calls, first.self_ns, first.total_ns), (second.calls, second.self_ns, second.total_ns), strict=True
        )
    )
    return _merged(depth, np.concatenate((first.parent, above)), track, function, line, tuple(weights))


def _merged(
    depth: Index, parent: Index, track: Index, function: NDArray[np.uint32], line: Index, weights: tuple[Index, ...]
) -> Stacks:
    """Merge frames by what they and their callers are; `weights` are calls, self and total time."""
    frame_line, frame_function, frame = _pairs(line, function.astype(np.int64))
    node = np.empty(len(depth), np.int64)
    parents, frames, depths = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    made = 0
    for layer in levels(depth):
        outer = parent[layer[0]] < 0
        above = track[layer] if outer else node[parent[layer]]
        new_above, new_frame, inverse = _pairs(above, frame[layer])
        node[layer] = made + inverse
        made += len(new_above)
        parents.append(np.full(len(new_above), -1, np.int64) if outer else new_above)
        frames.append(new_frame)
        depths.append(np.full(len(new_above), depth[layer[0]]))
    which = np.concatenate(frames)
    track_of_node = np.full(made, -1, np.int64)
    track_of_node[node] = track
    calls, own, total = (_sums(node, each, made) for each in weights)
    return Stacks(
        parent=np.concatenate(parents),
        depth=np.concatenate(depths),
        function=frame_function[which].astype(np.uint32),
        line=frame_line[which],
        track=track_of_node,
        calls=calls,
        self_ns=own,
        total_ns=total,
        node=node,
    )


@dataclass(frozen=True, slots=True)
class Profile:
    """All stacks of a trace, and the tracks by number; `source` is the last part of it."""

    source: Source
    stacks: Stacks
    tracks: list[Track]


def profile(timelines: Iterable[Timeline], *, by_line: bool = False, by_track: bool = False) -> Profile:
    """Merge the parts of one trace, one after the other; options as in `merge`."""
    made: Stacks | None = None
    tracks: list[Track] = []
    for timeline in timelines:
        part = merge(timeline, by_line=by_line, by_track=by_track)
        made = part if made is None else join(made, part)
        tracks += sorted((track for track in timeline.tracks if track.new), key=lambda track: track.number)
        source = timeline.source
    if made is None:
        raise ValueError("a trace has at least one part")
    return Profile(source, made, tracks)


def _pairs(first: Index, second: Index) -> tuple[Index, Index, Index]:
    """Distinct pairs of two columns, and for each row the number of its pair."""
    high = int(second.max(initial=0)) + 1
    low = int(first.min(initial=0))
    keys, inverse = np.unique((first - low) * high + second, return_inverse=True)
    return keys // high + low, keys % high, inverse


def _sums(node: Index, weights: Index, count: int) -> Index:
    """Exact integer sums (bincount's weights are doubles)."""
    sums = np.zeros(count, np.int64)
    np.add.at(sums, node, weights)
    return sums


def _call_lines(timeline: Timeline) -> Index:
    """Line in the shown caller's own code where each call was made; 0 where another function made it."""
    trace = timeline.source.trace
    numbers = {function.name: number for number, function in enumerate(trace.functions)}
    site_line = np.array([0, *(site.line for site in trace.call_sites)], np.int64)
    site_function = np.array([-1, *(numbers.get(site.name, -1) for site in trace.call_sites)], np.int64)
    caller = np.where(timeline.caller < len(site_line), timeline.caller, 0)
    above = np.where(timeline.parent >= 0, timeline.function[timeline.parent].astype(np.int64), -2)
    return np.where(site_function[caller] == above, site_line[caller], 0)

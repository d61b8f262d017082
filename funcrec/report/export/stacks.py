"""Calls merged by their stack: one node per distinct chain of callers, for the formats that hold totals only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.report.export.timeline import Index, Timeline, levels


@dataclass(frozen=True, slots=True)
class Stacks:
    """k nodes of the merged tree, callers before what they call; columns of equal length.

    Attributes:
        parent: i64, node of the caller or -1.
        function: u32.
        line: i64, line in the *caller* where it calls this node, 0 when unknown or not kept apart.
        track: i64, track of the calls where goroutines are kept apart, else -1.
        calls: i64, number of calls.
        self_ns, total_ns: i64, sums over them (calls without a recorded end count 0 here).
        node: i64[m], the node of each call of the timeline.
    """

    parent: Index
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
    """Merge the calls of a timeline by stack.

    Args:
        timeline: the calls.
        by_line: keep calls from different lines of the caller apart.
        by_track: keep goroutines apart.
    """
    line = _call_lines(timeline) if by_line else np.zeros(len(timeline), np.int64)
    frame_line, frame_function, frame = _pairs(line, timeline.function.astype(np.int64))
    node = np.empty(len(timeline), np.int64)
    parents, frames = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    made = 0
    for layer in levels(timeline.depth):
        outer = timeline.parent[layer[0]] < 0
        if outer:
            above = timeline.track[layer].astype(np.int64) if by_track else np.full(len(layer), -1, np.int64)
        else:
            above = node[timeline.parent[layer]]
        new_above, new_frame, inverse = _pairs(above, frame[layer])
        node[layer] = made + inverse
        made += len(new_above)
        parents.append(np.full(len(new_above), -1, np.int64) if outer else new_above)
        frames.append(new_frame)
    which = np.concatenate(frames)
    track = np.full(made, -1, np.int64)
    if by_track:
        track[node] = timeline.track
    return Stacks(
        parent=np.concatenate(parents),
        function=frame_function[which].astype(np.uint32),
        line=frame_line[which],
        track=track,
        calls=np.bincount(node, minlength=made).astype(np.int64),
        self_ns=_sums(node, timeline.self_ns, made),
        total_ns=_sums(node, np.where(timeline.known, timeline.end_ns - timeline.start_ns, 0), made),
        node=node,
    )


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

from dataclasses import replace

import numpy as np
import pytest

from funcrec.report.calls import State
from funcrec.report.export.stacks import merge
from funcrec.report.export.timeline import build
from tests.unit.report.export.sample import make


@pytest.fixture(scope="module", params=[1, 2, 3])
def timeline(request):
    return build(make(600, 4, request.param))


def test_children_lie_inside_their_parents_and_after_their_siblings(timeline):
    inner = timeline.parent >= 0
    above = timeline.parent[inner]
    assert (timeline.start_ns[above] <= timeline.start_ns[inner]).all()
    assert (timeline.end_ns[inner] <= timeline.end_ns[above]).all()
    following = np.arange(len(timeline)) + timeline.size
    has_next = following < len(timeline)
    has_next &= timeline.track[np.minimum(following, len(timeline) - 1)] == timeline.track
    assert (timeline.end_ns[has_next] <= timeline.start_ns[following[has_next]]).all()


def test_edges_are_a_balanced_tour_in_time_order(timeline):
    call, begin = timeline.edges()
    for track in timeline.tracks:
        stack: list[int] = []
        last = 0
        for number, first in zip(
            call[2 * track.first : 2 * (track.first + track.count)].tolist(),
            begin[2 * track.first : 2 * (track.first + track.count)].tolist(),
            strict=True,
        ):
            time = int(timeline.start_ns[number] if first else timeline.end_ns[number])
            assert time >= last
            last = time
            if first:
                assert timeline.parent[number] == (stack[-1] if stack else -1)
                assert timeline.depth[number] == len(stack)
                stack.append(number)
            else:
                assert stack.pop() == number
        assert not stack


def test_recorded_ends_stay_as_they_are(timeline):
    calls = timeline.source.calls
    known = calls.end_ns[timeline.row] >= 0
    assert (known == timeline.known).all()
    assert (timeline.end_ns[known] == calls.end_ns[timeline.row][known] - timeline.source.trace.start_ns).all()


def test_open_calls_last_until_the_end_of_the_trace(timeline):
    trace = timeline.source.trace
    still_open = timeline.state == State.OPEN
    outer = still_open & (timeline.depth == 0)
    assert (timeline.end_ns[outer] == trace.end_ns - trace.start_ns).all()


def test_self_times_are_those_of_the_calls_when_everything_is_shown(timeline):
    own = timeline.source.calls.self_ns[timeline.row]
    assert (np.where(own >= 0, own, 0) == timeline.self_ns).all()


def test_a_hidden_call_hands_its_children_to_its_own_parent():
    source = make(400, 2, 5, broken=False)
    source = replace(source, mask=source.calls.function != 3)
    timeline = build(source)
    assert len(timeline) == np.count_nonzero(source.mask)
    calls = source.calls
    for at, row in enumerate(timeline.row.tolist()):
        above = int(calls.parent[row])
        while above >= 0 and calls.function[above] == 3:
            above = int(calls.parent[above])
        assert (timeline.row[timeline.parent[at]] if timeline.parent[at] >= 0 else -1) == above
    outermost = timeline.depth == 0
    assert timeline.self_ns.sum() == (timeline.end_ns - timeline.start_ns)[outermost].sum()


def test_calls_of_a_system_stack_nest_in_the_goroutine_or_get_a_track_of_their_own():
    source = make(200, 1, 3, broken=False)
    calls = source.calls
    leaf = np.flatnonzero((calls.depth > 0) & ~np.isin(np.arange(len(calls)), calls.parent))[0]
    stack = calls.stack.copy()
    stack[leaf] = 99 << 2 | 1
    nested = build(replace(source, calls=replace(calls, stack=stack)))
    assert len(nested.tracks) == 1
    alone = calls.parent.copy()
    alone[leaf] = -1
    depth = calls.depth.copy()
    depth[leaf] = 0
    apart = build(replace(source, calls=replace(calls, stack=stack, parent=alone, depth=depth)))
    assert [track.title for track in apart.tracks] == [
        "goroutine 7 main.main",
        "goroutine 7 main.main, system stack of thread 99",
    ]


def test_stacks_hold_every_call_once(timeline):
    stacks = merge(timeline)
    assert stacks.calls.sum() == len(timeline)
    assert stacks.self_ns.sum() == timeline.self_ns.sum()
    chains = {}
    for at in range(len(timeline)):
        chain, walk = [], at
        while walk >= 0:
            chain.append(int(timeline.function[walk]))
            walk = int(timeline.parent[walk])
        chains.setdefault(tuple(chain), set()).add(int(stacks.node[at]))
    assert all(len(nodes) == 1 for nodes in chains.values())
    assert len(chains) == len(stacks)


def test_stacks_can_keep_lines_and_goroutines_apart(timeline):
    assert set(merge(timeline, by_line=True).line.tolist()) > {0}
    stacks = merge(timeline, by_track=True)
    assert (stacks.track[stacks.node] == timeline.track).all()


def test_nothing_to_show():
    source = make(50, 1)
    timeline = build(replace(source, mask=np.zeros(len(source.calls), np.bool_)))
    assert len(timeline) == 0
    assert timeline.tracks == []
    assert len(merge(timeline)) == 0


def test_calls_that_are_torn_in_the_middle_of_their_stack_stand_side_by_side():
    """A call on its caller's track is said to have no caller, while the caller goes on to call others."""
    source = make(200, 1, 3, broken=False)
    calls = source.calls
    caller = np.flatnonzero(np.bincount(calls.parent[calls.parent >= 0], minlength=len(calls)) > 2)[0]
    torn = np.flatnonzero(calls.parent == caller)[1]
    parent, depth = calls.parent.copy(), calls.depth.copy()
    parent[torn], depth[torn] = -1, 0
    timeline = build(replace(source, calls=replace(calls, parent=parent, depth=depth)))
    call, begin = timeline.edges()
    assert sorted(call[begin]) == sorted(call[~begin]) == list(range(len(calls)))
    assert (timeline.parent == -1).all()

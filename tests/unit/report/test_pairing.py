"""Pairing told by example; tests/property/test_calls.py has the rules in full."""

import numpy as np
import pytest

from funcrec.errors import TraceError
from funcrec.report.calls import State
from funcrec.report.trace import Trace
from funcrec.trace.records import LostRecord, ProcessRecord, SiteRole
from tests.calltrees import Event, function_site, header, make_trace, standard_sites

A, B, C = range(3)
SITES, STATES = standard_sites(3)


def enter(time_ns: int, function: int, depth: int, **more: int) -> Event:
    return Event(time_ns, function_site(function, SiteRole.ENTRY), depth, **more)


def leave(time_ns: int, function: int, depth: int, **more: int) -> Event:
    return Event(time_ns, function_site(function, SiteRole.EXIT), depth, **more)


def state(time_ns: int, role: SiteRole, depth: int, **more: int) -> Event:
    return Event(time_ns, STATES[role], depth, **more)


def told(trace: Trace) -> list[tuple[str, str, int, int]]:
    """(function, state, duration or -1, depth) of all calls."""
    calls = trace.table()
    duration = np.where(calls.end_ns >= 0, calls.end_ns - calls.start_ns, -1)
    return [
        (trace.functions[f].name[-1], State(s).label, int(d), int(level))
        for f, s, d, level in zip(calls.function, calls.state, duration, calls.depth, strict=True)
    ]


def test_a_panic_ends_deeper_frames_at_its_recovery() -> None:
    events = [enter(10, A, 8), enter(20, B, 16), enter(30, C, 24), state(70, SiteRole.RECOVERY, 8), leave(90, A, 8)]
    assert told(make_trace([events])) == [
        ("a", "returned", 80, 0),
        ("b", "panicked", 50, 1),
        ("c", "panicked", 40, 2),
    ]


def test_goexit_and_death_end_all_frames_of_one_goroutine() -> None:
    events = [
        enter(1, A, 8),
        enter(2, B, 8, goid=2),
        state(5, SiteRole.GOEXIT, 40),
        state(9, SiteRole.FATAL, 64, goid=2),
    ]
    assert told(make_trace([events])) == [("a", "goexit", 4, 0), ("b", "panicked", 7, 0)]


def test_open_calls_stay_open_when_the_process_ends() -> None:
    trace = make_trace([[enter(1, A, 8)]], processes=[ProcessRecord(100, 0, end_ns=50)])
    assert told(trace) == [("a", "open", -1, 0)]


def test_exits_without_entry_are_no_calls_but_end_deeper_frames() -> None:
    events = [leave(1, C, 32), enter(2, A, 24), leave(5, B, 16), enter(6, A, 24), leave(8, A, 24)]
    assert told(make_trace([events])) == [("a", "lost", -1, 0), ("a", "returned", 2, 0)]


def test_a_forwarder_is_lost_where_its_target_returns() -> None:
    assert told(make_trace([[enter(1, A, 8), leave(5, B, 8)]])) == [("a", "lost", -1, 0)]


def test_point_calls_have_no_duration_and_a_parent() -> None:
    point = Event(3, function_site(B, SiteRole.POINT), 16)
    assert told(make_trace([[enter(1, A, 8), point, leave(9, A, 8)]])) == [
        ("a", "returned", 8, 0),
        ("b", "returned", 0, 1),
    ]


def test_work_on_a_system_stack_belongs_to_the_goroutine() -> None:
    system = {"stack": 4001}
    events = [enter(1, A, 8), enter(2, B, 800, **system), enter(3, C, 900, **system), leave(5, C, 900, **system)]
    trace = make_trace([[*events, leave(7, B, 800, **system), leave(9, A, 8)]])
    assert told(trace) == [("a", "returned", 8, 0), ("b", "returned", 5, 1), ("c", "returned", 2, 2)]
    assert trace.table().self_ns.tolist() == [3, 3, 2]


def test_blocks_that_overlap_in_time_are_joined_in_order() -> None:
    late, early = [enter(5, B, 16), leave(6, B, 16), leave(9, A, 8)], [enter(1, A, 8)]
    assert told(make_trace([late, early])) == [("a", "returned", 8, 0), ("b", "returned", 1, 1)]


@pytest.mark.parametrize(
    ("by_site", "state_of_a"),
    [
        ({}, "lost"),  # nobody knows what was lost
        ({function_site(A, SiteRole.EXIT): 1, function_site(A, SiteRole.ENTRY): 1}, "lost"),
        ({function_site(A, SiteRole.EXIT): 2}, "returned"),
        ({function_site(B, SiteRole.EXIT): 1, function_site(B, SiteRole.ENTRY): 1}, "returned"),
    ],
)
def test_a_pair_over_a_loss_is_believed_only_when_it_must_be_true(by_site: dict[int, int], state_of_a: str) -> None:
    lost = [LostRecord(0, 4, 6, 2, by_site=by_site)]
    assert told(make_trace([[enter(1, A, 8), leave(9, A, 8)]], lost=lost))[0][1] == state_of_a


def test_entries_alone_have_callers_and_no_durations() -> None:
    events = [enter(1, A, 8), enter(2, B, 16), enter(4, B, 16), enter(6, C, 8)]
    trace = make_trace([events], head=header(entry_only=True))
    assert told(trace) == [("a", "entry", -1, 0), ("b", "entry", -1, 1), ("b", "entry", -1, 1), ("c", "entry", -1, 0)]


def test_an_empty_trace_has_no_calls() -> None:
    assert len(make_trace([]).table()) == 0
    assert len(make_trace([[]]).table()) == 0


def test_an_unknown_site_is_a_trace_error() -> None:
    with pytest.raises(TraceError, match="unknown site"):
        make_trace([[Event(1, 999, 8)]]).table()


def test_deep_recursion_is_no_bad_case() -> None:
    deep = 100_000
    events = [enter(at, A, 8 * (at + 1)) for at in range(deep)]
    events += [leave(2 * deep - at, A, 8 * (at + 1)) for at in reversed(range(deep))]
    calls = make_trace([events]).table()
    assert calls.depth.tolist() == list(range(deep))
    assert calls.parent.tolist() == list(range(-1, deep - 1))
    assert (calls.state == State.RETURNED).all()


@pytest.mark.parametrize(
    ("first_ns", "last_ns", "role", "state"),
    [
        (6, 7, SiteRole.FAULT, "lost"),
        (2, 5, SiteRole.FAULT, "lost"),  # at the very time of the exit
        (12, 13, SiteRole.FAULT, "returned"),  # the goroutine has gone on by then
        (6, 7, SiteRole.ENTRY, "returned"),
    ],
)
def test_a_lost_fault_may_have_taken_an_exit_back(first_ns: int, last_ns: int, role: SiteRole, state: str) -> None:
    site = next(number for number, site in enumerate(SITES) if site.role == role and site.function != A)
    lost = [LostRecord(0, first_ns, last_ns, 1, by_site={site: 1})]
    events = [enter(1, A, 8), leave(5, A, 8), enter(11, B, 8), leave(30, B, 8)]
    found = told(make_trace([events], lost=lost))
    assert found[0][:2] == ("a", state)

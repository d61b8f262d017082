"""Filters against their definition on single calls, and their composition."""

import random
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.report.calls import State
from funcrec.report.filters import select
from funcrec.report.nesting import levels
from funcrec.report.request import FilterRequest, parse_time_range
from funcrec.report.trace import Trace
from funcrec.trace.records import CallSite
from tests.calltrees import make_trace, random_tree_events

NAMES = ("main.a", "main.b", "main.c")
globs = st.lists(st.sampled_from(["main.a", "main.b", "*", "*.c"]), max_size=2).map(tuple)
conditions = st.sampled_from(
    [
        "dur > 5ns",
        "not dur > 5ns",
        "self < 3 or depth >= 2",
        "func =~ '*.a' and state == 'returned'",
        "state != 'returned'",
        "goid == 2",
        "start / 10 % 2 == 0",
        "func == caller",
    ]
)
requests = st.builds(
    FilterRequest,
    min_ns=st.none() | st.integers(0, 9),
    max_ns=st.none() | st.integers(0, 30),
    goroutines=st.sampled_from([(), ((1, 1),), ((2, 3),)]),
    where=st.lists(conditions, max_size=2).map(tuple),
    filter=globs,
    notrace=globs,
    hide=globs,
    caller_filter=globs,
    depth=st.none() | st.integers(1, 4),
    time_range=st.none() | st.sampled_from(["20ns~60ns", "30%~", "~50%", "10ns+30ns"]).map(parse_time_range),
)


CALLERS = [CallSite(0x2000, "main.a", 16, "/src/a.go", 3), CallSite(0x3000, "", 0, "", 0)]


@lru_cache
def some_trace(seed: int) -> Trace:
    rng = random.Random(seed)
    kept = [event for event in random_tree_events(rng, 120) if rng.random() > 0.02]
    # Every goroutine and process a filter may name is there.
    return make_trace([random_tree_events(random.Random(5), 40), kept], NAMES, call_sites=CALLERS)


def naive(trace: Trace, request: FilterRequest) -> list[bool]:
    calls = trace.table()
    count = len(calls)
    parent = calls.parent.tolist()
    name = [trace.functions[f].name for f in calls.function.tolist()]
    length = trace.end_ns - trace.start_ns

    def up(row: int) -> list[int]:
        chain = [row]
        while parent[chain[-1]] >= 0:
            chain.append(parent[chain[-1]])
        return chain

    def matches(row: int, patterns: tuple[str, ...]) -> bool:
        return any(p == "*" or p == name[row] or (p[0] == "*" and name[row].endswith(p[1:])) for p in patterns)

    leads = {a for row in range(count) if matches(row, request.caller_filter) for a in up(row)}
    result = []
    for row in range(count):
        start, end = int(calls.start_ns[row]) - trace.start_ns, int(calls.end_ns[row]) - trace.start_ns
        known = calls.end_ns[row] >= 0
        reach = end if known else trace.end_ns if calls.state[row] == State.OPEN else start
        window = request.time_range
        tests = [
            request.min_ns is None or (known and end - start >= request.min_ns),
            request.max_ns is None or (known and end - start <= request.max_ns),
            not request.goroutines or any(low <= calls.goid[row] <= high for low, high in request.goroutines),
            not request.filter or any(matches(a, request.filter) for a in up(row)),
            not any(matches(a, request.notrace) for a in up(row)),
            not matches(row, request.hide),
            not request.caller_filter or row in leads,
            request.depth is None or calls.depth[row] < request.depth,
            window is None or window.start is None or reach >= window.start.resolve(length),
            window is None or window.end is None or start <= window.end.resolve(length),
        ]
        facts: dict[str, Any] = {
            "dur": end - start if known else None,
            "self": int(calls.self_ns[row]) if known else None,
            "depth": int(calls.depth[row]),
            "state": State(calls.state[row]).label,
            "goid": int(calls.goid[row]),
            "start": start,
            "func": name[row],
            "caller": "main.a" if calls.caller[row] == 1 else None,
        }
        tests += [naive_condition(text, facts) for text in request.where]
        result.append(all(tests))
    return result


def naive_condition(text: str, facts: dict[str, Any]) -> bool:
    duration = facts["dur"]
    return {
        "dur > 5ns": lambda: duration is not None and duration > 5,
        "not dur > 5ns": lambda: duration is not None and duration <= 5,
        "self < 3 or depth >= 2": lambda: (duration is not None and facts["self"] < 3) or facts["depth"] >= 2,
        "func =~ '*.a' and state == 'returned'": lambda: facts["func"] == "main.a" and facts["state"] == "returned",
        "state != 'returned'": lambda: facts["state"] != "returned",
        "goid == 2": lambda: facts["goid"] == 2,
        "start / 10 % 2 == 0": lambda: facts["start"] // 10 % 2 == 0,
        "func == caller": lambda: facts["func"] == facts["caller"],
    }[text]()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 9), requests)
def test_filters_do_what_they_say(seed: int, request: FilterRequest) -> None:
    trace = some_trace(seed)
    assert select(trace, request).mask.tolist() == naive(trace, request)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 9), requests)
def test_filters_compose(seed: int, request: FilterRequest) -> None:
    trace = some_trace(seed)
    together = select(trace, request).mask
    apart = np.ones(len(trace.table()), dtype=bool)
    for each in fields(request):
        apart &= select(trace, replace(FilterRequest(), **{each.name: getattr(request, each.name)})).mask
    assert np.array_equal(together, apart)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 9), requests)
def test_parents_are_the_nearest_shown_callers(seed: int, request: FilterRequest) -> None:
    selection = select(some_trace(seed), request)
    parent, mask = selection.calls.parent.tolist(), selection.mask.tolist()
    depth = levels(selection.parents, selection.calls.depth, selection.rows)
    for row, level in zip(selection.rows.tolist(), depth.tolist(), strict=True):
        chain = []
        above = parent[row]
        while above >= 0:
            chain += [above] if mask[above] else []
            above = parent[above]
        assert selection.parents[row] == (chain[0] if chain else -1)
        assert level == len(chain)

"""Pairing against the rules applied one event at a time."""

import random
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.report.calls import Calls, State
from funcrec.report.nextsmaller import next_at_most
from funcrec.report.trace import Trace
from funcrec.trace.records import LostRecord, NoteRecord, SiteRole
from tests.calltrees import Event, header, make_trace, random_tree_events, standard_sites
from tests.pairing_reference import reference_calls

FUNCTIONS = 2
SITES, _ = standard_sites(FUNCTIONS)
NAMES = ("main.a", "main.b")

events = st.builds(
    Event,
    time_ns=st.integers(0, 12),
    site=st.integers(0, len(SITES) - 1),
    depth=st.integers(1, 4).map(lambda slot: 8 * slot),
    goid=st.integers(0, 2),
    pid=st.integers(100, 101),
    stack=st.sampled_from([0, 0, 0, 401, 405, 402]),
    tid=st.integers(100, 102),
    caller=st.integers(0, 2),
)


def _forwards(record: LostRecord) -> LostRecord:
    """A window ends no earlier than it begins: readers refuse one that does."""
    first, last = sorted((record.first_ns, record.last_ns))
    return replace(record, first_ns=first, last_ns=last)


losses = st.builds(
    LostRecord,
    ring=st.just(0),
    first_ns=st.integers(0, 12),
    last_ns=st.integers(0, 16),
    count=st.integers(0, 3),
    kind=st.sampled_from(["events", "events", "values"]),
    by_site=st.dictionaries(st.integers(0, len(SITES) - 1), st.integers(1, 2), max_size=3),
).map(_forwards)


def in_time_order(part: list[Event]) -> list[Event]:
    """A block holds each run in time order; the order of runs is free."""
    return sorted(part, key=lambda event: event.time_ns)


def rows(calls: Calls) -> list[dict[str, int]]:
    names = list(calls.__dataclass_fields__)
    values = [getattr(calls, name).tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def check(trace: Trace) -> list[dict[str, int]]:
    made = rows(trace.table())
    assert made == reference_calls(trace)
    return made


notes = st.builds(
    NoteRecord,
    time_ns=st.integers(0, 12),
    what=st.just("guard"),
    text=st.just(""),
    functions=st.lists(st.integers(0, FUNCTIONS - 1), max_size=2).map(tuple),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.lists(events, max_size=25), max_size=3),
    st.lists(losses, max_size=2),
    st.lists(notes, max_size=2),
    st.booleans(),
)
def test_any_stream_is_paired_as_the_rules_say(
    blocks: list[list[Event]], lost: list[LostRecord], said: list[NoteRecord], entry_only: bool
) -> None:
    head = header(entry_only=True) if entry_only else header()
    check(make_trace(map(in_time_order, blocks), NAMES, lost=lost, notes=said, head=head))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 300), st.sampled_from([0.0, 0.02, 0.3]), st.integers(1, 4))
def test_call_trees_with_dropped_events(seed: int, size: int, drop: float, blocks: int) -> None:
    rng = random.Random(seed)
    kept = [event for event in random_tree_events(rng, size) if rng.random() >= drop]
    cuts = sorted(rng.randrange(len(kept) + 1) for _ in range(blocks - 1))
    parts = [kept[low:high] for low, high in zip([0, *cuts], [*cuts, len(kept)], strict=True)]
    made = check(make_trace(parts))
    if drop == 0:
        assert all(row["state"] != State.LOST for row in made)
    for row in made:
        if row["parent"] >= 0:
            outer = made[row["parent"]]
            assert outer["depth"] == row["depth"] - 1
            assert outer["start_ns"] <= row["start_ns"]
            if outer["end_ns"] >= 0 and row["end_ns"] >= 0:
                assert row["end_ns"] <= outer["end_ns"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=70))
def test_next_at_most_is_a_search(values: list[int]) -> None:
    found = next_at_most(np.array(values, dtype=np.uint32), np.arange(len(values)))
    for at, value in enumerate(values):
        later = [j for j in range(at + 1, len(values)) if values[j] <= value]
        assert found[at] == (later[0] if later else len(values))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(2, 200))
def test_frames_entered_before_are_known_by_their_exits(seed: int, size: int) -> None:
    """Cut the front off a recording: what was open there and returns later is told, once each, and nothing else."""
    events = random_tree_events(random.Random(seed), size, panics=0)
    cut = random.Random(seed).randrange(len(events))
    sites, _ = standard_sites(3)
    wanted = []
    frames: dict[int, list[bool]] = {}
    for at, event in enumerate(events):
        if sites[event.site].role == SiteRole.ENTRY:
            frames.setdefault(event.goid, []).append(at < cut)
        elif sites[event.site].role == SiteRole.EXIT and frames[event.goid].pop() and at >= cut:
            wanted.append((event.time_ns, sites[event.site].function, event.goid))
    found = make_trace([events[cut:]]).earlier
    assert sorted((frame.time_ns, frame.function, frame.goid) for frame in found) == sorted(wanted)

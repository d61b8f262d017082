"""Whatever was recorded or lost, exports nest, balance and keep every call once."""

import json
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.report.export import chrome, folded, parquet, perfetto, pprof, speedscope
from funcrec.report.export.html import encode as encode_page
from funcrec.report.export.source import Source
from funcrec.report.export.stacks import merge
from funcrec.report.export.timeline import Timeline, build
from funcrec.report.trace import Trace
from tests.calltrees import Event, header, make_trace, random_tree_events, standard_sites

NAMES = ("main.a", "main.b")
SITES, _ = standard_sites(len(NAMES))

anything = st.lists(
    st.builds(
        Event,
        time_ns=st.integers(0, 12),
        site=st.integers(0, len(SITES) - 1),
        depth=st.integers(1, 4).map(lambda slot: 8 * slot),
        goid=st.integers(0, 2),
        pid=st.integers(100, 101),
        stack=st.sampled_from([0, 0, 0, 401, 405, 402]),
        tid=st.integers(100, 102),
        caller=st.integers(0, 2),
    ),
    max_size=40,
).map(lambda events: sorted(events, key=lambda event: event.time_ns))


def timeline_of(trace: Trace, hidden: Sequence[int]) -> Timeline:
    calls = trace.table()
    mask = np.ones(len(calls), np.bool_)
    mask[[row for row in hidden if row < len(calls)]] = False
    return build(Source(trace, calls, mask))


def check(timeline: Timeline) -> None:
    """Every track is a walk in time that begins and ends each of its calls once, inner before outer."""
    assert sorted(timeline.row.tolist()) == np.flatnonzero(timeline.source.mask).tolist()
    call, begin = timeline.edges()
    for track in timeline.tracks:
        part = slice(2 * track.first, 2 * (track.first + track.count))
        open_calls: list[int] = []
        now = -1
        for number, first in zip(call[part].tolist(), begin[part].tolist(), strict=True):
            time = int((timeline.start_ns if first else timeline.end_ns)[number])
            assert time >= now
            now = time
            if first:
                assert timeline.parent[number] == (open_calls[-1] if open_calls else -1)
                open_calls.append(number)
            else:
                assert open_calls.pop() == number
        assert not open_calls
    assert (timeline.self_ns >= 0).all()
    stacks = merge(timeline, by_line=True, by_track=True)
    assert stacks.calls.sum() == len(timeline)


@settings(max_examples=300, deadline=None)
@given(anything, st.lists(st.integers(0, 30), max_size=5), st.booleans())
def test_any_stream(events: list[Event], hidden: list[int], entry_only: bool) -> None:
    check(timeline_of(make_trace([events], NAMES, head=header(entry_only=entry_only)), hidden))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**9),
    st.integers(0, 200),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.lists(st.integers(0, 90), max_size=9),
)
def test_call_trees_in_every_format(seed: int, size: int, drop: float, hidden: list[int]) -> None:
    rng = random.Random(seed)
    trace = make_trace([[event for event in random_tree_events(rng, size) if rng.random() >= drop]])
    timeline = timeline_of(trace, hidden)
    check(timeline)
    events = json.loads(b"".join(chrome.encode([timeline])))["traceEvents"]
    shown = Counter(event["name"] for event in events if event["ph"] in "XBi" and event.get("cat") == "go")
    names = timeline.source.function_names
    assert shown == Counter(names[function] for function in timeline.function.tolist())
    profiles = json.loads(b"".join(speedscope.encode([timeline])))["profiles"]
    assert sum(len(profile["events"]) for profile in profiles) == 2 * len(timeline)
    weights = [int(line.rpartition(b" ")[2]) for line in b"".join(folded.encode([timeline])).splitlines()]
    assert sum(weights) == timeline.self_ns.sum()
    assert b"".join(perfetto.encode(lambda: [timeline]))
    assert b"".join(pprof.encode([timeline]))[:2] == b"\x1f\x8b"
    assert b"".join(parquet.encode([timeline.source]))[:4] == b"PAR1"
    pieces, _ = encode_page([[timeline]], ["x"], max_calls=50)
    assert b"".join(pieces).startswith(b"<!doctype html>")

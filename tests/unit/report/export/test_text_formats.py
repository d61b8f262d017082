"""chrome, speedscope and folded: what their readers demand, checked on the text."""

import json
from collections import Counter, defaultdict

import numpy as np
import pytest

from funcrec.report.calls import State
from funcrec.report.export import chrome, folded, speedscope
from funcrec.report.export.timeline import build
from tests.unit.report.export.sample import HOSTILE, START_NS, make, with_values


@pytest.fixture(scope="module")
def source():
    return make(600, 3, 2)


def chrome_events(source):
    document = json.loads(b"".join(chrome.encode([build(source)])))
    return document["traceEvents"]


def test_chrome_has_each_call_once(source):
    events = chrome_events(source)
    phases = Counter(event["ph"] for event in events if event.get("cat") == "go" and event["name"] != "go")
    states = Counter(State(state).name for state in source.calls.state.tolist())
    assert phases["B"] == states["OPEN"]
    assert phases["i"] == states["ENTRY"]
    assert phases["X"] == len(source.calls) - states["OPEN"] - states["ENTRY"]


def test_chrome_times_are_exact(source):
    complete = [event for event in chrome_events(source) if event["ph"] == "X"]
    known = np.flatnonzero(source.calls.end_ns >= 0)
    got = sorted((round(event["ts"] * 1000), round(event["dur"] * 1000)) for event in complete if "dur" in event)
    expected = [
        (int(source.calls.start_ns[row]) - START_NS, int(source.calls.end_ns[row] - source.calls.start_ns[row]))
        for row in known
    ]
    assert Counter(expected) <= Counter(got)


def test_chrome_flows_begin_and_end_in_pairs():
    events = chrome_events(make(300, 3, 4, names=["main.f0", "main.f1"], broken=False))
    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    assert starts
    assert starts.keys() == ends.keys()
    assert all(starts[number]["ts"] <= ends[number]["ts"] for number in starts)


def test_chrome_thread_numbers_fit_when_goroutine_ids_do_not():
    source = make(60, 2, broken=False)
    source.calls.goid[source.calls.goid == 8] = 1 << 40
    threads = {event["tid"] for event in chrome_events(source) if event["ph"] == "X"}
    assert threads == {1, 2}


def test_chrome_values():
    event = next(e for e in chrome_events(with_values(make(30, 1, broken=False))) if e["ph"] == "X")
    assert event["args"]["args"]["big"] == "0xffffffffffffffff"
    assert event["args"]["args"]["name"] == 'a"\\x0a\\x1b</script>'
    assert event["args"]["results"]["r0"] == [1, {"$hex": "00ff"}]


def test_speedscope_events_balance_in_time_order(source):
    document = json.loads(b"".join(speedscope.encode([build(source)])))
    frames = document["shared"]["frames"]
    assert len(document["profiles"]) == 3
    opened = 0
    for profile in document["profiles"]:
        stack, last = [], profile["startValue"]
        for event in profile["events"]:
            assert last <= event["at"] <= profile["endValue"]
            last = event["at"]
            if event["type"] == "O":
                assert event["frame"] < len(frames)
                stack.append(event["frame"])
                opened += 1
            else:
                assert stack.pop() == event["frame"]
        assert not stack
    assert opened == len(source.calls)


def test_speedscope_puts_the_busiest_goroutine_first(source):
    timeline = build(source)
    document = json.loads(b"".join(speedscope.encode([timeline])))
    busiest = max(timeline.tracks, key=lambda track: track.busy_ns)
    assert document["profiles"][document["activeProfileIndex"]]["name"] == busiest.title


def test_folded_weights_are_self_times(source):
    timeline = build(source)
    total = defaultdict(int)
    for line in b"".join(folded.encode([timeline])).decode().splitlines():
        stack, _, weight = line.rpartition(" ")
        total[stack.split(";")[-1]] += int(weight)
    expected = defaultdict(int)
    for function, own in zip(timeline.function.tolist(), timeline.self_ns.tolist(), strict=True):
        expected[source.trace.functions[function].name] += own
    assert {name: ns for name, ns in expected.items() if ns} == total


def test_folded_by_goroutine(source):
    lines = b"".join(folded.encode([build(source)], by_goroutine=True)).decode().splitlines()
    assert {line.split(";")[0] for line in lines} == {
        f"goroutine {7 + n} main.{'worker' if n else 'main'}" for n in range(3)
    }


@pytest.mark.parametrize("encode", [chrome.encode, speedscope.encode, folded.encode])
def test_hostile_names_stay_text(encode):
    data = b"".join(encode([build(make(200, 1, names=HOSTILE))])).decode()
    assert not set("\x1b\u202e\udc80") & set(data)
    if encode is folded.encode:
        names = {frame for line in data.splitlines() for frame in line.rpartition(" ")[0].split(";")}
        assert "main.F[go.shape.struct { A int, B string }_0]" in names
        assert len(names) == len(HOSTILE)
    else:
        json.loads(data)

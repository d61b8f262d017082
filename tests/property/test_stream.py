"""What is written window by window is what is written of the whole trace, under any filters."""

import io
import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.errors import UsageError
from funcrec.report.answers.diff import DiffRequest
from funcrec.report.answers.goroutines import GoroutinesRequest, goroutines_of
from funcrec.report.answers.graph import GraphRequest, graph_of
from funcrec.report.answers.hist import HistRequest, hist_of
from funcrec.report.answers.hist import rows_of as hist_rows
from funcrec.report.answers.sides import durations_of
from funcrec.report.answers.stat import StatRequest, rows_of, stat_of
from funcrec.report.export.formats import ExportFormat
from funcrec.report.export.run import ExportRequest, export
from funcrec.report.intime import Durations
from funcrec.report.request import FilterRequest, filter_request
from funcrec.report.stream import Stream
from funcrec.report.trace import Trace
from funcrec.report.tree import Tree
from funcrec.report.views.overview import overview
from funcrec.trace.records import CallSite, GoroutineRecord, ProcessRecord
from tests.calltrees import make_trace, random_tree_events

WHOLE = 1 << 40
PLACES = [CallSite(0x5000 + at, name, 16 * at, "/src/main.go", at + 7) for at, name in enumerate(("main.a", "main.b"))]
FILTERS: dict[str, list[Any]] = {
    "min_ns": [1, 40],
    "max_ns": [60],
    "goroutines": ["1", "2-3"],
    "depth": [2],
    "time_range": ["20%~70%"],
    "filter": ["main.b"],
    "notrace": ["main.c"],
    "hide": ["main.a"],
    "caller_filter": ["main.b"],
    "where": ["dur > 20ns and depth < 3", 'func != "main.c" or self > 1ns'],
}
requests = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in FILTERS.items()})
# Seed, calls and share of lost events of a trace, and filters.
traces_and_requests = (st.integers(0, 10**9), st.integers(20, 200), st.sampled_from([0.0, 0.0, 0.1]), requests)


def tree_trace(seed: int, calls: int, drop: float) -> Trace:
    rng = random.Random(seed)
    events = [event for event in random_tree_events(rng, calls) if rng.random() >= drop]
    trace = make_trace([events[low : low + 20] for low in range(0, len(events), 20)], call_sites=PLACES)
    trace.goroutines += [
        GoroutineRecord(100, goid, goid - 1, 1 + rng.randrange(2), entry, rng.choice([0, 1050, 1 << 40]))
        for goid, entry in enumerate(("main.work", "main.a", "main.b"), 1)
    ]
    if seed % 3:  # else nothing says that there is one process only
        trace.processes.append(ProcessRecord(100, 0, -1, -1, 1, "/srv/svc", ["svc"]))
    return trace


def written(trace: Trace, filters: dict[str, Any], size: int, request: ExportRequest) -> tuple[Any, ...]:
    """The bytes, how many calls there were, and what was said; or the error."""
    file = io.BytesIO()
    try:
        stream = Stream(trace, filter_request(**filters), size)
    except UsageError as error:
        return (str(error),)
    notes = export([stream], ["x"], request, file)
    return content(request.format, file), stream.shown, stream.calls, notes


def named_first(data: bytes) -> list[Any]:
    """Goroutines are named where they appear first, which is no matter to viewers."""
    return sorted(json.loads(data)["traceEvents"], key=lambda event: event["ph"] != "M")


def packets(data: bytes) -> list[bytes]:
    """The same of Perfetto's packets: what only says names first."""
    protos = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    found = sorted(protos.Trace.FromString(data).packet, key=_kind)
    return [packet.SerializeToString() for packet in found]


def _kind(packet: Any) -> tuple[bool, bool]:
    return packet.HasField("track_event"), packet.HasField("interned_data")


def content(form: ExportFormat, file: io.BytesIO) -> Any:
    """What a reader sees: parts of a trace are row groups of their own."""
    if form == ExportFormat.CHROME:
        return named_first(file.getvalue())
    if form == ExportFormat.PERFETTO:
        return packets(file.getvalue())
    if form != ExportFormat.PARQUET:
        return file.getvalue()
    return pytest.importorskip("pyarrow.parquet").read_table(file).to_pylist()


@settings(max_examples=150, deadline=None)
@given(
    *traces_and_requests,
    st.integers(20, 90),
    st.sampled_from(ExportFormat),
    st.booleans(),
)
def test_windows_write_what_the_whole_trace_does(
    seed: int, calls: int, drop: float, filters: dict[str, Any], size: int, form: ExportFormat, apart: bool
) -> None:
    trace = tree_trace(seed, calls, drop)
    request = ExportRequest(form, by_goroutine=apart, max_calls=calls // 3 if apart else 1_000_000)
    whole, parts = (written(trace, filters, each, request) for each in (WHOLE, size))
    assert parts == whole


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.integers(20, 200), st.integers(20, 90), st.integers(0, 60), st.booleans())
def test_a_page_of_two_traces_in_windows_is_that_of_the_whole(
    seed: int, calls: int, size: int, most: int, bucketed: bool
) -> None:
    pair = [tree_trace(each, calls, 0.0) for each in (seed, seed + 1)]
    request = ExportRequest(ExportFormat.HTML, max_calls=most, by="depth" if bucketed else "")

    def page(size: int) -> tuple[bytes, list[str]]:
        file = io.BytesIO()
        cut = export([Stream(trace, FilterRequest(), size) for trace in pair], ["x", "y"], request, file)
        return file.getvalue(), cut

    assert page(size) == page(WHOLE)


@pytest.mark.parametrize("filters", [{"goroutines": "99"}, {"pids": 77}, {"filter": "no.such"}, {"where": "dur >"}])
def test_a_filter_that_names_nothing_fails_before_anything_is_written(filters: dict[str, Any]) -> None:
    trace = tree_trace(1, 150, 0.0)
    assert written(trace, filters, 40, ExportRequest(ExportFormat.JSONL)) == written(
        trace, filters, WHOLE, ExportRequest(ExportFormat.JSONL)
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**9),
    st.integers(20, 200),
    st.sampled_from([0.0, 0.1]),
    requests,
    st.lists(st.sampled_from(["func", "caller", "state", "goroutine", "depth", "dur/10"]), max_size=2),
    st.integers(20, 90),
)
def test_totals_of_windows_are_those_of_the_whole(
    seed: int, calls: int, drop: float, filters: dict[str, Any], by: list[str], size: int
) -> None:
    trace = tree_trace(seed, calls, drop)
    trace.header.probe_cost_ns["emulated"] = 2.0
    request = StatRequest(filter_request(**filters), tuple(by), spread=True)
    whole, parts = (stat_of(trace, "x", request, each) for each in (WHOLE, size))
    assert parts.facts == whole.facts
    assert sorted(map(repr, rows_of(parts, by))) == sorted(map(repr, rows_of(whole, by)))


@settings(max_examples=60, deadline=None)
@given(
    *traces_and_requests,
    st.sampled_from(["dur", "self", "depth"]),
    st.lists(st.sampled_from(["func", "state", "caller"]), max_size=1),
    st.sampled_from([0, 37]),
    st.integers(20, 90),
)
def test_distributions_of_windows_are_those_of_the_whole(
    seed: int, calls: int, drop: float, filters: dict[str, Any], of: str, by: list[str], slice_ns: int, size: int
) -> None:
    trace = tree_trace(seed, calls, drop)
    request = HistRequest(filter_request(**filters), of, tuple(by), slice_ns=slice_ns)
    whole, parts = (hist_of(trace, "x", request, each) for each in (WHOLE, size))
    assert parts.facts == whole.facts
    assert sorted(map(repr, hist_rows(parts, request))) == sorted(map(repr, hist_rows(whole, request)))


Sides = dict[Any, tuple[int, int, list[int]]]


def by_key(durations: Durations) -> Sides:
    """All calls, those that ended, and their durations in order of time, of each group."""
    ended = durations.ended.sum(1)
    ns = np.split(durations.ns, np.cumsum(ended)[:-1])
    columns = zip(durations.calls.tolist(), ended.tolist(), [each.tolist() for each in ns], strict=False)
    return dict(zip(durations.keys, columns, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    *traces_and_requests,
    st.lists(st.sampled_from(["state", "caller", "goroutine"]), max_size=1),
    st.integers(20, 90),
)
def test_windows_tell_durations_in_the_order_of_the_whole(
    seed: int, calls: int, drop: float, filters: dict[str, Any], by: list[str], size: int
) -> None:
    trace = tree_trace(seed, calls, drop)
    request = DiffRequest(filter_request(**filters), tuple(by))
    (facts, whole), (same, parts) = (durations_of(trace, "x", request, each) for each in (WHOLE, size))
    assert same == facts
    assert by_key(parts) == by_key(whole)


@settings(max_examples=60, deadline=None)
@given(*traces_and_requests, st.integers(20, 90))
def test_goroutines_of_windows_are_those_of_the_whole(
    seed: int, calls: int, drop: float, filters: dict[str, Any], size: int
) -> None:
    trace = tree_trace(seed, calls, drop)
    request = GoroutinesRequest(filter_request(**filters))
    whole, parts = (goroutines_of(trace, "x", request, each) for each in (WHOLE, size))
    assert parts == whole


def paths(tree: Tree) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Numbers of each node by the names from its root to it."""
    found: list[tuple[str, ...]] = []
    for name, parent in zip(tree.func, tree.parent.tolist(), strict=True):
        found.append((*(found[parent] if parent >= 0 else ()), name))
    return dict(zip(found, zip(tree.calls, tree.ended, tree.total_ns, tree.self_ns, strict=True), strict=True))


@settings(max_examples=60, deadline=None)
@given(
    *traces_and_requests,
    st.sampled_from([None, None, "main.b", "main.?", "no.such"]),
    st.integers(20, 90),
)
def test_trees_of_windows_are_those_of_the_whole(
    seed: int, calls: int, drop: float, filters: dict[str, Any], function: str | None, size: int
) -> None:
    trace = tree_trace(seed, calls, drop)
    request = GraphRequest(filter_request(**filters), function)
    whole, parts = (graph_of(trace, "x", request, each) for each in (WHOLE, size))
    assert parts.facts == whole.facts
    assert parts.found == whole.found
    assert paths(parts.callees) == paths(whole.callees)
    above = [None if graph.callers is None else paths(graph.callers) for graph in (parts, whole)]
    assert above[0] == above[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(20, 200), st.sampled_from([0.0, 0.1]), st.integers(20, 90), st.booleans())
def test_facts_of_windows_are_those_of_the_whole(seed: int, calls: int, drop: float, size: int, true: bool) -> None:
    whole, trace = (tree_trace(seed, calls, drop) for _ in range(2))
    told = whole.site_hits
    trace.reader.site_events = told if true else told[::-1]  # what the file says is not believed
    assert overview(trace, size) == overview(whole)

"""Filters, groups and numbers made of recorded values are the same window by window as of the whole trace."""

import io
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.errors import UsageError
from funcrec.lang.expr import parse
from funcrec.report.answers.diff import DiffRequest
from funcrec.report.answers.graph import GraphRequest, graph_of
from funcrec.report.answers.hist import HistRequest, hist_of
from funcrec.report.answers.hist import rows_of as hist_rows
from funcrec.report.answers.sides import durations_of
from funcrec.report.answers.stat import StatRequest, rows_of, stat_of
from funcrec.report.apart import told_apart
from funcrec.report.export.formats import ExportFormat
from funcrec.report.export.run import ExportRequest
from funcrec.report.request import filter_request
from funcrec.report.stream import Finished
from funcrec.report.trace import Trace
from funcrec.report.windows import ApartError
from funcrec.trace.reader import TraceReader
from funcrec.trace.records import EventColumns, SnapshotDelta, ValueColumns
from funcrec.trace.writer import TraceWriter
from tests.property.test_stream import WHOLE, by_key, paths, written
from tests.traces import by_event

GOLDEN = Path(__file__).parents[2] / "formats/golden/v1/values.zst"
COPIES = 2  # goroutines that do the same, each a little later
# The first are told apart, the others only by what occurs; each lets some calls of the trace pass.
APART = ["d > 0 or n == 7", "err != nil", "not s == nil", "len(b) > 3", "r1 == nil and dur > 1us", 't =~ "*-01-*"']
TOGETHER = ["a > 1", 'err == "plain failure"', "r0 < 100", 's == "bad*" or dur < 2us']
NUMBERS = ["len(b)", "d", "n", "r3 * 2", "dur - self", "a"]
KEYS = ["len(b)/4", "d % 3", "t", "ip", "err != nil", "n", "func", "r1", "a"]
conditions = st.lists(st.sampled_from(APART + TOGETHER), max_size=2)
sizes = st.integers(20, 400)
pieces = st.integers(10, 60)


@cache
def recorded() -> tuple[TraceReader, EventColumns, list[bytes | None]]:
    """The events of a recording of real values, of several goroutines and in order of time, and their captures."""
    reader = TraceReader(GOLDEN)
    events, captures = reader.events(0), by_event(reader.values(0))
    n = len(events)
    shift = np.repeat(np.arange(COPIES) * 100_000, n)
    order = np.argsort(np.tile(events.time_ns, COPIES) + shift, kind="stable")
    copies = {name: np.tile(getattr(events, name), COPIES) for name in EventColumns.__dataclass_fields__}
    copies["time_ns"] += shift
    copies["goid"] += np.repeat(np.arange(COPIES), n).astype(np.uint64)
    return reader, EventColumns(**copies).take(order), [captures.get(int(at) % n) for at in order]


@cache
def cut(piece: int) -> bytes:
    """A trace of blocks of so many events."""
    reader, events, captures = recorded()
    file = io.BytesIO()
    writer = TraceWriter(file, reader.header)
    tables = (reader.functions, reader.sites, reader.call_sites, reader.skipped, reader.types, reader.plans)
    writer.snapshot(SnapshotDelta(*tables, code=reader.code))
    writer.processes(reader.processes)
    for first in range(0, len(events), piece):
        here = np.arange(first, min(first + piece, len(events)))
        stored = here[np.argsort(events.goid[here], kind="stable")]
        blobs = [captures[at] for at in stored.tolist()]
        held = np.array([at for at, blob in enumerate(blobs) if blob is not None], np.uint32)
        kept = [blob for blob in blobs if blob is not None]
        values = ValueColumns(held, np.array([len(blob) for blob in kept], np.uint32), b"".join(kept))
        writer.events(events.take(stored), values)
    assert reader.closing is not None
    writer.close(replace(reader.closing, events=len(events)))
    return file.getvalue()


def trace_of(piece: int) -> Trace:
    return Trace(io.BytesIO(cut(piece)))


def test_values_are_told_apart_by_their_types() -> None:
    trace = trace_of(40)
    told = {text: told_apart(trace, parse(text)) for text in APART + TOGETHER}
    assert told == {**dict.fromkeys(APART, True), **dict.fromkeys(TOGETHER, False)}
    for where in APART + TOGETHER:
        assert 0 < hist_of(trace, "x", HistRequest(filter_request(where=where)), 60).facts[0].shown < len(trace.table())


@settings(max_examples=25, deadline=None)
@given(pieces, conditions, st.lists(st.sampled_from(KEYS), max_size=2), st.booleans(), sizes)
def test_totals(piece: int, where: list[str], by: list[str], errors: bool, size: int) -> None:
    request = StatRequest(filter_request(where=tuple(where)), tuple(by), errors=errors)
    whole, parts = (stat_of(trace_of(piece), "x", request, each) for each in (WHOLE, size))
    assert parts.facts == whole.facts
    assert sorted(map(repr, rows_of(parts, by))) == sorted(map(repr, rows_of(whole, by)))


@settings(max_examples=25, deadline=None)
@given(pieces, conditions, st.sampled_from(NUMBERS), st.lists(st.sampled_from(KEYS), max_size=1), sizes)
def test_distributions(piece: int, where: list[str], of: str, by: list[str], size: int) -> None:
    request = HistRequest(filter_request(where=tuple(where)), of, tuple(by))
    whole, parts = (hist_of(trace_of(piece), "x", request, each) for each in (WHOLE, size))
    assert parts.facts == whole.facts
    assert sorted(map(repr, hist_rows(parts, request))) == sorted(map(repr, hist_rows(whole, request)))


@settings(max_examples=20, deadline=None)
@given(pieces, conditions, st.lists(st.sampled_from(KEYS), max_size=2), sizes)
def test_durations(piece: int, where: list[str], by: list[str], size: int) -> None:
    request = DiffRequest(filter_request(where=tuple(where)), tuple(by))
    (facts, whole), (same, parts) = (durations_of(trace_of(piece), "x", request, each) for each in (WHOLE, size))
    assert same == facts
    assert by_key(parts) == by_key(whole)


@settings(max_examples=20, deadline=None)
@given(pieces, conditions, sizes, st.sampled_from([ExportFormat.JSONL, ExportFormat.PPROF]))
def test_streams(piece: int, where: list[str], size: int, form: ExportFormat) -> None:
    whole, parts = (written(trace_of(piece), {"where": where}, each, ExportRequest(form)) for each in (WHOLE, size))
    assert parts == whole


@settings(max_examples=20, deadline=None)
@given(pieces, conditions, sizes)
def test_trees(piece: int, where: list[str], size: int) -> None:
    request = GraphRequest(filter_request(where=tuple(where)))
    whole, parts = (graph_of(trace_of(piece), "x", request, each) for each in (WHOLE, size))
    assert parts.facts == whole.facts
    assert paths(parts.callees) == paths(whole.callees)


def test_what_would_be_read_too_often_is_read_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    request = HistRequest(filter_request(), "dur", ("len(b)",))
    whole = hist_rows(hist_of(trace_of(20), "x", request, WHOLE), request)
    monkeypatch.setattr("funcrec.report.stream._READINGS", 0)
    with pytest.raises(ApartError):
        list(Finished(trace_of(20), filter_request(where=APART[0]), 60))
    assert hist_rows(hist_of(trace_of(20), "x", request, 60), request) == whole


@pytest.mark.parametrize("where", ["nothing > 1", "t > 5", "b.c == 1", "err > 1 and"])
@pytest.mark.parametrize("size", [60, WHOLE])
def test_what_is_wrong_with_a_condition_is_told(where: str, size: int) -> None:
    messages = set[Any]()
    for each in (size, WHOLE):
        with pytest.raises(UsageError) as error:
            stat_of(trace_of(30), "x", StatRequest(filter_request(where=where)), each)
        messages.add(str(error.value))
    assert len(messages) == 1

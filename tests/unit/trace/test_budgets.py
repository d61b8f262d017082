"""What a file may hold grows with its size; a writer fills up what is denser, so that no honest file is refused."""

import io

import numpy as np

from funcrec.trace.budgets import check_budgets
from funcrec.trace.layout import find_records
from funcrec.trace.reader import TraceReader
from funcrec.trace.records import (
    CallSite,
    EventColumns,
    FunctionRecord,
    GoroutineRecord,
    LostRecord,
    RecordType,
    SiteRecord,
    SnapshotDelta,
    ValueColumns,
)
from funcrec.trace.source import Source
from tests.traces import START, Made, by_event, closing, same, snapshot


def read(made: Made) -> TraceReader:
    made.writer.close(closing())
    reader = TraceReader(io.BytesIO(made.bytes()))
    assert reader.check() is None
    return reader


def even(n: int) -> EventColumns:
    """Calls of one function by the clock: what compresses best."""
    at = np.arange(n)
    one = np.ones(n, np.uint32)
    site = (at % 2).astype(np.uint32)
    return EventColumns(
        START.monotonic_ns + at * 100, one, one.astype(np.uint64), np.zeros(n, np.uint64), one, site, 64 * one, 1 - site
    )


def test_events_at_an_even_pace():
    made = Made(snapshot())
    events = even(900_000)
    made.writer.events(events)
    assert same(read(made).events(0), events)
    assert made.writer.bytes_written > 450_000


def test_captures_that_are_all_the_same():
    made = Made(snapshot())
    n = 200_000
    values = ValueColumns(np.arange(n, dtype=np.uint32), np.full(n, 16, np.uint32), b"0123456789abcdef" * n)
    made.writer.events(even(n), values)
    assert set(by_event(read(made).values(0)).values()) == {b"0123456789abcdef"}


def test_rows_that_are_all_the_same():
    n = 120_000
    made = Made(
        SnapshotDelta(
            functions=[FunctionRecord("f", 0, "", 0)] * n,
            sites=[SiteRecord(0, 0, 1, False)] * n,
            call_sites=[CallSite(0, "", 0, "", 0)] * n,
        )
    )
    made.writer.lost([LostRecord(0, 1, 1, 1)] * n)
    made.writer.goroutines([GoroutineRecord(1, goid, 0, 0, "f", 5) for goid in range(n)])
    reader = read(made)
    assert [len(each) for each in (reader.functions, reader.sites, reader.call_sites)] == [n, n, n]
    assert [len(each) for each in (reader.lost, reader.goroutines)] == [n, n]


def test_every_dense_record_keeps_the_limits_by_itself():
    """So that a cut file keeps them too, and one of any length."""
    made = Made(snapshot())
    made.writer.events(even(300_000))
    made.writer.lost([LostRecord(0, 1, 1, 1)] * 50_000)
    source = Source(io.BytesIO(made.bytes()))
    for place in find_records(source).places:
        if place.prefix.type in (RecordType.EVENTS, RecordType.LOST):
            check_budgets([place.prefix] * 1000, 1000 * (place.end - place.offset), "x")


def test_ordinary_records_are_not_filled_up():
    made = Made(snapshot())
    random = np.random.default_rng(1)
    events = even(10_000)
    events.time_ns[:] = START.monotonic_ns + np.cumsum(random.integers(500, 5000, 10_000))
    made.writer.events(events)
    assert b"fill" not in b"".join(bytes(repr(field), "utf-8") for field in _fields(made))


def _fields(made: Made) -> list[str]:
    import msgpack
    import zstandard

    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(made.bytes()), read_across_frames=True)
    return [name for body in msgpack.Unpacker(reader, max_buffer_size=1 << 26) for name in body]

"""What goes into a trace comes out of it; what cannot be in one is refused."""

import io
import os
import threading

import msgpack
import numpy as np
import pytest
import zstandard

from funcrec.trace.limits import MAX_BLOCK_EVENTS
from funcrec.trace.reader import TraceReader
from funcrec.trace.records import (
    CallSite,
    ClockReading,
    FunctionRecord,
    GoroutineRecord,
    LostRecord,
    NoteRecord,
    ProcessRecord,
    SiteRecord,
    SkippedRecord,
    SnapshotDelta,
    ValueColumns,
)
from funcrec.trace.writer import TraceWriter
from tests.traces import (
    END,
    START,
    Made,
    by_event,
    captures,
    closing,
    header,
    in_stored_order,
    random_events,
    same,
    small_trace,
    snapshot,
)

HOSTILE = "main.\x1b[31m\x00\n\udcff‮<script>"


def read(data: bytes) -> TraceReader:
    reader = TraceReader(io.BytesIO(data))
    assert reader.damage is None
    return reader


def test_header_comes_back():
    given = header(
        argv=["funcrec", HOSTILE],
        options={"entry_only": True, "min": None, "nested": {"list": [1, -1, 2.5, b"\0"]}},
        probe_cost_ns={"emulated": 712.5, "stepped": 14000.0},
        features_optional=["something new"],
    )
    assert read(_closed(Made(**_fields(given)))).header == given


def test_tables_come_back_in_several_pieces():
    delta = snapshot(functions=3000)
    made = Made(delta)
    made.writer.snapshot(SnapshotDelta())
    more = SnapshotDelta(
        functions=[FunctionRecord(HOSTILE, 2**64 - 1, "", 0, hidden=True)],
        sites=[SiteRecord(3000, 1, 3, False, condition=-1, sp_delta=-(2**31))],
        call_sites=[CallSite(0, "", 0, "", 0)],
        skipped=[SkippedRecord(HOSTILE, HOSTILE)],
        types=[{"kind": "struct", "fields": [["a", 1, b"\xff"]]}],
        plans=[{"function": 1, "reads": []}],
    )
    made.writer.snapshot(more)
    reader = read(_closed(made))
    assert reader.functions == delta.functions + more.functions
    assert reader.sites == delta.sites + more.sites
    assert reader.call_sites == delta.call_sites + more.call_sites
    assert reader.skipped == delta.skipped + more.skipped
    assert reader.types == more.types
    assert reader.plans == more.plans


def test_facts_come_back():
    made = Made(snapshot())
    losses = [LostRecord(3, 5, 9, 40, by_site={0: 30, 7: 2}, events=62), LostRecord(0, 1, 1, 2, "values", events=2)]
    processes = [
        ProcessRecord(7, 100, command=["a", HOSTILE]),
        ProcessRecord(8, 50, 60, 3, 7, "/bin/x"),
        ProcessRecord(7, 100, 900, -1, 1, "/bin/y"),
    ]
    goroutines = [
        GoroutineRecord(7, 1, 0, 0, "main.main", 10),
        GoroutineRecord(7, 2**63, 1, 5, HOSTILE, 5),
        GoroutineRecord(7, 1, 0, 0, "runtime.main", 10),
    ]
    reading, note = ClockReading(1, 2, -3), NoteRecord(77, "guard", HOSTILE)
    made.writer.lost(losses)
    made.writer.processes(processes)
    made.writer.goroutines(goroutines)
    made.writer.clock(reading)
    made.writer.note(note)
    end = closing(12, lost_events=40, lost_values=2, exit_status=9, reason="signal", site_hits={2: 2**40, 0: 1})
    made.writer.close(end)
    reader = read(made.bytes())
    assert reader.lost == losses
    assert reader.processes == [processes[2], processes[1]]
    assert reader.goroutines == [goroutines[2], goroutines[1]]
    assert reader.clocks == [START, reading]
    assert reader.notes == [note]
    assert reader.closing == end


def test_events_come_back_sorted_with_their_captures():
    made = Made(snapshot())
    events, values = random_events(1, 5000), captures(1, 5000)
    made.writer.events(events, values)
    reader = read(_closed(made))
    assert same(reader.events(0), in_stored_order(events))
    order = np.lexsort((np.arange(5000), events.time_ns, events.stack, events.goid, events.pid))
    stored, given = by_event(reader.values(0)), by_event(values)
    assert len(stored) == len(given)
    assert all(stored[at] == given[event] for at, event in enumerate(order.tolist()) if event in given)


def test_blocks_number_events_over_the_file():
    made = Made(snapshot())
    given = [random_events(at, 100 + at, goroutines=2 + at) for at in range(3)]
    for events in given:
        made.writer.events(events)
    made.writer.events(random_events(0, 0))
    reader = read(_closed(made))
    assert [(block.first_event, block.n) for block in reader.blocks] == [(0, 100), (100, 101), (201, 102)]
    for block, events in zip(reader.blocks, given, strict=True):
        assert (block.t_min, block.t_max) == (events.time_ns.min(), events.time_ns.max())
        assert (block.goid_min, block.goid_max) == (events.goid.min(), events.goid.max())
        assert reader.values(block.number) is None
        assert block.values == 0


def test_more_events_than_a_block_takes_become_several():
    made = Made(snapshot())
    n = MAX_BLOCK_EVENTS + 1000
    events, values = random_events(1, n), captures(1, n, share=0.001)
    made.writer.events(events, values)
    reader = read(_closed(made))
    assert [block.n for block in reader.blocks] == [MAX_BLOCK_EVENTS, 1000]
    assert sum(len(by_event(reader.values(at))) for at in (0, 1)) == len(values)


def test_many_captures_are_split_over_records():
    made = Made(snapshot())
    values = ValueColumns(np.arange(9, dtype=np.uint32)[::-1], np.full(9, 1 << 20, np.uint32), os.urandom(9 << 20))
    events = random_events(1, 9, goroutines=1)
    made.writer.events(events, values)
    stored = read(_closed(made)).values(0)
    assert sorted(by_event(stored).values()) == sorted(by_event(values).values())


def test_widest_numbers_come_back():
    made = Made(snapshot())
    events = random_events(1, 6)
    events.time_ns[:] = [0, 2**62 - 1, 0, 2**61, 1, 2**62 - 2]
    events.goid[:] = [0, 2**64 - 1, 2**63, 1, 2**32, 5]
    events.stack[:] = 2**64 - 1
    events.pid[:] = [2**32 - 1, 0, 2**32 - 1, 0, 1, 0]
    events.tid[:] = [0, 2**32 - 1, 0, 2**32 - 1, 0, 1]
    events.depth[:] = [0, 2**32 - 8, 0, 8, 2**32 - 8, 0]
    made.writer.events(events)
    assert same(read(_closed(made)).events(0), in_stored_order(events))


def test_goroutine_numbers_of_many_bytes_in_the_index():
    made = Made(snapshot())
    for at in range(3):
        events = random_events(at, 10)
        events.goid[:] = 2**63 + at
        made.writer.events(events)
    reader = read(_closed(made))
    assert [block.goid_max for block in reader.blocks] == [2**63 + at for at in range(3)]


def test_more_than_65536_goroutines():
    made = Made(snapshot())
    events = random_events(3, 100_000, goroutines=1 << 40)
    made.writer.events(events)
    assert same(read(_closed(made)).events(0), in_stored_order(events))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"site": 99}, "site"),
        ({"caller": 6}, "call site"),
        ({"depth": 12}, "multiple of 8"),
        ({"site": 1, "caller": 1}, "caller"),
    ],
)
def test_impossible_events_are_refused(change, reason):
    made = Made(snapshot())
    events = random_events(1, 4)
    for name, value in change.items():
        getattr(events, name)[2] = value
    with pytest.raises(ValueError, match=reason):
        made.writer.events(events)


@pytest.mark.parametrize(
    "values",
    [
        ValueColumns(np.array([0, 0], np.uint32), np.array([1, 1], np.uint32), b"ab"),
        ValueColumns(np.array([4], np.uint32), np.array([1], np.uint32), b"a"),
        ValueColumns(np.array([1], np.uint32), np.array([2], np.uint32), b"a"),
        ValueColumns(np.array([1, 2], np.uint32), np.array([1], np.uint32), b"a"),
    ],
)
def test_impossible_captures_are_refused(values):
    made = Made(snapshot())
    with pytest.raises(ValueError, match="capture"):
        made.writer.events(random_events(1, 4), values)


def test_references_to_nothing_are_refused():
    writer = Made(snapshot()).writer
    with pytest.raises(ValueError, match="function"):
        writer.snapshot(SnapshotDelta(sites=[SiteRecord(4, 0, 1, False)]))
    with pytest.raises(ValueError, match="site"):
        writer.lost([LostRecord(0, 1, 2, 3, by_site={15: 1})])
    with pytest.raises(ValueError, match="more than all"):
        writer.lost([LostRecord(0, 1, 2, 3, by_site={1: 4})])
    with pytest.raises(ValueError, match="call site"):
        writer.goroutines([GoroutineRecord(1, 1, 0, 6, "", 0)])


def test_the_file_is_a_stream_of_whole_msgpack_maps():
    content = zstandard.ZstdDecompressor().stream_reader(small_trace(), read_across_frames=True).read()
    names = [body["record"] for body in msgpack.Unpacker(io.BytesIO(content))]
    assert names[0] == "header"
    assert names[-1] == "index"
    assert names.count("events") == names.count("values") == 3


def test_writes_to_a_pipe():
    receiver, sender = os.pipe()
    received: list[bytes] = []

    def drain() -> None:
        with open(receiver, "rb") as end:
            received.append(end.read())

    thread = threading.Thread(target=drain)
    thread.start()
    with open(sender, "wb", buffering=0) as file:
        writer = TraceWriter(file, header())
        writer.snapshot(snapshot())
        for at in range(20):
            writer.events(random_events(at, 2000))
        writer.close(closing(40_000))
    thread.join()
    assert writer.bytes_written == len(received[0])
    assert len(read(received[0]).blocks) == 20


def test_every_record_is_in_the_file_when_its_call_returns(tmp_path):
    path = tmp_path / "trace.zst"
    with path.open("wb") as file:
        writer = TraceWriter(file, header())
        writer.snapshot(snapshot())
        writer.events(random_events(1, 50))
        assert path.stat().st_size == writer.bytes_written
        with TraceReader(path) as reader:
            assert (reader.damage, reader.closing, len(reader.events(0))) == (None, None, 50)


class _Full(io.BytesIO):
    """A disk that takes 900 bytes."""

    def write(self, data):
        room = 900 - len(self.getvalue())
        if room == 0:
            raise OSError(28, "No space left on device")
        return super().write(bytes(data)[:room])


def test_a_full_disk_keeps_what_was_written():
    file = _Full()
    writer = TraceWriter(file, header())
    note = NoteRecord(1, "x", "y")
    writer.note(note)
    writer.note(note)
    with pytest.raises(OSError, match="No space"):
        writer.snapshot(snapshot())
    with pytest.raises(OSError, match="before"):
        writer.clock(START)
    writer.close(closing())
    reader = TraceReader(io.BytesIO(file.getvalue()))
    assert reader.notes == [note, note]
    assert "cut inside a record" in reader.damage
    assert reader.closing is None


def test_equal_input_gives_equal_bytes():
    assert small_trace() == small_trace()


def test_a_second_close_changes_nothing():
    made = Made()
    made.writer.close(closing())
    size = len(made.bytes())
    made.writer.close(closing())
    assert len(made.bytes()) == size == made.writer.bytes_written


def _closed(made: Made) -> bytes:
    made.writer.close(closing(clock=END))
    return made.bytes()


def _fields(record):
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


@pytest.mark.parametrize(
    "command", [["z"] * 70_000, ["svc", "\U0001f642" * 2_000_000], ["\U0001f642" * 7] * 5_000, ["x" * 32_768], []]
)
def test_command_lines_of_any_length_can_be_read(command):
    made = Made(argv=command)
    made.writer.processes([ProcessRecord(pid, 1, exe="\U0001f642" * 70_000, command=command) for pid in range(1, 100)])
    reader = read(_closed(made))
    assert len(reader.processes) == 99
    for told in (reader.header.argv, reader.processes[0].command):
        whole = len(command) <= 4096 and sum(map(len, command)) <= 32_768
        assert told == command if whole else told[-1].endswith("…")
        assert command[: len(told) - 1] == told[:-1]

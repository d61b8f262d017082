"""Cut, damaged, foreign and hostile files: everything before the damage, one line about it, TraceError or a result."""

import io
import subprocess
import sys
import textwrap

import msgpack
import numpy as np
import pytest
import zstandard

from funcrec.errors import TraceError
from funcrec.trace.framing import HEAD_SIZE, PREFIX_SIZE, Head, Prefix
from funcrec.trace.limits import MAX_RAW
from funcrec.trace.reader import TraceReader
from funcrec.trace.records import CallSite, LostRecord, RecordType, SnapshotDelta
from tests.traces import START, Made, by_event, closing, header, random_events, same, small_trace, snapshot

DATA = small_trace()


def read(data: bytes) -> TraceReader:
    return TraceReader(io.BytesIO(data))


def records(data: bytes) -> list[tuple[int, Prefix]]:
    """Offset and prefix of every record, found step by step."""
    file_id = Head.parse(data).file_id
    offset, found = HEAD_SIZE, []
    while (prefix := Prefix.parse(data[offset : offset + PREFIX_SIZE], file_id)) is not None:
        found.append((offset, prefix))
        offset += PREFIX_SIZE + prefix.compressed
    return found


def splice(data: bytes, kind: int, body: object, **changes: object) -> bytes:
    """Put one more record, of the given body, after all others but the index; no end mark."""
    *_, (offset, last) = records(data)
    raw = body if isinstance(body, bytes) else msgpack.packb(body)
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(raw)
    fields = {name: 0 for name in Prefix.__dataclass_fields__}
    fields |= {"type": kind, "version": 1, "sequence": last.sequence, "compressed": len(frame), "raw": len(raw)}
    prefix = Prefix(**(fields | changes))
    return data[:offset] + prefix.frame(Head.parse(data).file_id) + frame


def contents(reader: TraceReader) -> list[object]:
    """Everything a reader delivers."""
    events = [reader.events(block.number) for block in reader.blocks]
    values = [by_event(reader.values(block.number)) for block in reader.blocks]
    return [*zip(events, values, strict=True)]


def is_prefix(part: list, whole: list) -> bool:
    # A block may come without its captures when the cut lies between them.
    return len(part) <= len(whole) and all(
        same(a, c) and (b == d or not b) for (a, b), (c, d) in zip(part, whole, strict=False)
    )


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "is empty"),
        (b"\x7fELF\x02\x01\x01\0" + bytes(100), "begins with 7f 45 4c 46"),
        (DATA[:20], "damaged trace"),
        (DATA[:40], "no header record"),
        (zstandard.compress(b"something else"), "not a funcrec trace"),
        (Head(2, 7, 1).pack(), "has trace format version 2.7, this funcrec reads versions 1 to 1"),
        (Head(0, 0, 1).pack(), "version 0.0"),
    ],
)
def test_what_is_no_trace_is_refused(data, cause):
    with pytest.raises(TraceError, match=cause):
        read(data)


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(TraceError, match="No such file"):
        TraceReader(tmp_path / "none.zst")
    with pytest.raises(TraceError, match="directory"):
        TraceReader(tmp_path)


def test_an_unknown_required_feature_is_named():
    made = Made(features_required=["telepathy"])
    with pytest.raises(TraceError, match="needs 'telepathy'"):
        read(made.bytes())


def test_every_cut_yields_what_was_whole():
    whole = contents(read(DATA))
    ends = [offset + PREFIX_SIZE + prefix.compressed for offset, prefix in records(DATA)]
    for size in range(ends[0], len(DATA)):
        reader = read(DATA[:size])
        assert is_prefix(contents(reader), whole)
        inside = sum(
            end <= size for end, (_, p) in zip(ends, records(DATA), strict=True) if p.type == RecordType.EVENTS
        )
        assert len(reader.blocks) == inside
        assert (reader.damage is None) == (size in ends)
        assert (reader.closing is None) == (size < ends[-1])
        assert reader.lost == []


def test_a_flip_never_gives_something_else():
    whole = contents(read(DATA))
    for at in range(len(DATA)):
        damaged = bytearray(DATA)
        damaged[at] ^= 1 << at % 8
        try:
            reader = read(bytes(damaged))
        except TraceError:
            assert at < records(DATA)[1][0]
            continue
        got = contents(reader)
        kept = [pair for pair in got if len(pair[0])]
        assert len(kept) >= len(whole) - 1 or at < records(DATA)[5][0]
        for events, values in kept:
            assert any(same(events, other) and (values == known or not values) for other, known in whole)
        lost = sum(loss.count for loss in reader.lost if loss.kind == "events")
        later = sum(len(events) for events, _ in got) + lost
        assert later == 60 or reader.damage is not None


def test_a_damaged_block_becomes_a_loss_and_the_rest_stays():
    offset, prefix = [each for each in records(DATA) if each[1].type == RecordType.EVENTS][1]
    damaged = bytearray(DATA)
    damaged[offset + PREFIX_SIZE + prefix.compressed // 2] ^= 0x10
    reader = read(bytes(damaged))
    assert [len(reader.event_sites(at)) for at in range(3)] == [20, 0, 20]
    assert [len(reader.events(at)) for at in range(3)] == [20, 0, 20]
    assert reader.lost == [LostRecord(0, prefix.t_min, prefix.t_max, 20, damaged=True)]
    assert [(block.first_event, block.n) for block in reader.blocks] == [(0, 20), (20, 0), (20, 20)]
    assert reader.damage.startswith(f"at byte {offset} 20 events are lost")


def test_after_a_destroyed_prefix_reading_goes_on_at_the_next_record():
    (offset, prefix), *_ = [each for each in records(DATA) if each[1].type == RecordType.EVENTS][1:]
    damaged = bytearray(DATA[: records(DATA)[-1][0]])  # without index
    damaged[offset : offset + 20] = bytes(20)
    reader = read(bytes(damaged))
    assert [len(events) for events, _ in contents(reader)] == [20, 20]
    # The hole is between the blocks: its window covers both.
    (loss,) = reader.lost
    assert (loss.count, loss.damaged) == (20, True)
    assert loss.first_ns <= prefix.t_min
    assert loss.last_ns == reader.blocks[1].t_max
    assert "1 record lost" in reader.damage


def test_a_lost_snapshot_never_shifts_ids():
    made = Made(snapshot(call_sites=2))
    made.writer.snapshot(SnapshotDelta(call_sites=[CallSite(1, "lost", 0, "", 0)]))
    made.writer.snapshot(SnapshotDelta(call_sites=[CallSite(2, "after", 0, "", 0)]))
    made.writer.events(random_events(1, 200, snapshot(call_sites=4)))
    made.writer.close(closing(200))
    offset = records(made.bytes())[-4][0]
    damaged = bytearray(made.bytes())
    damaged[offset + PREFIX_SIZE + 5] ^= 1
    reader = read(bytes(damaged))
    assert [site.name for site in reader.call_sites] == ["main.main", "main.main"]
    assert len(reader.events(0)) == 0
    assert sum(loss.count for loss in reader.lost) == 200


def test_an_index_that_lies_is_not_believed():
    cut = DATA[: records(DATA)[-1][0]]
    assert is_prefix(contents(read(cut)), contents(read(DATA)))
    twice = DATA + DATA
    reader = read(twice)
    assert len(reader.blocks) == 3
    assert "follows the end mark" in reader.damage


def test_records_of_another_trace_are_not_taken_for_ours():
    other = Made(snapshot(), tool="another")
    other.writer.events(random_events(9, 10))
    foreign = other.bytes()[records(other.bytes())[-1][0] :]
    offset, _ = records(DATA)[-1]
    reader = read(DATA[:offset] + foreign)
    assert len(reader.blocks) == 3
    assert "nothing more can be read" in reader.damage


@pytest.mark.parametrize("changes", [{"type": 77}, {"type": 10, "version": 2}, {"type": 10, "flags": 4}])
def test_records_of_a_later_minor_version_are_passed_over(changes):
    reader = read(splice(DATA, 10, {"record": "new"}, **changes))
    assert reader.damage is None
    assert len(reader.passed_over) == 1
    assert len(contents(reader)) == 3


def test_further_fields_and_columns_are_ignored():
    rows = [[1, 2, -1, -1, 0, "exe", [], "more"]]
    reader = read(splice(DATA, RecordType.PROCESSES, {"record": "processes", "processes": rows, "x": 1}, count=1))
    assert reader.damage is None
    assert reader.processes[0].exe == "exe"


EVENTS = {
    "n": 2, "t_min": 5, "t_max": 6, "runs": 1, "length": b"\2", "pid": b"\1", "goid": b"\1", "stack": b"",
    "time": b"\0\2", "site": b"\0\1", "depth": b"\2\0", "tid": b"\2\0", "caller": b"\1",
}  # fmt: skip


def _events(**changes):
    prefix = {"count": 2, "first": 60, "t_min": 5, "t_max": 6}
    fields = EVENTS | changes
    prefix |= {name: changes[name] for name in ("t_min", "t_max") if name in changes}
    return splice(DATA, RecordType.EVENTS, {"record": "events", **fields}, **prefix)


def test_a_block_made_by_hand_is_read():
    events = read(_events()).events(3)
    assert events.time_ns.tolist() == [5, 6]
    assert events.site.tolist() == [0, 1]
    assert events.depth.tolist() == [8, 8]
    assert events.caller.tolist() == [1, 0]


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 3},
        {"n": True},
        {"n": "2"},
        {"n": 1 << 40},
        {"runs": 0},
        {"runs": 3},
        {"length": b"\3"},
        {"length": b"\1"},
        {"length": b""},
        {"runs": 2, "length": b"\1\1"},  # equal runs
        {"runs": 2, "length": b"\1\1", "pid": b"\2\1"},  # in the wrong order
        {"runs": 2, "length": b"\2\0", "pid": b"\1\2"},
        {"t_min": 4},
        {"t_max": 7},
        {"time": b"\2\0"},
        {"time": b"\2\1"},  # backwards inside a run
        {"time": b"\0\2" + bytes(14) + b"\1\0"},
        {"time": b"\0\2\0"},
        {"site": b"\0\x63"},
        {"depth": b"\1\2"},
        {"depth": b"\2\0" + b"\0\0" * 3 + b"\4\0"},
        {"depth": bytes(12)},
        {"tid": b"\1\0"},
        {"caller": b"\x10"},
        {"caller": b"\1\1\1\1\1"},
        {"site": None},
    ],
)
def test_contradictions_in_a_block_are_damage(changes):
    reader = read(_events(**changes))
    assert len(reader.blocks) == 4
    assert len(reader.events(3)) == 0
    assert "2 events are lost" in reader.damage


@pytest.mark.parametrize("changes", [{"t_max": 2**62}, {"t_min": -1}, {"t_min": 7, "t_max": 6}])
def test_times_of_no_clock_are_damage(changes):
    reader = read(_events(**changes))
    assert len(reader.blocks) == 3
    assert "makes no sense" in reader.damage


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (RecordType.LOST, {"losses": [[0, 9, 5, 1, "events", [], []]]}),
        (RecordType.LOST, {"losses": [[0, -1, 5, 1, "events", [], []]]}),
        (RecordType.LOST, {"losses": [[0, 1, 2**62, 1, "events", [], []]]}),
        (RecordType.LOST, {"losses": [[0, 1, 5, 1, "worse", [], []]]}),
        (RecordType.LOST, {"losses": [[0, 1, 5, 1, "events", [0], [2]]]}),
        (RecordType.LOST, {"losses": [[0, 1, 5, 1, "events", [99], [1]]]}),
        (RecordType.LOST, {"losses": []}),
        (RecordType.LOST, {}),
        (RecordType.LOST, []),
        (RecordType.LOST, 1),
        (RecordType.LOST, b"\xc1"),
        (RecordType.LOST, b"\x91" * 5000),
        (RecordType.LOST, b"\x80\x80"),
        (RecordType.LOST, b"\xdd\xff\xff\xff\xff"),
        (RecordType.LOST, b"\x81\xa1x\xd6\xff\0\0\0\0"),
        (RecordType.NOTE, {"time": 1.5, "what": "", "text": ""}),
        (RecordType.NOTE, {"time": 1, "what": b"", "text": ""}),
        (RecordType.CLOCK, {"reading": [1, 2]}),
        (RecordType.PROCESSES, {"processes": [[1, 2]]}),
        (RecordType.SNAPSHOT, {"functions": {"at": 0, "rows": [["again", 0, "", 0, 0, []]]}}),
        (RecordType.SNAPSHOT, {"types": {"at": 0, "rows": [1]}}),
        (RecordType.GOROUTINES, {"n": 1, "names": []}),
        (RecordType.HEADER, {}),
    ],
)
def test_nonsense_in_a_small_record_is_damage(kind, body):
    reader = read(splice(DATA, kind, body, count=1))
    assert "a record is lost" in reader.damage
    assert len(contents(reader)) == 3


def test_deep_nesting_is_damage():
    nested: object = 0
    for _ in range(500):
        nested = {"x": nested}
    reader = read(splice(DATA, RecordType.SNAPSHOT, {"types": {"at": 0, "rows": [nested]}}, count=1))
    assert "nested" in reader.damage


def test_frames_that_claim_other_sizes_are_not_decompressed():
    bomb = splice(DATA, RecordType.LOST, bytes(MAX_RAW), count=1)
    with pytest.raises(TraceError, match="declares"):
        read(bomb)
    lie = splice(DATA, RecordType.LOST, bytes(MAX_RAW), count=1, raw=100)
    assert "sizes do not agree" in read(lie).damage


def test_more_events_than_bytes_can_hold_are_refused():
    data = splice(DATA, RecordType.EVENTS, b"", count=1 << 20)
    with pytest.raises(TraceError, match="declares"):
        read(_repeat_last(data, 50))


def _repeat_last(data: bytes, times: int) -> bytes:
    for _ in range(times):
        offset, prefix = records(data)[-1]
        fields = {name: getattr(prefix, name) for name in Prefix.__dataclass_fields__} | {
            "sequence": prefix.sequence + 1
        }
        data += Prefix(**fields).frame(Head.parse(data).file_id) + data[offset + PREFIX_SIZE :][: prefix.compressed]
    return data


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize(
    "record", ["b'\\x90' * (4 << 20)", "b'\\xdd\\x00\\x00\\xff\\xff' * 1000", "b'\\x81\\xa0' * 300"]
)
def test_memory_stays_bounded(tmp_path, record):
    bomb = tmp_path / "bomb.zst"
    bomb.write_bytes(splice(DATA, RecordType.LOST, eval(record), count=1))
    script = """
        import resource, sys
        from funcrec.trace.reader import TraceReader
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        reader = TraceReader(sys.argv[1])
        assert "a record is lost" in reader.check()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), bomb], check=True, timeout=60)


def test_reads_files_pipes_and_standard_input(tmp_path):
    path = tmp_path / "trace.zst"
    path.write_bytes(DATA)
    script = "from funcrec.trace.reader import TraceReader; print(len(TraceReader('-').blocks))"
    result = subprocess.run(f'cat {path} | {sys.executable} -c "{script}"', shell=True, capture_output=True, check=True)
    assert result.stdout == b"3\n"
    with path.open("rb") as file, TraceReader(file) as reader:
        assert len(contents(reader)) == 3


def test_opening_touches_no_block():
    made = Made(snapshot())
    for at in range(4):
        made.writer.events(random_events(at, 50_000))
    made.writer.close(closing(200_000))
    file = _Counting(made.bytes())
    reader = TraceReader(file)
    assert file.delivered < 10_000 < len(made.bytes()) // 10
    assert [len(reader.events(at)) for at in range(4)] == [50_000] * 4


class _Counting(io.BytesIO):
    delivered = 0

    def read(self, size=-1):
        data = super().read(size)
        self.delivered += len(data)
        return data


def test_sites_alone_are_those_of_the_events():
    reader = read(DATA)
    for block in reader.blocks:
        assert reader.event_sites(block.number).tolist() == reader.events(block.number).site.tolist()


def test_a_missing_block_number_is_an_index_error():
    with pytest.raises(IndexError):
        read(DATA).events(3)


def test_header_only_is_a_trace_without_events():
    made = Made()
    reader = read(made.bytes())
    assert (reader.blocks, reader.closing, reader.damage, reader.header) == ([], None, None, header())
    assert reader.clocks == [START]
    assert np.zeros(0).tolist() == reader.sites

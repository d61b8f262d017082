"""Whatever is written comes back; whatever is cut, flipped or spliced gives less of it, never something else."""

import io

import msgpack
import numpy as np
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.errors import TraceError
from funcrec.trace import planes
from funcrec.trace.framing import HEAD_SIZE, PREFIX_SIZE, BadRecordError, Head, Prefix
from funcrec.trace.reader import TraceReader
from funcrec.trace.records import (
    CallSite,
    EventColumns,
    FunctionRecord,
    GoroutineRecord,
    NoteRecord,
    SiteRole,
    SnapshotDelta,
)
from tests.traces import (
    COLUMNS,
    Made,
    by_event,
    captures,
    closing,
    in_stored_order,
    random_events,
    same,
    small_trace,
    snapshot,
)

DATA = small_trace()
WHOLE = TraceReader(io.BytesIO(DATA))
EVENTS = [WHOLE.events(at) for at in range(len(WHOLE.blocks))]

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
times = st.integers(0, 2**62 - 1)
# Any text that a writer may meet: bytes that are not UTF-8 arrive as lone low surrogates.
texts = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
DELTA = snapshot()
rows = st.tuples(
    times, st.integers(0, 2), st.sampled_from([0, 1, 7, 2**64 - 1]), st.sampled_from([0, 5, 2**64 - 1]), u32,
    st.integers(0, len(DELTA.sites) - 1), st.integers(0, 2**29 - 1), st.integers(0, len(DELTA.call_sites)),
)  # fmt: skip


def _columns(given_rows) -> EventColumns:
    time, pid, goid, stack, tid, site, depth, caller = zip(*given_rows, strict=True)
    with_caller = [DELTA.sites[at].role in (SiteRole.ENTRY, SiteRole.POINT) for at in site]
    return EventColumns(
        time_ns=np.array(time, np.int64),
        pid=np.array(pid, np.uint32),
        goid=np.array(goid, np.uint64),
        stack=np.array(stack, np.uint64),
        tid=np.array(tid, np.uint32),
        site=np.array(site, np.uint32),
        depth=np.array(depth, np.uint32) << 3,
        caller=np.array(caller, np.uint32) * np.array(with_caller, np.uint32),
    )


@given(st.lists(rows, min_size=1, max_size=60))
def test_events_come_back(given_rows):
    events = _columns(given_rows)
    made = Made(DELTA)
    made.writer.events(events)
    made.writer.close(closing(len(events)))
    reader = TraceReader(io.BytesIO(made.bytes()))
    assert same(reader.events(0), in_stored_order(events))
    assert reader.damage is None


@given(st.integers(0, 99), st.integers(1, 200), st.floats(0, 1), st.integers(0, 300))
def test_captures_come_back(seed, n, share, longest):
    events, values = random_events(seed, n, goroutines=1), captures(seed, n, share, longest)
    made = Made(DELTA)
    made.writer.events(events, values)
    reader = TraceReader(io.BytesIO(made.bytes()))
    order = np.lexsort((np.arange(n), events.time_ns, events.stack, events.goid, events.pid))
    stored, expected = by_event(reader.values(0)), by_event(values)
    assert {int(order[at]): blob for at, blob in stored.items()} == expected


@given(
    st.lists(st.tuples(texts, st.integers(0, 2**63 - 1), texts, st.integers(0, 2**31 - 1), texts), max_size=5),
    st.lists(st.tuples(u32, u64, texts, times)),
)
def test_tables_and_facts_come_back(names, facts):
    delta = SnapshotDelta(
        functions=[
            FunctionRecord(name, at, file, line, inlined_into=(other,)) for name, at, file, line, other in names
        ],
        call_sites=[CallSite(at, name, at, file, line) for name, at, file, line, _ in names],
    )
    goroutines = {(pid, goid): GoroutineRecord(pid, goid, goid, 0, entry, first) for pid, goid, entry, first in facts}
    notes = [NoteRecord(first, entry, entry) for *_, entry, first in facts]
    made = Made(delta)
    made.writer.goroutines(list(goroutines.values()))
    for note in notes:
        made.writer.note(note)
    reader = TraceReader(io.BytesIO(made.bytes()))
    assert reader.functions == delta.functions
    assert reader.call_sites == delta.call_sites
    assert reader.goroutines == list(goroutines.values())
    assert reader.notes == notes


@given(st.lists(u64), st.lists(i64), i64)
def test_planes_come_back(numbers, signed, base):
    values = np.array(numbers, np.uint64)
    assert np.array_equal(planes.unpack(planes.pack(values), len(values), 8), values)
    column = np.array(signed, np.int64)
    with np.errstate(over="ignore"):
        assert np.array_equal(planes.unpack_deltas(planes.pack_deltas(column), len(column), 8), column)
    assert np.array_equal(planes.unzigzag(planes.zigzag(column)), column)


@given(st.binary(max_size=64), st.integers(0, 20), st.integers(0, 8))
def test_any_bytes_are_planes_or_refused(data, n, width):
    try:
        assert len(planes.unpack(data, n, width)) == n
    except BadRecordError:
        assert n == 0 or len(data) % n or len(data) > n * width


def _delivers_less(data: bytes) -> None:
    """Read everything; each block must be one of the true ones, or empty, or the file refused."""
    try:
        reader = TraceReader(io.BytesIO(data))
    except TraceError:
        return
    reader.check()
    for block in reader.blocks:
        events = reader.events(block.number)
        assert len(events) == 0 or any(same(events, true) for true in EVENTS)
        assert len(events) == block.n
    assert reader.functions == WHOLE.functions[: len(reader.functions)]
    assert reader.sites == WHOLE.sites[: len(reader.sites)]


changes = st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(1, 255)), min_size=1, max_size=5)


@given(changes)
@settings(max_examples=300, deadline=None)
def test_flipped_bytes(flips):
    damaged = bytearray(DATA)
    for at, bits in flips:
        damaged[at] ^= bits
    _delivers_less(bytes(damaged))


pieces = st.lists(
    st.tuples(st.integers(0, len(DATA)), st.integers(0, len(DATA))).map(lambda ends: DATA[min(ends) : max(ends)])
    | st.binary(max_size=50),
    max_size=5,
)


@given(pieces)
@settings(max_examples=200, deadline=None)
def test_spliced_pieces(parts):
    _delivers_less(b"".join(parts))
    _delivers_less(DATA[:2000] + b"".join(parts))


@given(st.binary(max_size=300))
def test_any_bytes(data):
    _delivers_less(data)
    _delivers_less(DATA[:HEAD_SIZE] + data)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def _bodies(data: bytes) -> list[tuple[Prefix, dict]]:
    file_id, offset, found = Head.parse(data).file_id, HEAD_SIZE, []

    while (prefix := Prefix.parse(data[offset : offset + PREFIX_SIZE], file_id)) is not None:
        end = offset + PREFIX_SIZE + prefix.compressed
        found.append((prefix, msgpack.unpackb(zstandard.decompress(data[offset + PREFIX_SIZE : end]))))
        offset = end
    return found


BODIES = _bodies(DATA)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_fields_of_any_type_with_right_checksums(data):
    """A hostile writer: every frame is sound, a field is not."""

    victim = data.draw(st.integers(0, len(BODIES) - 1))
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    head = Head.parse(DATA)
    result = head.pack()
    for at, (prefix, body) in enumerate(BODIES):
        if at == victim:
            name = data.draw(st.sampled_from(sorted(body)))
            inner = body[name]
            if isinstance(inner, dict) and inner and data.draw(st.booleans()):
                key = data.draw(st.sampled_from(sorted(inner)))
                body = body | {name: inner | {key: data.draw(plain)}}
            else:
                body = body | {name: data.draw(plain)}
        raw = msgpack.packb(body)
        frame = compressor.compress(raw)
        fields = {each: getattr(prefix, each) for each in Prefix.__dataclass_fields__}
        result += Prefix(**(fields | {"raw": len(raw), "compressed": len(frame)})).frame(head.file_id) + frame
    try:
        reader = TraceReader(io.BytesIO(result))
    except TraceError:
        return
    reader.check()
    for block in reader.blocks:
        events, known = reader.events(block.number), len(reader.sites)
        assert all(len(getattr(events, name)) == len(events) for name in COLUMNS)
        assert len(events) == 0 or int(events.site.max()) < known
        assert len(events) == 0 or int(events.caller.max()) <= len(reader.call_sites)

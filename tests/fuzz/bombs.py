"""Files of at most 1 MB that ask for as much as the limits let them: time and memory must stay bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import zstandard

from funcrec.trace import codec, planes, tables
from funcrec.trace.codec import Tables
from funcrec.trace.framing import PREFIX_START, Head, Prefix
from funcrec.trace.limits import EVENTS_BASE, EVENTS_PER_BYTE, MAX_BLOCK_EVENTS, MAX_SMALL_RAW
from funcrec.trace.records import EventColumns, FunctionRecord, RecordType, SiteRecord, SnapshotDelta, ValueColumns
from funcrec.trace.tables import split
from tests.fuzz.anatomy import put_together, take_apart
from tests.fuzz.corpus import FOLDER
from tests.traces import START, Made, random_events, snapshot

SIZE = 1_000_000


class Hostile:
    """A file whose records are sound and say whatever they like; filled up to SIZE."""

    def __init__(self, delta: SnapshotDelta | None = None) -> None:
        made = Made(delta)
        made.writer.clock(START)
        self.data = bytearray(made.bytes())
        self._head = Head.parse(self.data)
        self.sequence = 2 + (0 if delta is None else sum(1 for _ in split(delta, dict.fromkeys(tables.LIMITS, 0))))
        self._compressor = zstandard.ZstdCompressor(level=6, write_checksum=True)

    def record(self, kind: int, body: Any, count: int, **fields: int) -> None:
        """Add one; `body` may be bytes."""
        raw = body if isinstance(body, bytes) else msgpack.packb(body)
        frame = self._compressor.compress(raw)
        defaults = {"version": 1, "flags": 0, "first": 0, "t_min": 0, "t_max": 0, "raw": len(raw)}
        defaults |= {"type": kind, "sequence": self.sequence, "count": count, "compressed": len(frame)}
        prefix = Prefix(**(defaults | fields))
        self.data += prefix.frame(self._head.file_id) + frame
        self.sequence += 1

    def bytes(self) -> bytes:
        """The file."""
        short = SIZE - len(self.data) - 100
        if short > 0:
            self.record(77, hashlib.shake_128(b"").digest(short), 0)
        return bytes(self.data)


def _events(n: int, site: Any, depth: Any, step: int = 100) -> bytes:
    at = np.arange(n, dtype=np.int64)
    entry = np.array(site) % 3 == 0
    same = np.ones(n, np.uint32)
    columns = EventColumns(
        START.monotonic_ns + at * step, same, same.astype(np.uint64), 0 * same.astype(np.uint64), same,
        np.array(site, np.uint32), np.array(depth, np.uint32), entry.astype(np.uint32),
    )  # fmt: skip
    # A writer fills up dense records; a hostile one does not, and has the whole file's budget.
    hostile = Hostile(snapshot())
    known = Tables(np.array([each.role for each in snapshot().sites], np.uint8), len(snapshot().call_sites))
    for first in range(0, n, MAX_BLOCK_EVENTS):
        part = slice(first, first + MAX_BLOCK_EVENTS)
        piece = EventColumns(*(getattr(columns, name)[part] for name in EventColumns.__dataclass_fields__))
        body = codec.encode_events(piece, np.array([len(piece)]), known)
        hostile.record(RecordType.EVENTS, body, len(piece), first=first, t_min=body["t_min"], t_max=body["t_max"])
    return hostile.bytes()


MOST_EVENTS = EVENTS_BASE + int(EVENTS_PER_BYTE * SIZE) - 1000


def many_calls() -> bytes:
    """As many events as the budget has, two a call."""
    return _events(MOST_EVENTS, np.arange(MOST_EVENTS) % 2, np.full(MOST_EVENTS, 64))


def deep_tree() -> bytes:
    """As many frames inside each other as there is room for, and back."""
    down = np.arange(800_000)
    depth = 64 + 8 * np.concatenate((down, down[::-1]))
    return _events(1_600_000, np.repeat([0, 1], 800_000), depth)


def never_ending() -> bytes:
    """Frames that only open."""
    return _events(MOST_EVENTS, np.zeros(MOST_EVENTS), 64 + 8 * np.arange(MOST_EVENTS))


def absurd_times() -> bytes:
    """Calls that last for a year each."""
    return _events(2000, np.arange(2000) % 2, np.full(2000, 64), 1 << 50)


def many_losses() -> bytes:
    """Loss windows over everything."""
    hostile = Hostile(snapshot())
    for _ in range(3):
        rows = [[0, at, 2**61, 5, "events", [0, 1, 2], [1, 1, 1]] for at in range(50_000)]
        hostile.record(RecordType.LOST, {"record": "lost", "losses": rows}, len(rows))
    return hostile.bytes()


def many_sites() -> bytes:
    """Sites, which are columns."""
    functions = SnapshotDelta(functions=snapshot().functions)
    hostile = Hostile(functions)
    piece = [SiteRecord(0, 0, 1, False)] * 65_536
    for at in range(15):
        encoded = tables._encode_sites(piece)
        hostile.record(RecordType.SNAPSHOT, {"sites": {"at": at * len(piece), **encoded}}, len(piece))
    return hostile.bytes()


def many_functions() -> bytes:
    """Functions, which are objects."""
    hostile = Hostile()
    for at in range(2):
        rows = [["f", 0, "", 0, 0, []]] * 60_000
        hostile.record(RecordType.SNAPSHOT, {"functions": {"at": at * len(rows), "rows": rows}}, len(rows))
    return hostile.bytes()


def many_goroutines() -> bytes:
    """Goroutines, each of another number."""
    hostile = Hostile()
    n = 500_000
    for at in range(2):
        body = {
            "n": n, "pid": b"", "goid": planes.pack(np.arange(at * n, (at + 1) * n, dtype=np.uint64)), "parent": b"",
            "created_at": b"", "entry": b"", "first_ns": b"", "names": ["x"],
        }  # fmt: skip
        hostile.record(RecordType.GOROUTINES, body, n)
    return hostile.bytes()


def many_arrays() -> bytes:
    """Content of nothing but empty arrays."""
    hostile = Hostile()
    content = b"\x81\xa1x\xdd\x00\x00\xff\xff" + b"\x93\x90\x90\x90" * 65_535
    for _ in range(88):
        hostile.record(RecordType.NOTE, content, 1)
    return hostile.bytes()


def zeros() -> bytes:
    """Content that shrinks to nothing."""
    hostile = Hostile()
    for _ in range(5):
        hostile.record(RecordType.LOST, bytes(MAX_SMALL_RAW), 0)
    for _ in range(6):
        hostile.record(RecordType.VALUES, bytes(64 << 20), 0)
    return hostile.bytes()


def big_names() -> bytes:
    """One function with the longest name, called by all."""
    name = "m." + "x" * 65_000
    delta = SnapshotDelta(
        functions=[FunctionRecord(name, 0, name, 1)] * 15,
        sites=[SiteRecord(at, 0, role, False) for at in range(15) for role in (1, 2, 3)],
        call_sites=snapshot().call_sites,
    )
    made = Made(delta)
    made.writer.events(random_events(1, 2000, delta))
    return made.bytes()


def cyclic_types() -> bytes:
    """Types that hold themselves, and captures of them."""
    anatomy = take_apart((FOLDER / "types.zst").read_bytes())
    for number, part in enumerate(anatomy.parts):
        if isinstance(part.body, dict) and "types" in part.body:
            anatomy.parts[number] = part.copy()
            for at, row in enumerate(anatomy.parts[number].body["types"]["rows"]):
                for key in ("elem", "key"):
                    if key in row:
                        row[key] = at
    return put_together(anatomy)


def false_prefixes() -> bytes:
    """Beginnings of records everywhere: searching for the next one must stay linear."""
    made = Made(snapshot())
    return made.bytes() + b"x" + PREFIX_START * ((SIZE - 3000) // len(PREFIX_START))


def many_records() -> bytes:
    """As many records as fit, none of a kind that is known."""
    hostile = Hostile()
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(b"\xc0")
    head, sequence = Head.parse(hostile.data), 2
    data = bytearray(hostile.data)
    while len(data) < SIZE - 100:
        data += Prefix(10, 1, 0, sequence, len(frame), 1, 0, 0, 0, 1).frame(head.file_id) + frame
        sequence += 1
    return bytes(data)


def many_captures() -> bytes:
    """Captures at every event, of nothing."""
    data = _events(400_000, np.arange(400_000) % 2, np.full(400_000, 64))
    hostile = Hostile(snapshot())
    offset = len(hostile.data)
    hostile.data = bytearray(data[: data.index(PREFIX_START + bytes([77]), offset)])
    hostile.sequence += 1
    n = 400_000
    values = ValueColumns(np.arange(n, dtype=np.uint32), np.full(n, 16, np.uint32), bytes(16 * n))
    hostile.record(RecordType.VALUES, codec.encode_values(values), n, first=hostile.sequence - 1)
    return hostile.bytes()


BOMBS: dict[str, Callable[[], bytes]] = {
    each.__name__: each
    for each in (
        many_calls,
        deep_tree,
        never_ending,
        absurd_times,
        many_losses,
        many_sites,
        many_functions,
        many_goroutines,
        many_arrays,
        zeros,
        big_names,
        cyclic_types,
        false_prefixes,
        many_records,
        many_captures,
    )
}

"""Write a trace: whole records, one write each, never a step back, so that a cut leaves everything before it readable.

Works on files, pipes and anything with `write`. Only programming errors raise ValueError; a full disk is the OSError of
the file, after which the writer refuses to go on.
"""

import contextlib
import os
import zlib
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, BinaryIO

import msgpack
import numpy as np
import zstandard

from funcrec.trace import bodies, codec, tables
from funcrec.trace.budgets import filling
from funcrec.trace.codec import Tables
from funcrec.trace.compression import compressed
from funcrec.trace.framing import Head, Prefix, pack_end
from funcrec.trace.grouping import group
from funcrec.trace.index import encode_index
from funcrec.trace.limits import (
    MAX_BLOCK_EVENTS,
    MAX_RAW,
    MAX_SMALL_RAW,
    PROCESSES_TARGET,
    ROWS_TARGET,
    SPANS_TARGET,
    VALUES_TARGET,
)
from funcrec.trace.records import (
    LARGE,
    MINOR,
    VERSION,
    ClockReading,
    Closing,
    EventColumns,
    GoroutineRecord,
    Header,
    LostRecord,
    NoteRecord,
    ProcessRecord,
    RecordType,
    SnapshotDelta,
    ValueColumns,
)
from funcrec.trace.spans import encode_spans
from funcrec.trace.standing import BlockSpans, Standing

_SPANNED_BLOCKS = 32  # spoken of in one SPANS record

# Levels of zstd: 6 takes 2 to 7 % fewer bytes than 3 for events and 30 % for values, and 1 to 2.6 ns more for each byte
# of content. Up to 8 MB of content a second, nearly a million events, that is 2 % of a processor; above, speed counts.
_QUICK, _THOROUGH = 3, 6
_THOROUGH_BYTES_PER_S = 8_000_000


class TraceWriter:
    """One trace being written; the caller opens and closes the file.

    Args:
        file: open for writing in binary mode; it is written from where it stands, which must be its beginning.
        header: goes first.

    Attributes:
        bytes_written: length of the trace so far.
    """

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self.bytes_written = 0
        self._file = file
        self._thorough = _compressor(_THOROUGH)
        self._quick = _compressor(_QUICK)
        self._packer = msgpack.Packer(unicode_errors="surrogateescape")
        self._failed = False
        self._closed = False
        self._prefixes: list[bytes] = []
        self._goid_ranges: list[tuple[int, int]] = []
        self._rows = dict.fromkeys(tables.LIMITS, 0)
        self._roles = np.zeros(0, np.uint8)
        self._events = 0
        self._site_events = np.zeros(0, np.int64)
        self._standing: Standing | None = Standing()
        self._spans: list[BlockSpans] = []

        body = bodies.encode_header(header, VERSION)
        self._file_id = zlib.crc32(self._packer.pack(body))
        self._write(Head(VERSION, MINOR, self._file_id).pack())
        self._record(RecordType.HEADER, body, 1)

    def snapshot(self, delta: SnapshotDelta) -> None:
        """Append rows to the tables; whatever refers to them comes later.

        Raises:
            ValueError: a site of a function that was never given, or a table beyond its limit.
        """
        grown = {name: rows + len(getattr(delta, name)) for name, rows in self._rows.items()}
        for name, rows in grown.items():
            _require(rows <= tables.LIMITS[name], f"more than {tables.LIMITS[name]} {name}")
        _require(
            all(0 <= site.function < grown["functions"] for site in delta.sites),
            "a site refers to a function that is not in the snapshot",
        )
        for body, rows in tables.split(delta, self._rows):
            self._record(RecordType.SNAPSHOT, body, rows)
        self._rows = grown
        if delta.sites:
            self._roles = np.concatenate((self._roles, np.array([site.role for site in delta.sites], np.uint8)))
            self._site_events = np.append(self._site_events, np.zeros(len(delta.sites), np.int64))

    def events(self, events: EventColumns, values: ValueColumns | None = None) -> None:
        """Write a block of events, in any order, and the captures that belong to them.

        Args:
            events: n rows; equal times of one stack keep their order. More than MAX_BLOCK_EVENTS become several blocks.
            values: `event` counts in the order of `events`; at most one capture for an event.

        Raises:
            ValueError: columns of different lengths, unknown sites or call sites, a depth that is no multiple of 8, a
                caller at an event that has none, captures that do not fit the events.
        """
        if values is not None:
            _check_values(values, len(events))
        events = _conform(events)
        known = Tables(self._roles, self._rows["call_sites"])
        _check_events(events, known)
        for first in range(0, len(events), MAX_BLOCK_EVENTS):
            part = slice(first, first + MAX_BLOCK_EVENTS)
            self._block(
                events.take(part),
                None if values is None else _captures_between(values, first, first + MAX_BLOCK_EVENTS),
                known,
            )

    def lost(self, losses: list[LostRecord]) -> None:
        """Write losses.

        Raises:
            ValueError: an unknown site, one that lost more than all, a window that ends before it begins.
        """
        for loss in losses:
            _require(all(site < self._rows["sites"] for site in loss.by_site), "a loss at an unknown site")
            # At most: losses close together share their sites' counts (see LostRecord), so the sum may be above.
            _require(all(0 < lost <= loss.count for lost in loss.by_site.values()), "a site lost more than all")
            _require(loss.first_ns <= loss.last_ns, "a loss ends before it begins")
        self._pieces(RecordType.LOST, losses, bodies.encode_lost)

    def clock(self, reading: ClockReading) -> None:
        """Write a reading of the clocks."""
        self._record(RecordType.CLOCK, bodies.encode_clock(reading), 1)

    def processes(self, processes: list[ProcessRecord]) -> None:
        """Write processes; a later record replaces the earlier one of the same pid and start."""
        self._pieces(RecordType.PROCESSES, processes, bodies.encode_processes, PROCESSES_TARGET)

    def goroutines(self, goroutines: list[GoroutineRecord]) -> None:
        """Write facts about goroutines; a later record replaces the earlier one of the same pid and goid.

        Raises:
            ValueError: an unknown call site.
        """
        known = self._rows["call_sites"]
        _require(
            all(0 <= goroutine.created_at <= known for goroutine in goroutines), "a goroutine's call site is unknown"
        )
        self._pieces(RecordType.GOROUTINES, goroutines, bodies.encode_goroutines)

    def note(self, note: NoteRecord) -> None:
        """Write a note.

        Raises:
            ValueError: an unknown function.
        """
        known = self._rows["functions"]
        _require(all(0 <= number < known for number in note.functions), "a note about an unknown function")
        self._record(RecordType.NOTE, bodies.encode_note(note), 1)

    def close(self, closing: Closing) -> None:
        """Write index and end mark and push the file to the disk; the file stays open. A second call does nothing."""
        if self._closed or self._failed:
            return
        self._closed = True
        self._write_spans()
        offset, records = self.bytes_written, len(self._prefixes)
        self._record(
            RecordType.INDEX, encode_index(self._prefixes, self._goid_ranges, self._site_events, closing), records
        )
        self._write(pack_end(offset, records + 1, self._file_id))
        with contextlib.suppress(OSError, AttributeError):  # a pipe, a buffer: nothing to push
            os.fsync(self._file.fileno())

    def _block(self, events: EventColumns, values: ValueColumns | None, known: Tables) -> None:
        order, lengths = group(events)
        events = events.take(order)
        body = codec.encode_events(events, lengths, known)
        sequence = len(self._prefixes)
        size = sum(len(column) for column in body.values() if isinstance(column, bytes))
        size += len(values.data) // 2 if values is not None else 0  # they take half the time
        hurry = size * 1_000_000_000 > (body["t_max"] - body["t_min"]) * _THOROUGH_BYTES_PER_S
        self._record(
            RecordType.EVENTS, body, len(events), self._events, body["t_min"], body["t_max"], body["time"], hurry=hurry
        )
        self._events += len(events)
        self._goid_ranges.append((int(events.goid.min()), int(events.goid.max())))
        self._site_events += np.bincount(events.site, minlength=len(self._roles))
        if values is not None and len(values):
            stored = np.empty(len(events), np.uint32)
            stored[order] = np.arange(len(events), dtype=np.uint32)
            for piece in _split_values(replace(values, event=stored[values.event])):
                self._record(RecordType.VALUES, codec.encode_values(piece), len(piece), sequence, hurry=hurry)
        self._add_spans(events, lengths)

    def _add_spans(self, events: EventColumns, lengths: Any) -> None:
        if self._standing is None:
            return
        spans = self._standing.add(events, lengths, self._roles)
        if spans is None:
            self._standing = None  # for good: what was written of them is of no use to anybody
            self._spans.clear()
            return
        self._spans.append(spans)
        rows = sum(len(each.event) + len(each.goids) + len(each.ended) for each in self._spans)
        if rows >= SPANS_TARGET or len(self._spans) >= _SPANNED_BLOCKS:
            self._write_spans()

    def _write_spans(self) -> None:
        if self._spans:
            body = encode_spans(self._spans)
            self._record(RecordType.SPANS, body, sum(len(each.event) for each in self._spans))
            self._spans.clear()

    def _pieces(self, kind: RecordType, rows: list[Any], encode: Any, most: int = ROWS_TARGET) -> None:
        for first in range(0, len(rows), most):
            piece = rows[first : first + most]
            self._record(kind, encode(piece), len(piece))

    def _record(
        self,
        kind: RecordType,
        body: dict[str, Any],
        count: int,
        first: int = 0,
        t_min: int = 0,
        t_max: int = 0,
        planes: bytes = b"",
        *,
        hurry: bool = False,
    ) -> None:
        compressor = self._quick if hurry else self._thorough
        raw = self._packer.pack(body)
        limit = MAX_RAW if kind in LARGE else MAX_SMALL_RAW
        _require(len(raw) <= limit, f"a record of {len(raw)} bytes ({kind.name.lower()}), at most {limit} are allowed")
        frame = compressed(compressor, raw, planes, count)
        fill = filling(kind, count, len(raw), len(frame), sites="sites" in body)
        if fill:
            raw = self._packer.pack(body | {"fill": fill})
            frame = compressor.compress(raw)
        prefix = Prefix(kind, 1, 0, len(self._prefixes), len(frame), len(raw), first, t_min, t_max, count)
        self._write(prefix.frame(self._file_id) + frame)
        self._prefixes.append(prefix.payload(self._file_id))

    def _write(self, data: bytes) -> None:
        if self._failed:
            raise OSError("the trace could not be written before; nothing more is added to it")
        try:
            rest = memoryview(data)
            while rest:  # an unbuffered file may take a part only
                rest = rest[self._file.write(rest) :]
            self._file.flush()
        except BaseException:
            self._failed = True
            raise
        self.bytes_written += len(data)


def _compressor(level: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise ValueError(reason)


def _conform(events: EventColumns) -> EventColumns:
    """Give every column its exact type; refuse columns of different lengths."""
    types = {"time_ns": "<i8", "goid": "<u8", "stack": "<u8"}
    columns = {
        column.name: np.asarray(getattr(events, column.name)).astype(types.get(column.name, "<u4"), copy=False)
        for column in fields(EventColumns)
    }
    _require({column.shape for column in columns.values()} == {(len(events),)}, "event columns differ in length")
    return EventColumns(**columns)


def _check_events(events: EventColumns, known: Tables) -> None:
    if len(events) == 0:
        return
    _require(int(events.site.max()) < len(known.roles), "an event at a site that is not in the snapshot")
    _require(int(events.caller.max()) <= known.call_sites, "an event with a call site that is not in the snapshot")
    _require(not np.any(events.depth & 7), "a depth that is no multiple of 8")
    _require(not np.any(events.caller[~known.with_caller(events.site)]), "a caller at an event that has none")


def _check_values(values: ValueColumns, events: int) -> None:
    _require(len(values.event) == len(values.length), "captures with columns of different lengths")
    _require(int(values.length.sum(dtype=np.uint64)) == len(values.data), "captures whose lengths do not add up")
    if len(values):
        _require(int(values.event.max()) < events, "a capture of an event that is not in the block")
        _require(int(np.bincount(values.event).max()) == 1, "two captures of one event")
        _require(int(values.length.max()) <= VALUES_TARGET, "a capture that is too large")


def _captures_between(values: ValueColumns, first: int, last: int) -> ValueColumns:
    """Take the captures of events first..last, renumbered from 0."""
    if first == 0 and (len(values) == 0 or int(values.event.max()) < last):
        return values
    ends = np.cumsum(values.length, dtype=np.int64)
    rows = np.flatnonzero((values.event >= first) & (values.event < last))
    data = b"".join(values.data[ends[at] - values.length[at] : ends[at]] for at in rows.tolist())
    return ValueColumns(values.event[rows] - np.uint32(first), values.length[rows], data)


def _split_values(values: ValueColumns) -> list[ValueColumns]:
    """Cut captures so that each piece has at most about VALUES_TARGET bytes of data."""
    ends = np.cumsum(values.length, dtype=np.int64)
    pieces = (ends - 1) // VALUES_TARGET
    cuts = [0, *(np.flatnonzero(np.diff(pieces)) + 1).tolist(), len(values)]
    return [
        ValueColumns(
            values.event[a:b],
            values.length[a:b],
            values.data[int(ends[a] - values.length[a]) : int(ends[b - 1])],
        )
        for a, b in pairwise(cuts)
    ]

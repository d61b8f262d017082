"""Read a trace: an untrusted file that may be cut or damaged anywhere.

Opening reads the small records only; events and captures are decoded when they are asked for. Whatever is damaged is
left out, counted and told; TraceError is the only exception.
"""

import os
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from funcrec.errors import TraceError
from funcrec.trace import bodies, codec
from funcrec.trace.codec import Tables
from funcrec.trace.fields import unpack_body
from funcrec.trace.framing import BadRecordError
from funcrec.trace.index import decode_goid_ranges
from funcrec.trace.layout import Place, find_records, read_body
from funcrec.trace.limits import (
    EVENTS_BASE,
    EVENTS_PER_BYTE,
    MAX_BLOCK_EVENTS,
    MAX_CONTAINERS,
    MAX_GOROUTINES,
    MAX_LARGE_CONTAINERS,
    MAX_RAW,
    MAX_ROWS,
    MAX_SMALL_RAW,
    RAW_BASE,
    RAW_PER_BYTE,
    ROWS_BASE,
    ROWS_PER_BYTE,
    SMALL_RAW_BASE,
    SMALL_RAW_PER_BYTE,
)
from funcrec.trace.records import (
    LARGE,
    BlockInfo,
    ClockReading,
    Closing,
    EventColumns,
    GoroutineRecord,
    Header,
    LostRecord,
    NoteRecord,
    ProcessRecord,
    RecordType,
    ValueColumns,
)
from funcrec.trace.source import Source
from funcrec.trace.tables import SnapshotTables
from funcrec.trace.upgrade import check_features, check_version, upgrade

_TYPES = frozenset(RecordType)
_ALL_GOIDS = (0, (1 << 64) - 1)


class TraceReader:
    """One trace.

    Args:
        origin: path, `-` for standard input, or an open binary file.

    Attributes:
        version, minor: of the format.
        header, closing: first and last record; closing is None when the recording did not end cleanly.
        functions, sites, call_sites, skipped, types, plans: the tables, by id.
        processes, goroutines, clocks, notes: in file order, replaced ones left out.
        lost: losses in file order; what turns out to be damaged is added to it (`damaged` is set).
        blocks: the blocks of events in file order.
        passed_over: one line for each kind of record that this reader does not know.

    Raises:
        TraceError: no trace, one of a newer version, or nothing in it can be read.
    """

    def __init__(self, origin: str | os.PathLike[str] | BinaryIO) -> None:
        self._source = Source(origin)
        self._layout = find_records(self._source)
        self.version, self.minor = self._layout.head.version, self._layout.head.minor
        check_version(self.version, self.minor, repr(self._source.name))
        self._check_budgets()
        self._problems: list[tuple[int, str]] = []  # (byte offset, what is wrong there)
        self._bad: set[int] = set()  # offsets of records already known as damaged

        self.header: Header = self._read_header()
        self.closing: Closing | None = None
        self.lost: list[LostRecord] = []
        self.clocks: list[ClockReading] = [self.header.clock]
        self.notes: list[NoteRecord] = []
        self.blocks: list[BlockInfo] = []
        self.passed_over: list[str] = []
        self._tables = SnapshotTables()
        self._processes: dict[tuple[int, int], ProcessRecord] = {}
        self._goroutines: dict[tuple[int, int], GoroutineRecord] = {}
        self._block_places: list[tuple[Place, Tables]] = []
        self._values: dict[int, list[Place]] = {}  # sequence of an EVENTS record -> its VALUES records
        self._read_small_records()

        self.functions = self._tables.functions
        self.sites = self._tables.site_records()
        self.call_sites = self._tables.call_sites
        self.skipped = self._tables.skipped
        self.types = self._tables.types
        self.plans = self._tables.plans
        self.processes = list(self._processes.values())
        self.goroutines = list(self._goroutines.values())

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._source.size

    @property
    def damage(self) -> str | None:
        """One line about what cannot be read, None when nothing is known to be damaged."""
        if not self._problems:
            return None
        offset, what = min(self._problems)
        more = len(self._problems) - 1
        return f"{what} (byte {offset})" + (f", and {more} more damaged places" if more else "")

    def events(self, number: int) -> EventColumns:
        """Decode a block: its events in stored order, none when it turns out to be damaged.

        Raises:
            IndexError: there is no such block.
        """
        place, known = self._block_places[number]
        try:
            events = codec.decode_events(self._body(place), known)
            if (len(events), int(events.time_ns.min()), int(events.time_ns.max())) != (
                place.prefix.count,
                place.prefix.t_min,
                place.prefix.t_max,
            ):
                raise BadRecordError("it contradicts its prefix")
            return events
        except BadRecordError as error:
            self._damaged(place, error)
            return _NO_EVENTS

    def values(self, number: int) -> ValueColumns | None:
        """Decode the captures of a block; None when it has none that can be read.

        Raises:
            IndexError: there is no such block.
        """
        events, _ = self._block_places[number]
        pieces = []
        for place in self._values.get(events.prefix.sequence, []):
            try:
                pieces.append(codec.decode_values(self._body(place), place.prefix.count, events.prefix.count))
            except BadRecordError as error:
                self._damaged(place, error)
        if not pieces:
            return None
        return _join_values(pieces)

    def check(self) -> str | None:
        """Decode everything; return `damage`."""
        for block in self.blocks:
            self.events(block.number)
            self.values(block.number)
        return self.damage

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __enter__(self) -> "TraceReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_budgets(self) -> None:
        """Refuse a file that declares more than a file of its size can honestly hold."""
        prefixes = [place.prefix for place in self._layout.places]
        small = [prefix for prefix in prefixes if prefix.type not in LARGE]
        size = self._source.size
        for what, asked, allowed in (
            (
                "events",
                sum(p.count for p in prefixes if p.type == RecordType.EVENTS),
                EVENTS_BASE + EVENTS_PER_BYTE * size,
            ),
            ("bytes", sum(p.raw for p in prefixes), RAW_BASE + RAW_PER_BYTE * size),
            ("rows", sum(p.count for p in small), ROWS_BASE + ROWS_PER_BYTE * size),
            ("bytes of tables", sum(p.raw for p in small), SMALL_RAW_BASE + SMALL_RAW_PER_BYTE * size),
        ):
            if asked > allowed:
                raise TraceError(
                    f"{self._source.name!a} declares {asked} {what} in {size} bytes of file, more than any real trace",
                    remedy="do not trust this file; record again if it should be a trace of yours",
                )

    def _read_header(self) -> Header:
        first = self._layout.places[0] if self._layout.places else None
        try:
            if first is None or first.prefix.sequence != 0 or first.prefix.type != RecordType.HEADER:
                raise BadRecordError("it has no header record")
            if not _understood(first):
                raise BadRecordError("its header record is of an unknown kind")
            fields = self._body(first)
            # Whether we may read it comes before what it says.
            check_features(bodies.required_features(fields), repr(self._source.name))
            return bodies.decode_header(fields)
        except BadRecordError as error:
            raise TraceError(
                f"{self._source.name!a} cannot be read: {error}", remedy="record again; nothing can be saved from it"
            ) from error

    def _read_small_records(self) -> None:
        self._problems += [(hole.offset, hole.describe()) for hole in self._layout.holes]
        strange: dict[str, int] = {}
        index: Place | None = None
        for number, place in enumerate(self._layout.places):
            if not _understood(place):
                prefix = place.prefix
                what = f"records of type {prefix.type}, version {prefix.version}, flags {prefix.flags:#x}"
                strange[what] = strange.get(what, 0) + 1
            elif place.prefix.type == RecordType.EVENTS:
                self._add_block(place)
            elif place.prefix.type == RecordType.VALUES:
                self._values.setdefault(place.prefix.first, []).append(place)
            elif place.prefix.type == RecordType.INDEX:
                index = place
            elif number > 0:
                self._attempt(place, self._add)
        if index is not None:
            self._attempt(index, self._finish)
        self._count_gaps()
        self._count_values()
        if self._layout.tail:
            self._problems.append((self._source.size, self._layout.tail))
        self.passed_over += [f"{count} {what}" for what, count in strange.items()]

    def _add_block(self, place: Place) -> None:
        prefix = place.prefix
        expected = self.blocks[-1].first_event + self.blocks[-1].n if self.blocks else 0
        if not 1 <= prefix.count <= MAX_BLOCK_EVENTS or prefix.t_min > prefix.t_max or prefix.first < expected:
            self._problems.append((place.offset, "an events record makes no sense"))
            return
        self.blocks.append(
            BlockInfo(
                len(self.blocks), place.offset, prefix.count, prefix.first, prefix.t_min, prefix.t_max, *_ALL_GOIDS, 0
            )
        )
        self._block_places.append((place, self._tables.for_events()))

    def _attempt(self, place: Place, add: Any) -> None:
        try:
            add(place, self._body(place))
        except BadRecordError as error:
            self._damaged(place, error)

    def _add(self, place: Place, fields: dict[str, Any]) -> None:
        count = place.prefix.count
        match RecordType(place.prefix.type):
            case RecordType.SNAPSHOT:
                self._tables.add(fields, count)
            case RecordType.LOST:
                self.lost += _bounded(self.lost, bodies.decode_lost(fields, count, self._tables.sites))
            case RecordType.CLOCK:
                self.clocks += _bounded(self.clocks, [bodies.decode_clock(fields)])
            case RecordType.PROCESSES:
                for process in _bounded(self._processes, bodies.decode_processes(fields, count)):
                    self._processes[process.pid, process.start_ns] = process
            case RecordType.GOROUTINES:
                found = bodies.decode_goroutines(fields, count, len(self._tables.call_sites))
                for goroutine in _bounded(self._goroutines, found, MAX_GOROUTINES):
                    self._goroutines[goroutine.pid, goroutine.goid] = goroutine
            case RecordType.NOTE:
                self.notes += _bounded(self.notes, [bodies.decode_note(fields)])
            case _:
                raise BadRecordError("it is in the wrong place")

    def _finish(self, _: Place, fields: dict[str, Any]) -> None:
        self.closing = bodies.decode_closing(fields.get("closing"), self._tables.sites)
        try:
            lowest, highest = decode_goid_ranges(fields, len(self.blocks))
        except BadRecordError:
            return  # a hint that is not there, or of more blocks than are left
        self.blocks = [
            replace(block, goid_min=low, goid_max=high)
            for block, low, high in zip(self.blocks, lowest.tolist(), highest.tolist(), strict=True)
        ]

    def _count_gaps(self) -> None:
        """Blocks say how many events came before them, so what a damaged part held is known exactly."""
        expected, since = 0, self.header.clock.monotonic_ns
        for block in self.blocks:
            if block.first_event > expected:
                window = (min(since, block.t_max), block.t_max)
                self.lost.append(LostRecord(0, *window, block.first_event - expected, damaged=True))
            expected, since = block.first_event + block.n, block.t_min

    def _count_values(self) -> None:
        for number, (place, _) in enumerate(self._block_places):
            pieces = self._values.get(place.prefix.sequence)
            if pieces:
                captures = sum(piece.prefix.count for piece in pieces)
                self.blocks[number] = replace(self.blocks[number], values=captures)

    def _body(self, place: Place) -> dict[str, Any]:
        kind = place.prefix.type
        large = kind in LARGE
        content = read_body(self._source, place, self._layout.head.file_id, MAX_RAW if large else MAX_SMALL_RAW)
        return upgrade(kind, unpack_body(content, MAX_LARGE_CONTAINERS if large else MAX_CONTAINERS), self.version)

    def _damaged(self, place: Place, error: BadRecordError) -> None:
        """Note that a record cannot be used, and what is lost with it."""
        if place.offset in self._bad:
            return
        self._bad.add(place.offset)
        prefix = place.prefix
        kind = RecordType(prefix.type)
        if kind in (RecordType.EVENTS, RecordType.VALUES):
            what = "events" if kind == RecordType.EVENTS else "values"
            window = (prefix.t_min, prefix.t_max) if what == "events" else self._window_of_values(place)
            self.lost.append(LostRecord(0, *window, prefix.count, what, damaged=True))
            self._problems.append((place.offset, f"{prefix.count} {what} are lost: {error}"))
        else:
            self._problems.append((place.offset, f"a {kind.name.lower()} record is lost: {error}"))

    def _window_of_values(self, place: Place) -> tuple[int, int]:
        for events, _ in self._block_places:
            if events.prefix.sequence == place.prefix.first:
                return events.prefix.t_min, events.prefix.t_max
        return self.header.clock.monotonic_ns, self.header.clock.monotonic_ns


_NO_EVENTS = EventColumns(
    time_ns=np.zeros(0, np.int64),
    pid=np.zeros(0, np.uint32),
    goid=np.zeros(0, np.uint64),
    stack=np.zeros(0, np.uint64),
    tid=np.zeros(0, np.uint32),
    site=np.zeros(0, np.uint32),
    depth=np.zeros(0, np.uint32),
    caller=np.zeros(0, np.uint32),
)


def _understood(place: Place) -> bool:
    return place.prefix.type in _TYPES and place.prefix.version == 1 and place.prefix.flags == 0


def _bounded(known: Any, more: list[Any], limit: int = MAX_ROWS) -> list[Any]:
    if len(known) + len(more) > limit:
        raise BadRecordError(f"it goes beyond {limit} rows of its kind")
    return more


def _join_values(pieces: list[ValueColumns]) -> ValueColumns:
    if len(pieces) == 1:
        return pieces[0]
    return ValueColumns(
        np.concatenate([piece.event for piece in pieces]),
        np.concatenate([piece.length for piece in pieces]),
        b"".join(piece.data for piece in pieces),
    )

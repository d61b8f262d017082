"""Read a trace: an untrusted file that may be cut or damaged anywhere.

Opening reads the small records only; events and captures are decoded when they are asked for. Whatever is damaged is
left out, counted and told; TraceError is the only exception.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from funcrec.ahead import mapped_ahead
from funcrec.errors import TraceError
from funcrec.trace import bodies, codec
from funcrec.trace.budgets import ObjectBudget, check_budgets
from funcrec.trace.codec import Tables
from funcrec.trace.contents import Contents
from funcrec.trace.damage import Damage
from funcrec.trace.fields import unpack_body
from funcrec.trace.framing import BadRecordError, Prefix
from funcrec.trace.grouping import run_lengths
from funcrec.trace.index import decode_goid_ranges, decode_site_events
from funcrec.trace.layout import Place, find_records, read_body
from funcrec.trace.limits import (
    MAX_BLOCK_EVENTS,
    MAX_LARGE_CONTAINERS,
    MAX_RAW,
    MAX_SMALL_RAW,
    MAX_TIME,
)
from funcrec.trace.records import LARGE, U32, BlockInfo, EventColumns, Header, LostRecord, RecordType, ValueColumns
from funcrec.trace.source import Source
from funcrec.trace.spans import BlockFacts, Spans, SpansDecoder
from funcrec.trace.standing import Standing
from funcrec.trace.upgrade import check_features, check_version, upgrade

_TYPES = frozenset(RecordType)


class TraceReader:
    """One trace.

    Args:
        origin: path, `-` for standard input, or an open binary file.

    Attributes:
        version, minor: of the format.
        size: bytes of the file.
        header, closing: first and last record; closing is None when the recording did not end cleanly.
        functions, sites, call_sites, skipped, types, plans, code: the tables, by id.
        processes, goroutines, clocks, notes: in file order, replaced ones left out.
        lost: losses in file order; what turns out to be damaged is added to the list (`damaged` is set).
        passed_over: one line for each kind of record that this reader does not know.

    Raises:
        TraceError: no trace, one of a newer version, or nothing in it can be read.
    """

    def __init__(self, origin: str | os.PathLike[str] | BinaryIO) -> None:
        self._source = Source(origin)
        self._name = repr(self._source.name)
        self.size = self._source.size
        layout = find_records(self._source)
        self._file_id = layout.head.file_id
        self.version, self.minor = layout.head.version, layout.head.minor
        check_version(self.version, self.minor, self._name)
        check_budgets([place.prefix for place in layout.places], self.size, self._name)

        self._objects = ObjectBudget(self.size)
        self.header: Header = self._read_header(layout.places)
        self._damage = Damage()
        self._contents = Contents(self._objects)
        self._blocks: list[_Block] = []
        self._block_infos: list[BlockInfo] | None = None
        self._values: dict[int, list[Place]] = {}  # sequence of an EVENTS record -> its VALUES records
        self._spans: list[Place] = []
        self._site_events: Any = None
        self.passed_over = self._read_records(layout.places[1:])
        for hole in layout.holes:
            self._damage.add(hole.offset, hole.describe())
        if layout.tail:
            self._damage.add(*layout.tail)

        contents = self._contents
        self.closing = contents.closing
        self.functions = contents.tables.functions
        self.sites = contents.tables.site_records()
        self.call_sites = contents.tables.call_sites
        self.skipped = contents.tables.skipped
        self.types = contents.tables.types
        self.plans = contents.tables.plans
        self.code = contents.tables.code
        self.processes = list(contents.processes.values())
        self.goroutines = list(contents.goroutines.values())
        self.lost = contents.lost
        self.clocks = [self.header.clock, *contents.clocks]
        self.notes = contents.notes
        self._count_gaps()

    @property
    def damage(self) -> str | None:
        """One line about what cannot be read, None when nothing is known to be damaged."""
        return self._damage.describe()

    @property
    def blocks(self) -> list[BlockInfo]:
        """The blocks of events in file order; one that turned out to be damaged stays, with no events."""
        if self._block_infos is None:
            first = 0
            self._block_infos = []
            for block in self._blocks:
                self._block_infos.append(block.describe(len(self._block_infos), first, self._values))
                first += block.n
        return self._block_infos

    def events(self, number: int) -> EventColumns:
        """Decode a block: its events in stored order, none when it turns out to be damaged.

        Raises:
            IndexError: there is no such block.
        """
        return self._kept(number, self._decoded(number))

    def events_of(self, numbers: Sequence[int]) -> Iterator[EventColumns]:
        """Decode some blocks as `events` does, the next ones on another thread while one is used."""
        for number, found in zip(numbers, mapped_ahead(self._decoded, numbers), strict=True):
            yield self._kept(number, found)

    def event_sites(self, number: int) -> U32:
        """Decode the sites of a block's events in stored order, and nothing else; none when it is known to be damaged.

        Raises:
            IndexError: there is no such block.
        """
        block = self._blocks[number]
        try:
            if block.n:
                return codec.decode_sites(self._body(block.place), block.known)
        except BadRecordError as error:
            self._lose_block(block, error)
        return _NO_EVENTS.site

    def _decoded(self, number: int) -> EventColumns | BadRecordError:
        block = self._blocks[number]
        try:
            events = codec.decode_events(self._body(block.place), block.known)
            _require_prefix(events, block.place.prefix)
            return events
        except BadRecordError as error:
            return error

    def _kept(self, number: int, found: EventColumns | BadRecordError) -> EventColumns:
        if isinstance(found, BadRecordError):
            self._lose_block(self._blocks[number], found)
            return _NO_EVENTS
        return found

    def values(self, number: int) -> ValueColumns | None:
        """Decode the captures of a block, in the order they were given; None when there is none that can be read.

        Raises:
            IndexError: there is no such block.
        """
        block = self._blocks[number]
        pieces = []
        for place in self._values.get(block.place.prefix.sequence, []):
            try:
                pieces.append(codec.decode_values(self._body(place), place.prefix.count, block.place.prefix.count))
            except BadRecordError as error:
                if self._damage.add(place.offset, f"{place.prefix.count} values are lost: {error}"):
                    window = block.place.prefix.t_min, block.place.prefix.t_max
                    self.lost.append(LostRecord(0, *window, place.prefix.count, "values", damaged=True))
        return codec.join_values(pieces) if pieces else None

    def spans(self) -> Spans | None:
        """Decode what is known of calls that outlast a block; None when that is not told of all blocks, or wrongly."""
        blocks = [block.place.prefix for block in self._blocks]
        decoder = SpansDecoder(
            [BlockFacts(prefix.count, prefix.t_min, prefix.t_max) for prefix in blocks],
            np.array([site.role for site in self.sites], np.uint8),
            len(self.call_sites),
        )
        try:
            for place in self._spans:
                decoder.add(self._body(place))
            return decoder.spans()
        except BadRecordError:
            return None

    @property
    def site_events(self) -> NDArray[np.int64] | None:
        """Number of events of each site, of all blocks; None when the file does not tell it."""
        events, total = self._site_events, sum(block.n for block in self._blocks)
        right = events is not None and int(events.max(initial=0)) <= total and int(events.sum()) == total
        return events if right else None

    def check(self) -> str | None:
        """Decode everything; return `damage`."""
        for place in self._spans:
            try:
                self._body(place)
            except BadRecordError as error:
                self._damage.add(place.offset, f"a record is lost (spans): {error}")
        spans, standing = self.spans(), Standing()
        roles = np.array([site.role for site in self.sites], np.uint8)
        for number in range(len(self._blocks)):
            events = self.events(number)
            self.values(number)
            if len(events) == 0:
                spans = None  # what was in it is not known
            if spans is not None:
                found = standing.add(events, run_lengths(events), roles)
                if found is None or not spans.agrees(number, found):
                    self._damage.add(self._spans[0].offset, "what is told of calls that outlast blocks is not true")
                    spans = None
        return self.damage

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __enter__(self) -> "TraceReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_header(self, places: list[Place]) -> Header:
        try:
            if not places or places[0].prefix.sequence != 0 or places[0].prefix.type != RecordType.HEADER:
                raise BadRecordError("it has no header record")
            if not _understood(places[0].prefix):
                raise BadRecordError("its header record is of an unknown kind")
            fields = self._body(places[0])
            # Whether we may read it comes before what it says.
            check_features(bodies.required_features(fields), self._name)
            return bodies.decode_header(fields)
        except BadRecordError as error:
            raise TraceError(
                f"{self._name} cannot be read: {error}", remedy="record again; nothing can be saved from it"
            ) from error

    def _read_records(self, places: list[Place]) -> list[str]:
        strange: dict[str, int] = {}
        for place in places:
            prefix = place.prefix
            if not _understood(prefix):
                what = f"of type {prefix.type}, version {prefix.version}, flags {prefix.flags:#x}"
                strange[what] = strange.get(what, 0) + 1
            elif prefix.type == RecordType.EVENTS:
                self._add_block(place)
            elif prefix.type == RecordType.VALUES:
                self._values.setdefault(prefix.first, []).append(place)
            elif prefix.type == RecordType.SPANS:
                self._spans.append(place)
            else:
                self._add_small(place)
        return [f"{count} record{'s' * (count > 1)} {what}" for what, count in strange.items()]

    def _add_block(self, place: Place) -> None:
        prefix = place.prefix
        if 1 <= prefix.count <= MAX_BLOCK_EVENTS and 0 <= prefix.t_min <= prefix.t_max < MAX_TIME:
            self._blocks.append(_Block(place, self._contents.tables.for_events(), prefix.count))
        else:
            self._damage.add(place.offset, "an events record makes no sense")

    def _add_small(self, place: Place) -> None:
        kind = RecordType(place.prefix.type)
        try:
            fields = self._body(place)
            self._contents.add(kind, fields, place.prefix.count)
            if kind == RecordType.INDEX:
                self._take_hints(fields)
        except BadRecordError as error:
            self._damage.add(place.offset, f"a record is lost ({kind.name.lower()}): {error}")

    def _take_hints(self, fields: dict[str, Any]) -> None:
        try:
            lowest, highest = decode_goid_ranges(fields, len(self._blocks))
        except BadRecordError:
            return  # only a hint, and of another number of blocks when some are damaged
        with contextlib.suppress(BadRecordError):  # older files do not tell it
            self._site_events = decode_site_events(fields, self._contents.tables.sites)
        for block, low, high in zip(self._blocks, lowest.tolist(), highest.tolist(), strict=True):
            block.goids = low, high

    def _body(self, place: Place) -> dict[str, Any]:
        kind = place.prefix.type
        large = kind in LARGE
        content = read_body(self._source, place, self._file_id, MAX_RAW if large else MAX_SMALL_RAW)
        body = unpack_body(content, MAX_LARGE_CONTAINERS) if large else unpack_body(content, budget=self._objects)
        return upgrade(kind, body, self.version)

    def _lose_block(self, block: "_Block", error: BadRecordError) -> None:
        prefix = block.place.prefix
        if self._damage.add(block.place.offset, f"{prefix.count} events are lost: {error}"):
            self.lost.append(LostRecord(0, prefix.t_min, prefix.t_max, prefix.count, damaged=True))
            block.n = 0
            self._block_infos = None

    def _count_gaps(self) -> None:
        """Blocks say how many events came before them, so what a damaged part held is known exactly."""
        expected, since = 0, self.header.clock.monotonic_ns
        for prefix in (block.place.prefix for block in self._blocks):
            if prefix.first > expected:
                window = min(since, prefix.t_max), prefix.t_max
                self.lost.append(LostRecord(0, *window, prefix.first - expected, damaged=True))
            expected, since = prefix.first + prefix.count, prefix.t_min


@dataclass(slots=True)
class _Block:
    """An EVENTS record; `n` becomes 0 when it turns out to be damaged."""

    place: Place
    known: Tables
    n: int
    goids: tuple[int, int] = (0, (1 << 64) - 1)

    def describe(self, number: int, first_event: int, values: dict[int, list[Place]]) -> BlockInfo:
        prefix = self.place.prefix
        captures = sum(place.prefix.count for place in values.get(prefix.sequence, []))
        return BlockInfo(
            number, self.place.offset, self.n, first_event, prefix.t_min, prefix.t_max, *self.goids, captures
        )


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


def _understood(prefix: Prefix) -> bool:
    return prefix.type in _TYPES and prefix.version == 1 and prefix.flags == 0


def _require_prefix(events: EventColumns, prefix: Prefix) -> None:
    found = len(events), int(events.time_ns.min()), int(events.time_ns.max())
    if found != (prefix.count, prefix.t_min, prefix.t_max):
        raise BadRecordError("it contradicts its prefix")

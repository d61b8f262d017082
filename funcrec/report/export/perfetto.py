"""Perfetto's native trace: goroutines as tracks, calls as slices with their values, creations as flows, losses.

Field numbers and meanings: protos/perfetto/trace/ of Perfetto 52 (trace_packet.proto, track_event/*.proto,
interned_data.proto, clock_snapshot.proto). A goroutine is a plain track, not a thread: thread ids are 32 bits there.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.export import wire
from funcrec.report.export.annotations import bodies
from funcrec.report.export.cellannotations import TooWideError, value_part, value_texts
from funcrec.report.export.creation import Creations
from funcrec.report.export.source import NOTHING, Source
from funcrec.report.export.timeline import Index, Timeline
from funcrec.report.export.wirerows import (
    Constant,
    Joined,
    Message,
    Optional,
    Part,
    Placed,
    Several,
    Words,
    varint_field,
)
from funcrec.report.text import printable

if TYPE_CHECKING:
    from funcrec.report.trace import Trace
    from funcrec.report.valuecells import Cells

# One writer, one packet sequence. Track ids are global in a trace: a base keeps ours apart when traces are joined.
_SEQUENCE = 1
_UUID_BASE = 0x66756E63 << 4
_MONOTONIC, _BOOTTIME, _REALTIME = 3, 6, 1
_BEGIN, _END, _INSTANT = 1, 2, 3
_CLEARED, _NEEDS = 1, 2  # bits of sequence_flags: interned data begins here; interned data is needed
_EXPLICIT_ORDER, _NO_MERGE = 3, 2
_CHUNK = 1 << 16


def encode(parts: Callable[[], Iterable[Timeline]]) -> Iterator[bytes]:
    """Yield the trace in pieces.

    Args:
        parts: gives the parts of one trace each time; twice, because an arrow is told where it begins.
    """
    flows: _Flows | None = None
    names = _AnnotationNames()
    for timeline in parts():
        source = timeline.source
        if flows is None:
            yield _opening(source)
            flows = _Flows(source.trace, [timeline] if source.window is None else parts())
        yield b"".join(_packet(wire.field(60, descriptor)) for descriptor in _tracks(timeline))
        call, begin = timeline.edges()
        until = source.until_ns - source.trace.start_ns
        here = np.flatnonzero(np.where(begin, timeline.fresh[call], timeline.end_ns[call] < until))
        call, begin = call[here], begin[here]
        # In order of time; stable, so that equal times of a track keep the order of the tour.
        order = np.argsort(np.where(begin, timeline.start_ns[call], timeline.end_ns[call]), kind="stable")
        call, begin = call[order], begin[order]
        for low in range(0, len(call), _CHUNK):
            part = slice(low, low + _CHUNK)
            yield _events(_Edges(timeline, call[part], begin[part]), names, flows)
    if flows is not None:
        yield _losses(source.trace)


def _packet(*parts: bytes) -> bytes:
    return wire.field(1, b"".join(parts) + wire.field(10, _SEQUENCE))


def _opening(source: Source) -> bytes:
    """Clocks, processes and interned tables: all that the events refer to, but for their tracks."""
    trace = source.trace
    reading = trace.header.clock
    clocks = (
        (_MONOTONIC, reading.monotonic_ns),
        (_BOOTTIME, reading.boottime_ns),
        (_REALTIME, reading.realtime_ns),
    )
    snapshot = b"".join(wire.field(1, wire.field(1, number) + wire.field(2, time)) for number, time in clocks)
    names = source.function_names
    interned = [wire.field(2, wire.field(1, i + 1) + wire.field(2, name)) for i, name in enumerate(names)]
    interned += [
        wire.field(
            4,
            wire.field(1, i + 1)
            + wire.field(2, printable(site.file))
            + wire.field(3, printable(site.name))
            + wire.field(4, site.line),
        )
        for i, site in enumerate(trace.call_sites)
    ]
    return (
        _packet(wire.field(6, snapshot))
        + _packet(
            wire.field(13, _CLEARED | _NEEDS),
            wire.field(59, wire.field(58, _MONOTONIC)),
            wire.field(12, b"".join(interned)),
        )
        + b"".join(_packet(wire.field(60, descriptor)) for descriptor in _processes(source))
    )


def _track_uuid(number: int) -> int:
    return _UUID_BASE + 0x100000 + number


_LOSSES = _track_uuid(-1)


def _pids(source: Source) -> list[int]:
    return sorted({*source.known.pids.tolist(), *(record.pid for record in source.trace.processes)})


def _processes(source: Source) -> Iterator[bytes]:
    """Track descriptors: process, its "Goroutines" group; one track for the losses."""
    commands = {record.pid: record for record in source.trace.processes}
    for number, pid in enumerate(_pids(source)):
        record = commands.get(pid)
        process = wire.field(1, pid)
        if record is not None:
            process += b"".join(wire.field(2, printable(word)) for word in record.command)
            process += wire.field(6, printable(record.exe.rpartition("/")[2] or f"process {pid}"))
        yield wire.field(1, _UUID_BASE + 2 * number) + wire.field(3, process)
        group = wire.field(1, _UUID_BASE + 2 * number + 1) + wire.field(2, "Goroutines")
        yield group + wire.field(5, _UUID_BASE + 2 * number) + wire.field(11, _EXPLICIT_ORDER)
    yield wire.field(1, _LOSSES) + wire.field(2, "funcrec: lost events")


def _tracks(timeline: Timeline) -> Iterator[bytes]:
    """Track descriptors of the goroutines that appear first, ordered by goroutine, its own stack first."""
    goids, pids = timeline.source.known.goids, _pids(timeline.source)
    for track in timeline.tracks:
        if track.new:
            rank = 3 * int(np.searchsorted(goids, np.uint64(track.goid))) + (track.stack & 3)
            yield (
                wire.field(1, _track_uuid(track.number))
                + wire.field(2, printable(track.title))
                + wire.field(5, _UUID_BASE + 2 * pids.index(track.pid) + 1)
                + wire.field(12, rank)
                + wire.field(15, _NO_MERGE)
            )


class _AnnotationNames:
    """Interned names of annotations; new ones are announced before the events that use them."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._news: list[str] = []

    def field(self, name: str) -> bytes:
        """The name of an annotation as a reference."""
        if name not in self._ids:
            self._ids[name] = len(self._ids) + 1
            self._news.append(name)
        return wire.field(1, self._ids[name])

    def announce(self) -> bytes:
        """The packet that defines names used since the last call; empty when there are none."""
        if not self._news:
            return b""
        rows = [wire.field(3, wire.field(1, self._ids[name]) + wire.field(2, printable(name))) for name in self._news]
        self._news.clear()
        return _packet(wire.field(13, _NEEDS), wire.field(12, b"".join(rows)))


class _Flows:
    """Flow fields by the number of the call that starts or ends them."""

    def __init__(self, trace: "Trace", timelines: Iterable[Timeline]) -> None:
        self._fields: dict[int, bytes] = {}
        creations = Creations(trace)
        for timeline in timelines if creations else ():
            creations.add(timeline)
        for number, creation in enumerate(creations.found(), start=1):
            self._add(creation.origin.call, wire.fixed64(47, _UUID_BASE + number))
            self._add(creation.target.call, wire.fixed64(48, _UUID_BASE + number))
        self.calls = np.array(sorted(self._fields), np.int64)

    def _add(self, call: int, data: bytes) -> None:
        self._fields[call] = self._fields.get(call, b"") + data

    def field(self, call: int) -> bytes:
        """The flow fields of one call."""
        return self._fields[call]


def annotation(name: bytes, value: Any) -> bytes:
    """A DebugAnnotation body: the name field, then the value in its own type."""
    return name + bodies([value])[0]


@dataclass(frozen=True, slots=True)
class _Edges:
    """Begins and ends of calls: n indices into the timeline, and which are begins."""

    timeline: Timeline
    call: Index
    begin: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.call)

    def of(self, at: Index) -> "_Edges":
        """Some of them."""
        return _Edges(self.timeline, self.call[at], self.begin[at])

    def packet(self, *behind: Part, tails: Index | None = None) -> Part:
        """The packets of the edges, with more fields at their ends."""
        timeline, call, begin = self.timeline, self.call, self.begin
        state, caller = timeline.state[call], timeline.caller[call]
        kind = np.where(begin, np.where(state == State.ENTRY, _INSTANT, _BEGIN), _END)
        time = np.where(begin, timeline.start_ns[call], timeline.end_ns[call]) + timeline.source.trace.start_ns
        track = timeline.track_numbers[timeline.track[call]] + _track_uuid(0)
        event = Joined(
            varint_field(9, kind),
            *Optional.some(begin, varint_field(10, timeline.function[call] + np.uint32(1))),
            varint_field(11, track),
            *Optional.some(begin & (caller > 0), varint_field(34, caller)),
            *behind,
        )
        same = Constant(wire.field(10, _SEQUENCE) + wire.field(13, _NEEDS))
        return Message(1, Joined(varint_field(8, time), same, Message(11, event, tails)), tails)


class _Extras:
    """What follows the common fields of begins: values, unusual states and flows.

    Results stand at the begin as well: viewers merge both ends, and every call is decoded once.
    """

    def __init__(self, edges: _Edges, names: _AnnotationNames, flows: _Flows) -> None:
        timeline, self._count = edges.timeline, len(edges)
        self._values: list[tuple[bytes, list[tuple[Index, Cells]]]] = []
        if timeline.source.cells is not None:
            begins = np.flatnonzero(edges.begin)
            sides = timeline.source.cells(timeline.row[edges.call[begins]])
            for group, side in zip(("args", "results"), sides, strict=True):
                some = [(begins[at], cells) for at, cells in side if cells.template != NOTHING]
                if some:
                    self._values.append((names.field(group), some))
        state = np.where(edges.begin, timeline.state[edges.call], State.RETURNED)
        self._words: list[tuple[list[bytes], NDArray[Any]]] = []
        if (state != State.RETURNED).any():
            head = names.field("state")
            states = [wire.field(4, annotation(head, each.label)) if each != State.RETURNED else b"" for each in State]
            self._words.append((states, state))
        if len(flows.calls):
            calls = timeline.source.numbers(timeline.row[edges.call])
            here = edges.begin & np.isin(calls, flows.calls)
            fields = [flows.field(call) for call in calls[here].tolist()]
            self._words.append(([b"", *fields], np.where(here, np.cumsum(here), 0)))

    def parts(self, row: Index, first: Index) -> list[Part]:
        """As columns, where row[i] is that of edge i, and first[i] the first edge of row i.

        Raises:
            TooWideError: values are so long that most of a matrix of them would be empty.
        """
        values = [
            Several([Placed(row[at], value_part(4, head, cells)) for at, cells in side]) for head, side in self._values
        ]
        if any(each.is_sparse() for each in values):
            raise TooWideError
        return [*values, *(Words(words, numbers[first]) for words, numbers in self._words)]

    def texts(self) -> list[bytes]:
        """As bytes of each edge."""
        texts = [b""] * self._count
        for head, side in self._values:
            for at, cells in side:
                for position, text in zip(at.tolist(), value_texts(4, head, cells, len(at)), strict=True):
                    texts[position] += text
        for words, numbers in self._words:
            has = np.array([bool(word) for word in words], np.bool_)
            for position in np.flatnonzero(has[numbers]).tolist():
                texts[position] += words[numbers[position]]
        return texts


def _events(edges: _Edges, names: _AnnotationNames, flows: _Flows) -> bytes:
    """The packets of a run of edges. Open calls have no end; entry-only calls are instants."""
    state = edges.timeline.state[edges.call]
    edges = edges.of(np.flatnonzero(edges.begin | ((state != State.OPEN) & (state != State.ENTRY))))
    if not len(edges):
        return b""
    extras = _Extras(edges, names, flows)
    try:
        pieces: Iterable[bytes] = _rows(edges, extras)
    except TooWideError:
        tails = extras.texts()
        lengths = np.fromiter(map(len, tails), np.int64, len(tails))
        packets = edges.packet(tails=lengths).rows(len(edges))
        pieces = chain.from_iterable(zip(packets, tails, strict=True))
    return names.announce() + b"".join(pieces)


def _rows(edges: _Edges, extras: _Extras) -> Iterator[bytes]:
    """Edges as rows, in each a begin with what follows it, an end that comes next, or both."""
    begin = edges.begin
    behind = ~begin
    behind[1:] &= begin[:-1]
    behind[:1] = False
    row = np.cumsum(~behind) - 1
    first = np.flatnonzero(~behind)  # edge of each row
    last = np.append(first[1:], len(edges)) - 1
    ends = edges.of(last)
    begins = edges.of(first).packet(*extras.parts(row, first))
    return Joined(Optional(begin[first], begins), Optional(~ends.begin, ends.packet())).written(len(first))


def _losses(trace: "Trace") -> bytes:
    """An instant at the begin of each window in which events were lost."""
    packets = []
    for record in trace.lost:
        facts = {"count": record.lost, "window_ns": record.last_ns - record.first_ns, "ring": record.ring}
        notes = b"".join(wire.field(4, annotation(wire.field(10, key), value)) for key, value in facts.items())
        event = wire.field(9, _INSTANT) + wire.field(11, _LOSSES)
        event += wire.field(23, f"{record.lost} {record.kind} lost") + notes
        packets.append(_packet(wire.field(8, record.first_ns), wire.field(13, _NEEDS), wire.field(11, event)))
    return b"".join(packets)

"""Perfetto's native trace: goroutines as tracks, calls as slices with their values, creations as flows, losses.

Field numbers and meanings: protos/perfetto/trace/ of Perfetto 52 (trace_packet.proto, track_event/*.proto,
interned_data.proto, clock_snapshot.proto). A goroutine is a plain track, not a thread: thread ids are 32 bits there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.export import wire
from funcrec.report.export.annotations import bodies
from funcrec.report.export.cellannotations import cell_messages
from funcrec.report.export.creation import Creations
from funcrec.report.export.source import Source
from funcrec.report.export.timeline import Timeline
from funcrec.report.text import printable

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

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
            yield _events(timeline, call[part], begin[part], names, flows)
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


def _annotations(names: _AnnotationNames, source: Source, rows: NDArray[np.int64]) -> list[bytes]:
    """The values of each call; nothing where it has none."""
    annotations = [b""] * len(rows)
    sides = source.cells(rows) if source.cells is not None else ([], [])
    for group, parts in zip(("args", "results"), sides, strict=True):
        for at, cells in parts:
            if cells.template == "{}":
                continue
            messages = cell_messages(4, names.field(group), cells, len(at))
            if len(at) < len(annotations):
                for position, message in zip(at.tolist(), messages, strict=True):
                    annotations[position] += message
            else:
                annotations = list(map(add, annotations, messages))
    return annotations


def _tails(
    timeline: Timeline, call: NDArray[np.int64], begin: NDArray[np.bool_], names: _AnnotationNames, flows: _Flows
) -> Sequence[bytes]:
    """Bytes that follow the common fields of each event: values, unusual states and flows."""
    tails = [b""] * len(call)
    if timeline.source.cells is not None:
        # Results stand at the begin as well: viewers merge both ends, and every call is decoded once.
        begins = np.flatnonzero(begin)
        found = _annotations(names, timeline.source, timeline.row[call[begins]])
        for at, annotations in zip(begins.tolist(), found, strict=True):
            tails[at] = annotations
    state = timeline.state[call]
    for at in np.flatnonzero(begin & (state != State.RETURNED)).tolist():
        tails[at] += wire.field(4, annotation(names.field("state"), State(int(state[at])).label))
    if len(flows.calls):
        numbers = timeline.source.numbers(timeline.row[call])
        for at in np.flatnonzero(begin & np.isin(numbers, flows.calls)).tolist():
            tails[at] += flows.field(int(numbers[at]))
    return tails


def _events(
    timeline: Timeline, call: NDArray[np.int64], begin: NDArray[np.bool_], names: _AnnotationNames, flows: _Flows
) -> bytes:
    """The packets of a run of edges. Open calls have no end; entry-only calls are instants."""
    state = timeline.state[call]
    keep = begin | ((state != State.OPEN) & (state != State.ENTRY))
    call, begin, state = call[keep], begin[keep], state[keep]
    if not len(call):
        return b""
    tails = _tails(timeline, call, begin, names, flows)
    kind = np.where(begin, np.where(state == State.ENTRY, _INSTANT, _BEGIN), _END)
    time = np.where(begin, timeline.start_ns[call], timeline.end_ns[call]) + timeline.source.trace.start_ns
    caller = timeline.caller[call]
    lengths = np.fromiter(map(len, tails), np.int64, len(tails))
    event = wire.join(
        wire.varint_fields(9, kind),
        wire.varint_fields(10, timeline.function[call] + np.uint32(1), begin),
        wire.varint_fields(11, timeline.track_numbers[timeline.track[call]] + _track_uuid(0)),
        wire.varint_fields(34, caller, begin & (caller > 0)),
    )
    packet = wire.join(
        wire.varint_fields(8, time),
        wire.constant(wire.field(10, _SEQUENCE) + wire.field(13, _NEEDS), len(call)),
        wire.messages(11, event, lengths),
    )
    return names.announce() + wire.with_tails(wire.messages(1, packet, lengths), tails)


def _losses(trace: "Trace") -> bytes:
    """An instant at the begin of each window in which events were lost."""
    packets = []
    for record in trace.lost:
        facts = {"count": record.count, "window_ns": record.last_ns - record.first_ns, "ring": record.ring}
        notes = b"".join(wire.field(4, annotation(wire.field(10, key), value)) for key, value in facts.items())
        event = wire.field(9, _INSTANT) + wire.field(11, _LOSSES)
        event += wire.field(23, f"{record.count} {record.kind} lost") + notes
        packets.append(_packet(wire.field(8, record.first_ns), wire.field(13, _NEEDS), wire.field(11, event)))
    return b"".join(packets)

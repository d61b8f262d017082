"""speedscope's own file format: one evented profile per goroutine, the busiest one first.

Rules of its importer (speedscope 1.25, file-format-schema.json): times never decrease, opens and closes balance and
match. An Euler tour of the calls has these properties by construction.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from funcrec.report.export.source import Source
from funcrec.report.export.text import to_json
from funcrec.report.export.timeline import Index, Timeline
from funcrec.report.text import printable

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_CHUNK = 1 << 14


def encode(timelines: Iterable[Timeline], *, title: str = "funcrec") -> Iterator[bytes]:
    """Yield the file in pieces, of the parts of one trace.

    The events of a goroutine stand together, so that they wait in a temporary file until all parts have been seen.
    """
    with tempfile.TemporaryFile() as file:
        spool = _Spool(file)
        head = b""
        for timeline in timelines:
            head = head or _head(timeline.source, title)
            spool.add(timeline)
        yield head
        # The busiest first, then by appearance.
        for number, track in enumerate(sorted(spool.tracks.values(), key=lambda track: -track.busy_ns)):
            yield b",\n" if number else b""
            yield track.opening()
            yield from spool.events(track)
            yield b"]}"
    yield b"\n]}\n"


def _head(source: Source, title: str) -> bytes:
    trace = source.trace
    named = zip(source.function_names, trace.functions, strict=True)
    frames = [_frame(name, function.file, function.line) for name, function in named]
    head = {"$schema": _SCHEMA, "exporter": trace.header.tool, "name": printable(title), "activeProfileIndex": 0}
    shared = f',"shared":{{"frames":[{",".join(frames)}]}},"profiles":[\n'
    return (to_json(head)[:-1] + shared).encode("utf-8", "replace")


def _frame(name: str, file: str, line: int) -> str:
    frame: dict[str, str | int] = {"name": printable(name)}
    if file:
        frame |= {"file": printable(file), "line": line}
    return to_json(frame)


@dataclass
class _Track:
    """A goroutine's profile so far; `pieces` are places in the file."""

    title: str
    start_ns: int
    end_ns: int
    busy_ns: int = 0
    pieces: list[tuple[int, int]] = field(default_factory=list)

    def opening(self) -> bytes:
        head = {
            "type": "evented",
            "name": printable(self.title),
            "unit": "nanoseconds",
            "startValue": self.start_ns,
            "endValue": self.end_ns,
        }
        return (to_json(head)[:-1] + ',"events":[').encode("utf-8", "replace")


class _Spool:
    """Events of all tracks, in the order in which parts bring them."""

    def __init__(self, file: BinaryIO) -> None:
        self.tracks: dict[int, _Track] = {}  # by number
        self._file, self._size = file, 0

    def add(self, timeline: Timeline) -> None:
        """Take the edges of a part; ends beyond it come with a later one."""
        call, begin = timeline.edges()
        until = timeline.source.until_ns - timeline.source.trace.start_ns
        fresh = timeline.fresh
        for track in timeline.tracks:
            own = slice(track.first, track.first + track.count)
            known = self.tracks.get(track.number)
            if known is None:
                start_ns = int(timeline.start_ns[track.first])
                known = self.tracks[track.number] = _Track(track.title, start_ns, start_ns)
            known.end_ns = max(known.end_ns, int(timeline.end_ns[own].max()))
            outer = track.first + np.flatnonzero(fresh[own] & (timeline.depth[own] == 0))
            known.busy_ns += int((timeline.end_ns[outer] - timeline.start_ns[outer]).sum())
            # A track's edges are contiguous in the tour: two per call.
            for at in range(2 * own.start, 2 * own.stop, _CHUNK):
                part = slice(at, min(at + _CHUNK, 2 * own.stop))
                self._write(known, timeline, call[part], begin[part], until)

    def _write(self, track: _Track, timeline: Timeline, call: Index, begin: NDArray[np.bool_], until: int) -> None:
        here = np.flatnonzero(np.where(begin, timeline.fresh[call], timeline.end_ns[call] < until))
        if len(here) == 0:
            return
        call, begin = call[here], begin[here]
        time = np.where(begin, timeline.start_ns[call], timeline.end_ns[call])
        events = ",\n".join(
            f'{{"type":"{"O" if opens else "C"}","frame":{frame},"at":{ns}}}'
            for opens, frame, ns in zip(begin.tolist(), timeline.function[call].tolist(), time.tolist(), strict=True)
        )
        data = ((",\n" if track.pieces else "") + events).encode()
        self._file.write(data)
        track.pieces.append((self._size, len(data)))
        self._size += len(data)

    def events(self, track: _Track) -> Iterator[bytes]:
        """Yield the events of a track."""
        for offset, size in track.pieces:
            self._file.seek(offset)
            yield self._file.read(size)

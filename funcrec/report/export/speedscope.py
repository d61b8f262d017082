"""speedscope's own file format: one evented profile per goroutine, the busiest one first.

Rules of its importer (speedscope 1.25, file-format-schema.json): times never decrease, opens and closes balance and
match. An Euler tour of the calls has these properties by construction.
"""

from collections.abc import Iterator

import numpy as np

from funcrec.report.export.text import to_json
from funcrec.report.export.timeline import Timeline, Track
from funcrec.report.text import printable

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_CHUNK = 1 << 14


def encode(timeline: Timeline, *, title: str = "funcrec") -> Iterator[bytes]:
    """Yield the file in pieces."""
    trace = timeline.source.trace
    named = zip(timeline.source.function_names, trace.functions, strict=True)
    frames = [_frame(name, function.file, function.line) for name, function in named]
    head = {"$schema": _SCHEMA, "exporter": trace.header.tool, "name": printable(title), "activeProfileIndex": 0}
    shared = f',"shared":{{"frames":[{",".join(frames)}]}},"profiles":[\n'
    yield (to_json(head)[:-1] + shared).encode("utf-8", "replace")
    call, begin = timeline.edges()
    busiest = sorted(timeline.tracks, key=lambda track: (-track.busy_ns, track.first))
    for number, track in enumerate(busiest):
        yield b",\n" if number else b""
        yield from _profile(timeline, track, call, begin)
    yield b"\n]}\n"


def _frame(name: str, file: str, line: int) -> str:
    frame: dict[str, str | int] = {"name": printable(name)}
    if file:
        frame |= {"file": printable(file), "line": line}
    return to_json(frame)


def _profile(timeline: Timeline, track: Track, call: np.ndarray, begin: np.ndarray) -> Iterator[bytes]:
    calls = slice(track.first, track.first + track.count)
    start, end = int(timeline.start_ns[track.first]), int(timeline.end_ns[calls].max())
    head = {
        "type": "evented",
        "name": printable(track.title),
        "unit": "nanoseconds",
        "startValue": start,
        "endValue": end,
    }
    yield (to_json(head)[:-1] + ',"events":[').encode("utf-8", "replace")
    # A track's edges are contiguous in the tour: two per call.
    low, high = 2 * track.first, 2 * (track.first + track.count)
    for at in range(low, high, _CHUNK):
        part = slice(at, min(at + _CHUNK, high))
        time = np.where(begin[part], timeline.start_ns[call[part]], timeline.end_ns[call[part]])
        events = ",\n".join(
            f'{{"type":"{"O" if opens else "C"}","frame":{frame},"at":{ns}}}'
            for opens, frame, ns in zip(
                begin[part].tolist(), timeline.function[call[part]].tolist(), time.tolist(), strict=True
            )
        )
        yield (",\n" if at > low else "").encode() + events.encode()
    yield b"]}"

"""pprof's profile.proto, gzipped: calls and self wall time per stack, for `go tool pprof` and its kin.

Field numbers and rules: proto/profile.proto of github.com/google/pprof. Samples list locations leaf first; ids are not
zero; string 0 is empty. Cumulative numbers are pprof's to add up, so that only self time is written.
"""

import zlib
from collections.abc import Iterable, Iterator

from funcrec.report.export import wire
from funcrec.report.export.source import Source
from funcrec.report.export.stacks import Profile, profile
from funcrec.report.export.timeline import Timeline
from funcrec.report.text import printable

# Deep recursion makes stacks of any length; their inner frames are what a profile is read for.
_MAX_FRAMES = 1000
_CHUNK = 1 << 12


class _Strings:
    """The string table; 0 is the empty string."""

    def __init__(self) -> None:
        self._ids = {"": 0}

    def __call__(self, text: str) -> int:
        return self._ids.setdefault(printable(text), len(self._ids))

    def encode(self) -> bytes:
        return b"".join(wire.field(6, text) for text in self._ids)


class _Locations:
    """A location is a function and the line where it is: of the call it makes, or of its declaration."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int], int] = {}
        self._varints: list[bytes] = []

    def __call__(self, function: int, line: int) -> bytes:
        """The varint of the location's id."""
        number = self._ids.setdefault((function, line), len(self._ids))
        if number == len(self._varints):
            self._varints.append(wire.varint(number + 1))
        return self._varints[number]

    def encode(self) -> bytes:
        return b"".join(
            wire.field(
                4,
                wire.field(1, number + 1)
                + wire.field(2, 1)
                + wire.field(4, wire.field(1, function + 1) + wire.field(2, line)),
            )
            for (function, line), number in self._ids.items()
        )


def encode(timelines: Iterable[Timeline], *, by_goroutine: bool = False) -> Iterator[bytes]:
    """Yield the gzipped profile in pieces; with `by_goroutine` samples have a label `goroutine`."""
    packer = zlib.compressobj(6, wbits=31)
    for piece in _profile(profile(timelines, by_line=True, by_track=by_goroutine)):
        yield packer.compress(piece)
    yield packer.flush()


def _profile(made: Profile) -> Iterator[bytes]:
    strings, locations = _Strings(), _Locations()
    yield _types(strings)
    yield from _samples(made, strings, locations)
    yield locations.encode()
    yield _functions(made.source, strings)
    yield _facts(made.source, strings)
    yield strings.encode()


def _value_type(strings: _Strings, kind: str, unit: str) -> bytes:
    return wire.field(1, strings(kind)) + wire.field(2, strings(unit))


def _types(strings: _Strings) -> bytes:
    calls, wall = _value_type(strings, "calls", "count"), _value_type(strings, "wall", "nanoseconds")
    return (
        wire.field(1, calls)
        + wire.field(1, wall)
        + wire.field(11, wall)
        + wire.field(12, 1)
        + wire.field(14, strings("wall"))
    )


def _samples(made: Profile, strings: _Strings, locations: _Locations) -> Iterator[bytes]:
    stacks = made.stacks
    declared = [function.line for function in made.source.trace.functions]
    parent, function, line = stacks.parent.tolist(), stacks.function.tolist(), stacks.line.tolist()
    calls, self_ns, tracks = stacks.calls.tolist(), stacks.self_ns.tolist(), stacks.track.tolist()
    key, unit = strings("goroutine"), strings("id")
    pieces: list[bytes] = []
    for node in range(len(stacks)):
        ids = [locations(function[node], declared[function[node]])]
        inner, at = node, parent[node]
        while at >= 0 and len(ids) < _MAX_FRAMES:
            ids.append(locations(function[at], line[inner] or declared[function[at]]))
            inner, at = at, parent[at]
        sample = wire.field(1, b"".join(ids)) + wire.packed(2, (calls[node], self_ns[node]))
        if tracks[node] >= 0:
            goid = made.tracks[tracks[node]].goid
            sample += wire.field(3, wire.field(1, key) + wire.field(3, goid) + wire.field(4, unit))
        pieces.append(wire.field(2, sample))
        if len(pieces) == _CHUNK:
            yield b"".join(pieces)
            pieces.clear()
    yield b"".join(pieces)


def _functions(source: Source, strings: _Strings) -> bytes:
    rows = []
    named = zip(source.function_names, source.trace.functions, strict=True)
    for number, (text, function) in enumerate(named):
        name = strings(text)
        rows.append(
            wire.field(1, number + 1)
            + wire.field(2, name)
            + wire.field(3, name)
            + wire.field(4, strings(function.file))
            + wire.field(5, function.line)
        )
    return b"".join(wire.field(5, row) for row in rows)


def _facts(source: Source, strings: _Strings) -> bytes:
    """The binary, when and how long, and what a reader should know: losses, the writer."""
    trace = source.trace
    target = trace.header.target
    build = str(target.get("gnu_build_id") or target.get("go_build_id") or "")
    mapping = wire.field(1, 1) + wire.field(5, strings(str(target.get("path", "")))) + wire.field(6, strings(build))
    # has_functions, has_filenames, has_line_numbers: pprof must not look for symbols itself.
    mapping += wire.field(7, True) + wire.field(8, True) + wire.field(9, True)
    comments = (trace.header.tool, f"{source.lost_events} events lost")
    return (
        wire.field(3, mapping)
        + wire.field(9, trace.header.clock.realtime_ns)
        + wire.field(10, trace.end_ns - trace.start_ns)
        + b"".join(wire.field(13, strings(comment)) for comment in comments)
    )

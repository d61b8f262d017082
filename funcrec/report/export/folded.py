"""Folded stacks: `outer;inner COUNT` lines for flamegraph.pl, inferno and speedscope; COUNT is self time in ns.

Two traces give `outer;inner BASE NEW`, what their difffolded.pl makes of two files, for a differential flame graph.
"""

from collections.abc import Iterable, Iterator

from funcrec.report.export.stacks import Stacks, profile
from funcrec.report.export.timeline import Timeline
from funcrec.report.text import printable

_CHUNK = 1 << 12


def encode(timelines: Iterable[Timeline], *, by_goroutine: bool = False) -> Iterator[bytes]:
    """Yield lines in pieces, of the parts of one trace; with `by_goroutine` the outermost frame is the goroutine."""
    return _in_pieces(f"{stack} {weight}\n" for stack, weight in _weights(timelines, by_goroutine))


def encode_pair(base: Iterable[Timeline], new: Iterable[Timeline], *, by_goroutine: bool = False) -> Iterator[bytes]:
    """Yield the lines of two traces; a stack of one side only has 0 on the other."""
    pairs: dict[str, list[int]] = {}
    for side, timelines in enumerate((base, new)):
        for stack, weight in _weights(timelines, by_goroutine):
            pairs.setdefault(stack, [0, 0])[side] += weight
    return _in_pieces(f"{stack} {before} {after}\n" for stack, (before, after) in pairs.items())


def _in_pieces(lines: Iterator[str]) -> Iterator[bytes]:
    pieces: list[str] = []
    for line in lines:
        pieces.append(line)
        if len(pieces) == _CHUNK:
            yield "".join(pieces).encode("utf-8", "replace")
            pieces.clear()
    yield "".join(pieces).encode("utf-8", "replace")


def _weights(timelines: Iterable[Timeline], by_goroutine: bool) -> Iterator[tuple[str, int]]:
    """Stacks that took time themselves."""
    made = profile(timelines, by_track=by_goroutine)
    stacks = made.stacks
    # Frames are parted by semicolons, and Go type arguments such as struct { A int; B string } have them.
    names = [name.replace(";", ",") for name in made.source.function_names]
    titles = [printable(track.title).replace(";", ",") for track in made.tracks]
    for node, weight in enumerate(stacks.self_ns.tolist()):
        if weight:
            yield ";".join(_frames(stacks, node, names, titles)), weight


def _frames(stacks: Stacks, node: int, names: list[str], titles: list[str]) -> list[str]:
    frames = []
    goroutine = int(stacks.track[node])
    while node >= 0:
        frames.append(names[stacks.function[node]])
        node = int(stacks.parent[node])
    if goroutine >= 0:
        frames.append(titles[goroutine])
    return frames[::-1]

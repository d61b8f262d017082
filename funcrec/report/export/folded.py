"""Folded stacks: `outer;inner COUNT` lines for flamegraph.pl, inferno and speedscope; COUNT is self time in ns."""

from collections.abc import Iterator

from funcrec.report.export.stacks import Stacks, merge
from funcrec.report.export.timeline import Timeline
from funcrec.report.text import printable

_CHUNK = 1 << 12


def encode(timeline: Timeline, *, by_goroutine: bool = False) -> Iterator[bytes]:
    """Yield lines in pieces; with `by_goroutine` the outermost frame is the goroutine."""
    stacks = merge(timeline, by_track=by_goroutine)
    # Frames are parted by semicolons, and Go type arguments such as struct { A int; B string } have them.
    names = [name.replace(";", ",") for name in timeline.source.function_names]
    titles = [printable(track.title).replace(";", ",") for track in timeline.tracks]
    weights = stacks.self_ns.tolist()
    for low in range(0, len(stacks), _CHUNK):
        nodes = range(low, min(low + _CHUNK, len(stacks)))
        lines = (
            f"{';'.join(_frames(stacks, node, names, titles))} {weights[node]}\n" for node in nodes if weights[node]
        )
        yield "".join(lines).encode("utf-8", "replace")


def _frames(stacks: Stacks, node: int, names: list[str], titles: list[str]) -> list[str]:
    frames = []
    goroutine = int(stacks.track[node])
    while node >= 0:
        frames.append(names[stacks.function[node]])
        node = int(stacks.parent[node])
    if goroutine >= 0:
        frames.append(titles[goroutine])
    return frames[::-1]

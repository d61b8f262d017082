"""The data of the page: what is shown as text goes into `facts`, what is drawn goes into compressed columns."""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.exact import sum_by
from funcrec.report.export.creation import Creations
from funcrec.report.export.html.longest import Longest
from funcrec.report.export.html.tables import Totals, by_function, by_name, durations, flame
from funcrec.report.export.source import NOTHING, Source
from funcrec.report.export.stacks import Stacks, join, merge
from funcrec.report.export.text import printable_tree
from funcrec.report.export.timeline import Index, Timeline, Track
from funcrec.report.export.wirerows import Varints
from funcrec.report.intime import Gathering
from funcrec.report.quantiles import Sample, sample
from funcrec.report.summary import Groups
from funcrec.report.text import printable

_CHUNK = 1 << 16
_NO_VALUES = f"[{NOTHING},{NOTHING}]".encode()
_MAX_VALUED_CALLS = 200_000
_MAX_ARROWS = 50_000
_MAX_LOSSES = 10_000


@dataclass(frozen=True, slots=True)
class Payload:
    """facts: JSON for the page; columns: compressed columns end to end; cut: what was left out, for people."""

    facts: dict[str, Any]
    columns: bytes
    cut: list[str]


class Gathered:
    """Takes in the calls of one trace, part by part, for what a page shows of them.

    Args:
        name: what to call the trace.
        max_calls: show at most so many calls one by one, the longest.
        sampled: keep what a comparison needs.
    """

    def __init__(self, name: str, max_calls: int, *, sampled: bool = False) -> None:
        self._name = name
        self._longest = Longest(max_calls)
        self._functions, self._tracks = Totals(), _Tracks()
        self._creations: Creations | None = None
        self._stacks: Stacks | None = None
        self._source: Source | None = None
        self._durations = Gathering() if sampled else None
        self._calls = self._recorded = 0

    def add(self, timeline: Timeline) -> None:
        """Take in a part; parts come in order."""
        source = self._source = timeline.source
        self._longest.add(timeline)
        self._tracks.add(timeline)
        self._functions.add(source, by_function(source))
        self._creations = self._creations or Creations(source.trace)
        self._creations.add(timeline)
        stacks = merge(timeline)
        self._stacks = stacks if self._stacks is None else join(self._stacks, stacks)
        if self._durations is not None:
            rows = source.rows
            self._durations.add(source.numbers(rows), by_name(source), durations(source, rows))
        self._calls += int(np.count_nonzero(timeline.fresh))
        total = None if source.window is None else source.window.total
        self._recorded += len(source.calls) - source.since if total is None else total

    def sample(self) -> Sample:
        """Return the durations by function, for a comparison; to be asked once."""
        if self._durations is None:
            raise ValueError("nothing is compared")
        return sample(self._durations.durations())

    def payload(self, buckets: Groups | None = None) -> Payload:
        """Return all of it.

        Args:
            buckets: groups (function, bucket) of the calls of a trace in one part.
        """
        source, stacks, creations, kept = self._source, self._stacks, self._creations, self._longest
        if source is None or stacks is None or creations is None:
            raise ValueError("a trace has at least one part")
        kept.end()
        valued = kept.longest(_MAX_VALUED_CALLS) if kept.has_values else np.arange(0)
        cut = _cut(kept, self._calls, valued)
        columns, directory = _columns(kept, valued)
        facts = _facts(source, self._name, self._calls, self._recorded) | {
            "kept": len(kept),
            "cut": cut,
            "tracks": self._tracks.rows(source, kept),
            "functions": _functions(source, self._functions.rows()),
            "buckets": None if buckets is None else _buckets(source, buckets),
            "flame": flame(stacks),
            "arrows": _arrows(creations, kept),
            "columns": directory,
        }
        return Payload(facts, columns, [f"{self._name}: {line}" for line in cut])


def _cut(kept: Longest, calls: int, valued: Index) -> list[str]:
    lines = []
    if len(kept) < calls:
        shortest = int(kept.columns["duration"].min(initial=0))
        lines.append(
            f"the timeline has the {len(kept):,} longest of {calls:,} calls (from {shortest:,} ns on); "
            "tables, flame graph and distributions have all"
        )
    if kept.has_values and len(valued) < len(kept):
        lines.append(f"values are those of the {len(valued):,} longest calls")
    return lines


def _facts(source: Source, name: str, calls: int, recorded: int) -> dict[str, Any]:
    trace = source.trace
    header = trace.header
    started = datetime.fromtimestamp(header.clock.realtime_ns / 1e9, UTC)
    lost = sorted(trace.lost, key=lambda record: -record.lost)[:_MAX_LOSSES]
    facts: dict[str, Any] = printable_tree(
        {
            "name": name,
            "tool": header.tool,
            "binary": str(header.target.get("path", "")),
            "go": str(header.target.get("go_version", "")),
            "build": str(header.target.get("gnu_build_id") or header.target.get("go_build_id") or ""),
            "host": str(header.host.get("hostname", "")),
            "kernel": str(header.host.get("kernel", "")),
            "started": started.isoformat(timespec="milliseconds"),
            "length_ns": trace.end_ns - trace.start_ns,
            "calls": calls,
            "recorded": recorded,
            "lost": source.lost_events,
            "losses": [
                {
                    "first_ns": record.first_ns - trace.start_ns,
                    "last_ns": record.last_ns - trace.start_ns,
                    "count": record.lost,
                    "kind": record.kind,
                }
                for record in lost
            ],
            "states": [state.label for state in State],
            "places": [[site.name, f"{site.file}:{site.line}" if site.file else ""] for site in trace.call_sites],
        }
    )
    return facts


def _functions(source: Source, numbers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order of the trace's table, so that the columns can refer to it."""
    return [
        {"name": name, "place": printable(f"{function.file}:{function.line}") if function.file else "", **row}
        for name, function, row in zip(source.function_names, source.trace.functions, numbers, strict=True)
    ]


def _buckets(source: Source, groups: Groups) -> list[dict[str, Any]]:
    totals = Totals()
    totals.add(source, groups)
    return [
        {"function": printable(str(key[0])), "bucket": printable(str(key[1])), **row}
        for key, row in zip(groups.keys, totals.rows(), strict=True)
    ]


class _Tracks:
    """The tracks in order of first appearance, and their totals."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._calls = self._busy_ns = np.zeros(0, np.int64)

    def add(self, timeline: Timeline) -> None:
        new = sorted((track for track in timeline.tracks if track.new), key=lambda track: track.number)
        self._tracks += new
        fresh = timeline.fresh
        number = timeline.track_numbers
        part = timeline.track[fresh]
        outermost = np.where(timeline.depth == 0, timeline.end_ns - timeline.start_ns, 0)[fresh]
        calls, busy_ns = np.zeros((2, len(self._tracks)), np.int64)
        calls[: len(self._calls)], busy_ns[: len(self._busy_ns)] = self._calls, self._busy_ns
        calls[number] += np.bincount(part, minlength=len(number))
        busy_ns[number] += sum_by(part.astype(np.intp), outermost, len(number))
        self._calls, self._busy_ns = calls, busy_ns

    def rows(self, source: Source, kept: Longest) -> list[dict[str, Any]]:
        """With `count` of the calls kept; those without any are left out by the page."""
        trace = source.trace
        records = {(record.pid, record.goid): record for record in trace.goroutines}
        counts = np.bincount(kept.columns["track"], minlength=len(self._tracks)).tolist()
        totals = zip(counts, self._calls.tolist(), self._busy_ns.tolist(), strict=True)
        rows = []
        for track, (count, calls, busy_ns) in zip(self._tracks, totals, strict=True):
            record = records.get((track.pid, track.goid))
            created = ""
            if record is not None and 0 < record.created_at <= len(trace.call_sites):
                site = trace.call_sites[record.created_at - 1]
                created = f"{site.name} {site.file}:{site.line}" if site.file else site.name
            rows.append(
                {
                    "title": printable(track.title),
                    "pid": track.pid,
                    "goid": str(track.goid),
                    "parent": str(record.parent) if record is not None and record.parent else "",
                    "created": printable(created),
                    "count": count,
                    "calls": calls,
                    "busy_ns": busy_ns,
                }
            )
        return rows


def _arrows(creations: Creations, kept: Longest) -> list[list[int]]:
    """[origin, target] pairs of places among the calls kept."""
    place = {number: at for at, number in enumerate(kept.columns["number"].tolist())} if creations else {}
    arrows = []
    for creation in creations.found():
        origin, target = place.get(creation.origin.call, -1), place.get(creation.target.call, -1)
        if origin >= 0 and target >= 0:
            arrows.append([origin, target])
        if len(arrows) == _MAX_ARROWS:
            break
    return arrows


def _columns(kept: Longest, valued: Index) -> tuple[bytes, dict[str, list[int]]]:
    """The columns, and where each is: [offset, bytes] by name."""
    columns = kept.columns
    # Delta, then zigzag: differences are small, and negative only where the next track begins.
    numbers = {
        "start": _zigzag(_delta(columns["start"])),
        "duration": columns["duration"],
        "function": columns["function"],
        "depth": columns["depth"],
        "state": columns["state"].astype(np.uint32),
        "caller": columns["caller"],
        "thread": columns["thread"],
        "row": _zigzag(_delta(columns["number"])),
    }
    parts = {name: _deflate(_varints(values)) for name, values in numbers.items()}
    if len(valued):
        parts["values"], lengths = _values(kept, valued)
        parts["value_length"] = _deflate(_varints(lengths))
        parts["value_call"] = _deflate(_varints(_delta(valued)))
    directory, offset = {}, 0
    for name, data in parts.items():
        directory[name] = [offset, len(data)]
        offset += len(data)
    return b"".join(parts.values()), directory


def _delta(values: Index) -> Index:
    return np.diff(values, prepend=np.int64(0))


def _zigzag(values: Index) -> NDArray[np.int64]:
    return (values << 1) ^ (values >> 63)


def _varints(values: NDArray[Any]) -> bytes:
    return b"".join(Varints(values).written(len(values)))


def _deflate(data: bytes) -> bytes:
    return zlib.compress(data, 6)


def _values(kept: Longest, valued: Index) -> tuple[bytes, Index]:
    """JSON text of each call's values end to end, compressed, and the lengths in bytes."""
    texts = [b""] * len(valued)
    # In the order of the trace, where values lie side by side.
    order = np.argsort(kept.columns["number"][valued])
    for low in range(0, len(order), _CHUNK):
        part = order[low : low + _CHUNK]
        lines = b"".join(kept.values(valued[part]).written(len(part), b"\n")).split(b"\n")[:-1]
        for at, line in zip(part.tolist(), lines, strict=True):
            texts[at] = line if line != _NO_VALUES else b""
    return _deflate(b"".join(texts)), np.array([len(text) for text in texts], np.int64)

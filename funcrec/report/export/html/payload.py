"""The data of the page: what is shown as text goes into `facts`, what is drawn goes into compressed columns."""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.export import wire
from funcrec.report.export.creation import Creations
from funcrec.report.export.html.tables import by_function, flame, rows
from funcrec.report.export.source import NOTHING, Source
from funcrec.report.export.text import printable_tree
from funcrec.report.export.timeline import Index, Timeline, build
from funcrec.report.summary import Groups
from funcrec.report.text import printable
from funcrec.report.valuecells import listed

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


def payload(source: Source, name: str, max_calls: int, buckets: Groups | None = None) -> Payload:
    """Everything the page shows of one trace; `buckets` are the groups (function, bucket) of `--by`."""
    timeline = build(source)
    kept = _longest(timeline, max_calls)
    valued = kept if source.cells is not None else kept[:0]
    if len(valued) > _MAX_VALUED_CALLS:
        valued = kept[_longest_of(timeline, kept, _MAX_VALUED_CALLS)]
    cut = _cut(timeline, kept, valued, source.cells is not None)
    columns, directory = _columns(timeline, kept, valued)
    facts = _facts(timeline, name) | {
        "kept": len(kept),
        "cut": cut,
        "tracks": _tracks(timeline, kept),
        "functions": _functions(source),
        "buckets": None if buckets is None else _buckets(source, buckets),
        "flame": flame(timeline),
        "arrows": _arrows(timeline, kept),
        "columns": directory,
    }
    return Payload(facts, columns, [f"{name}: {line}" for line in cut])


def _longest(timeline: Timeline, most: int) -> Index:
    """Ascending indices of the calls to keep. A caller lasts no less than what it calls, so trees stay whole."""
    return _longest_of(timeline, np.arange(len(timeline)), most)


def _longest_of(timeline: Timeline, calls: Index, most: int) -> Index:
    if len(calls) <= most:
        return np.arange(len(calls))
    duration = (timeline.end_ns - timeline.start_ns)[calls]
    # Stable: of equal ones the caller, which stands first, is kept first.
    return np.sort(np.argsort(-duration, kind="stable")[:most])


def _cut(timeline: Timeline, kept: Index, valued: Index, has_values: bool) -> list[str]:
    lines = []
    if len(kept) < len(timeline):
        shortest = int((timeline.end_ns - timeline.start_ns)[kept].min(initial=0))
        lines.append(
            f"the timeline has the {len(kept):,} longest of {len(timeline):,} calls (from {shortest:,} ns on); "
            "tables, flame graph and distributions have all"
        )
    if has_values and len(valued) < len(kept):
        lines.append(f"values are those of the {len(valued):,} longest calls")
    return lines


def _facts(timeline: Timeline, name: str) -> dict[str, Any]:
    source, trace = timeline.source, timeline.source.trace
    header = trace.header
    started = datetime.fromtimestamp(header.clock.realtime_ns / 1e9, UTC)
    lost = sorted(trace.lost, key=lambda record: -record.count)[:_MAX_LOSSES]
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
            "calls": len(timeline),
            "recorded": len(source.calls),
            "lost": source.lost_events,
            "losses": [
                {
                    "first_ns": record.first_ns - trace.start_ns,
                    "last_ns": record.last_ns - trace.start_ns,
                    "count": record.count,
                    "kind": record.kind,
                }
                for record in lost
            ],
            "states": [state.label for state in State],
            "places": [[site.name, f"{site.file}:{site.line}" if site.file else ""] for site in trace.call_sites],
        }
    )
    return facts


def _functions(source: Source) -> list[dict[str, Any]]:
    """In the order of the trace's table, so that the columns can refer to it."""
    numbers = rows(source, by_function(source))
    return [
        {"name": name, "place": printable(f"{function.file}:{function.line}") if function.file else "", **row}
        for name, function, row in zip(source.function_names, source.trace.functions, numbers, strict=True)
    ]


def _buckets(source: Source, groups: Groups) -> list[dict[str, Any]]:
    return [
        {"function": printable(str(key[0])), "bucket": printable(str(key[1])), **row}
        for key, row in zip(groups.keys, rows(source, groups), strict=True)
    ]


def _tracks(timeline: Timeline, kept: Index) -> list[dict[str, Any]]:
    """The tracks with `count` of the calls kept; those without any are left out by the page."""
    trace = timeline.source.trace
    records = {(record.pid, record.goid): record for record in trace.goroutines}
    counts = np.bincount(timeline.track[kept], minlength=len(timeline.tracks)).tolist()
    rows = []
    for track, count in zip(timeline.tracks, counts, strict=True):
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
                "calls": track.count,
                "busy_ns": track.busy_ns,
            }
        )
    return rows


def _arrows(timeline: Timeline, kept: Index) -> list[list[int]]:
    """[origin, target] pairs of places among the calls kept."""
    place = np.full(len(timeline.source.calls), -1, np.int64)
    place[timeline.row[kept]] = np.arange(len(kept))
    arrows = []
    creations = Creations(timeline.source.trace)
    creations.add(timeline)
    for creation in creations.found():
        origin, target = int(place[creation.origin.call]), int(place[creation.target.call])
        if origin >= 0 and target >= 0:
            arrows.append([origin, target])
        if len(arrows) == _MAX_ARROWS:
            break
    return arrows


def _columns(timeline: Timeline, kept: Index, valued: Index) -> tuple[bytes, dict[str, list[int]]]:
    """The columns, and where each is: [offset, bytes] by name."""
    calls, row = timeline.source.calls, timeline.row[kept]
    # Delta, then zigzag: differences are small, and negative only where the next track begins.
    numbers = {
        "start": _zigzag(_delta(timeline.start_ns[kept])),
        "duration": (timeline.end_ns - timeline.start_ns)[kept],
        "function": timeline.function[kept],
        "depth": timeline.depth[kept],
        "state": timeline.state[kept].astype(np.uint32),
        "caller": timeline.caller[kept],
        "thread": calls.tid[row],
        "row": _zigzag(_delta(row)),
    }
    parts = {name: _deflate(_varints(values)) for name, values in numbers.items()}
    if len(valued):
        parts["values"], lengths = _values(timeline, valued)
        parts["value_length"] = _deflate(_varints(lengths))
        parts["value_call"] = _deflate(_varints(_delta(np.searchsorted(kept, valued))))
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
    parts = (wire.varints(values[at : at + _CHUNK]).bytes().tobytes() for at in range(0, len(values), _CHUNK))
    return b"".join(parts)


def _deflate(data: bytes) -> bytes:
    return zlib.compress(data, 6)


def _values(timeline: Timeline, valued: Index) -> tuple[bytes, Index]:
    """JSON text of each call's values end to end, compressed, and the lengths in bytes."""
    texts = [b""] * len(valued)
    # In the order of the trace, where values lie side by side.
    order = np.argsort(timeline.row[valued])
    for low in range(0, len(order), _CHUNK):
        part = order[low : low + _CHUNK]
        pairs = listed(timeline.source.values(timeline.row[valued[part]]))
        lines = b"".join(pairs.written(len(part), b"\n")).split(b"\n")[:-1]
        for at, line in zip(part.tolist(), lines, strict=True):
            texts[at] = line if line != _NO_VALUES else b""
    return _deflate(b"".join(texts)), np.array([len(text) for text in texts], np.int64)

"""Record bodies of the small records: records to msgpack maps and back (`formats/trace.md`, "Records").

Everything but events, captures and the snapshot tables, which have modules of their own.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from funcrec.trace import planes
from funcrec.trace.fields import Body, array_of, end_ns, i32, integer, number, text, time_ns, u32, u64
from funcrec.trace.framing import BadRecordError
from funcrec.trace.limits import COMMAND_TEXT, COMMAND_WORDS, MAX_TEXT, MAX_TIME, PATH_TEXT
from funcrec.trace.records import (
    ClockReading,
    Closing,
    GoroutineRecord,
    Header,
    LostRecord,
    NoteRecord,
    ProcessRecord,
)

_LOST_KINDS = ("events", "values")
_wall_time = integer(-MAX_TIME, MAX_TIME - 1)  # a clock may be set to before 1970


def clip(value: str) -> str:
    """Cut text to what one field may hold; only a hostile binary has such names."""
    return value[:MAX_TEXT]


def clip_words(words: list[str]) -> list[str]:
    """Cut a command line to what is worth keeping; … stands for the rest. Linux lets it have megabytes."""
    kept: list[str] = []
    room = COMMAND_TEXT
    for word in words:
        if len(kept) == COMMAND_WORDS or len(word) > room:
            return [*kept, f"{word[:room]}…" if len(kept) < COMMAND_WORDS else "…"]
        kept.append(word)
        room -= len(word)
    return kept


def encode_header(header: Header, version: int) -> dict[str, Any]:
    """Encode the first record."""
    return {
        "record": "header",
        "version": version,
        "tool": header.tool,
        "argv": clip_words(header.argv),
        "clock": _clock_row(header.clock),
        "host": header.host,
        "target": header.target,
        "options": header.options,
        "probe_cost_ns": header.probe_cost_ns,
        "features_required": header.features_required,
        "features_optional": header.features_optional,
    }


def decode_header(fields: dict[str, Any]) -> Header:
    """Decode the first record."""
    body = Body(fields)
    return Header(
        tool=body.value("tool", text),
        argv=body.value("argv", array_of(text)),
        clock=body.value("clock", _clock),
        host=body.plain("host"),
        target=body.plain("target"),
        options=body.plain("options"),
        probe_cost_ns={kind: number(cost) for kind, cost in body.plain("probe_cost_ns").items()},
        features_required=body.value("features_required", array_of(text)),
        features_optional=body.value("features_optional", array_of(text)),
    )


def required_features(fields: dict[str, Any]) -> list[str]:
    """What the file requires of its readers: the one field to look at before any other."""
    features: list[str] = Body(fields).value("features_required", array_of(text))
    return features


def encode_lost(losses: list[LostRecord]) -> dict[str, Any]:
    """Encode losses, one row each."""
    rows = [
        [loss.ring, loss.first_ns, loss.last_ns, loss.count, loss.kind, list(loss.by_site), list(loss.by_site.values())]
        for loss in losses
    ]
    return {"record": "lost", "losses": rows, "events": [loss.lost for loss in losses]}


def decode_lost(fields: dict[str, Any], n: int, sites: int) -> list[LostRecord]:
    """Decode n losses; `sites` is how many are known."""
    body, losses = Body(fields), []
    rows = body.rows("losses", n, u32, time_ns, time_ns, u64, text, array_of(integer(0, sites - 1)), array_of(u64))
    told: list[int | None] = body.value("events", array_of(u64)) if "events" in body else [None] * n
    if len(told) != n:
        raise BadRecordError(f"it tells the events of {len(told)} losses instead of {n}")
    for (ring, first, last, count, kind, at, counts), events in zip(rows, told, strict=True):
        if first > last or kind not in _LOST_KINDS or len(at) != len(counts) or not all(0 < n <= count for n in counts):
            raise BadRecordError("it has a loss that contradicts itself")
        losses.append(LostRecord(ring, first, last, count, kind, dict(zip(at, counts, strict=True)), events))
    return losses


def encode_clock(reading: ClockReading) -> dict[str, Any]:
    """Encode one reading of the clocks."""
    return {"record": "clock", "reading": _clock_row(reading)}


def decode_clock(fields: dict[str, Any]) -> ClockReading:
    """Decode one reading of the clocks."""
    reading: ClockReading = Body(fields).value("reading", _clock)
    return reading


def encode_processes(processes: list[ProcessRecord]) -> dict[str, Any]:
    """Encode processes, one row each."""
    rows = [
        [
            process.pid,
            process.start_ns,
            process.end_ns,
            process.exit_status,
            process.parent_pid,
            process.exe[:PATH_TEXT],
            clip_words(process.command),
        ]
        for process in processes
    ]
    return {"record": "processes", "processes": rows}


def decode_processes(fields: dict[str, Any], n: int) -> list[ProcessRecord]:
    """Decode n processes."""
    rows = Body(fields).rows("processes", n, u32, time_ns, end_ns, i32, u32, text, array_of(text))
    return [ProcessRecord(*row) for row in rows]


def encode_goroutines(goroutines: list[GoroutineRecord]) -> dict[str, Any]:
    """Encode goroutines as columns; their entry functions are few, so each name is written once."""
    names: dict[str, int] = {}
    entries = [names.setdefault(clip(goroutine.entry), len(names)) for goroutine in goroutines]
    column = {
        name: np.array([getattr(goroutine, name) for goroutine in goroutines], np.uint64)
        for name in ("pid", "goid", "parent", "created_at")
    }
    return {
        "record": "goroutines",
        "n": len(goroutines),
        **{name: planes.pack(values) for name, values in column.items()},
        "entry": planes.pack(np.array(entries, np.uint32)),
        "first_ns": planes.pack_deltas(np.array([goroutine.first_ns for goroutine in goroutines], np.int64)),
        "names": list(names),
    }


def decode_goroutines(fields: dict[str, Any], n: int, call_sites: int) -> list[GoroutineRecord]:
    """Decode n goroutines; `call_sites` is how many are known."""
    body = Body(fields)
    body.integer("n", n, n)
    names = body.value("names", array_of(text))
    created_at = planes.unpack_u32(body.data("created_at"), n)
    entry = planes.unpack_u32(body.data("entry"), n)
    if n and (int(created_at.max()) > call_sites or int(entry.max()) >= len(names)):
        raise BadRecordError("it names a call site or an entry function that is not in the tables")
    columns = (
        planes.unpack_u32(body.data("pid"), n),
        planes.unpack(body.data("goid"), n, 8),
        planes.unpack(body.data("parent"), n, 8),
        created_at,
    )
    first_ns = planes.unpack_deltas(body.data("first_ns"), n, 8)
    if n and not 0 <= int(first_ns.min()) <= int(first_ns.max()) < MAX_TIME:
        raise BadRecordError("its times are out of range")
    return [
        GoroutineRecord(pid, goid, parent, created, names[name], first)
        for pid, goid, parent, created, name, first in zip(
            *(column.tolist() for column in (*columns, entry, first_ns)), strict=True
        )
    ]


def encode_note(note: NoteRecord) -> dict[str, Any]:
    """Encode one note."""
    body = {"record": "note", "time": note.time_ns, "what": clip(note.what), "text": clip(note.text)}
    if note.functions:
        body |= {"n": len(note.functions), "function": planes.pack(np.array(note.functions, np.uint32))}
    return body


def decode_note(fields: dict[str, Any], functions: int) -> NoteRecord:
    """Decode one note; `functions` is how many are known."""
    body = Body(fields)
    note = NoteRecord(body.value("time", time_ns), body.value("what", text), body.value("text", text))
    if "n" not in fields:
        return note
    function = planes.unpack_u32(body.data("function"), body.integer("n", 1, functions))
    if int(function.max()) >= functions:
        raise BadRecordError("it names a function that is not in the tables")
    return replace(note, functions=tuple(function.tolist()))


def encode_closing(closing: Closing) -> dict[str, Any]:
    """Encode the part of the index record that says how the recording ended."""
    return {
        "clock": _clock_row(closing.clock),
        "events": closing.events,
        "lost_events": closing.lost_events,
        "lost_values": closing.lost_values,
        "exit_status": closing.exit_status,
        "reason": clip(closing.reason),
        "hits": len(closing.site_hits),
        "hit_site": planes.pack(np.array(list(closing.site_hits), np.uint32)),
        "hit_count": planes.pack(np.array(list(closing.site_hits.values()), np.uint64)),
    }


def decode_closing(fields: Any, sites: int) -> Closing:
    """Decode how the recording ended; `sites` is how many are known."""
    body = Body(fields)
    hits = body.integer("hits", 0, sites)
    hit_site = planes.unpack_u32(body.data("hit_site"), hits)
    if hits and int(hit_site.max()) >= sites:
        raise BadRecordError("it counts hits of a site that is not in the tables")
    hit_count = planes.unpack(body.data("hit_count"), hits, 8)
    return Closing(
        clock=body.value("clock", _clock),
        events=body.value("events", u64),
        lost_events=body.value("lost_events", u64),
        lost_values=body.value("lost_values", u64),
        exit_status=body.value("exit_status", i32),
        reason=body.value("reason", text),
        site_hits=dict(zip(hit_site.tolist(), hit_count.tolist(), strict=True)),
    )


def _clock_row(reading: ClockReading) -> list[int]:
    return [reading.monotonic_ns, reading.boottime_ns, reading.realtime_ns]


def _clock(value: Any) -> ClockReading:
    if type(value) is not list or len(value) < 3:
        raise BadRecordError("is not a reading of three clocks")
    return ClockReading(time_ns(value[0]), time_ns(value[1]), _wall_time(value[2]))

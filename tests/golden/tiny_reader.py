"""A second reader, written from formats/trace.md alone: no numpy, nothing of funcrec. It proves the specification.

    python -m tests.golden.tiny_reader trace.zst

prints one JSON object per call. It reads whole, honest files; for cut ones it stops where they are cut.
"""

import json
import sys
import zlib
from pathlib import Path
from struct import unpack_from
from typing import Any

import msgpack
import zstandard

HEADER, SNAPSHOT, EVENTS, VALUES, LOST, NOTE = 1, 2, 3, 4, 5, 10
ENTRY, EXIT, POINT, RECOVERY, GOEXIT, FATAL, START, FAULT = 1, 2, 3, 4, 5, 6, 7, 8


# Chapter 1: container


def records(data: bytes) -> list[tuple[dict[str, int], dict[str, Any]]]:
    """All records as (prefix, map)."""
    if data[:8] != b"\x50\x2a\x4d\x18\x14\0\0\0" or data[8:16] != b"FUNCREC\0":
        raise SystemExit("not a funcrec trace")
    version, _minor, _file_id, crc = unpack_from("<HHII", data, 16)
    if version != 1 or crc != zlib.crc32(data[8:24]):
        raise SystemExit(f"cannot read version {version}")
    file_id = data[20:24]
    names = ("type", "version", "flags", "sequence", "compressed", "raw", "first", "t_min", "t_max", "count", "crc")
    at, found = 28, []
    while data[at : at + 8] == b"\x50\x2a\x4d\x18\x30\0\0\0" and len(data) >= at + 56:
        prefix = dict(zip(names, unpack_from("<BBHIIIQqqII", data, at + 8), strict=True))
        end = at + 56 + prefix["compressed"]
        if prefix["crc"] != zlib.crc32(file_id + data[at + 8 : at + 52]) or end > len(data):
            break
        content = zstandard.ZstdDecompressor().decompress(data[at + 56 : end])
        found.append((prefix, msgpack.unpackb(content, unicode_errors="surrogateescape")))
        at = end
    return found


# Chapter 2: columns


def column(data: bytes, n: int) -> list[int]:
    width = len(data) // n if n else 0
    return [sum(data[plane * n + i] << 8 * plane for plane in range(width)) for i in range(n)]


def unzigzag(number: int) -> int:
    return -(number + 1) // 2 if number & 1 else number // 2


def deltas(data: bytes, n: int, base: int = 0) -> list[int]:
    numbers = []
    for number in column(data, n):
        base = (base + unzigzag(number) + 2**63) % 2**64 - 2**63
        numbers.append(base)
    return numbers


# Chapter 3: records


class Tables:
    def __init__(self) -> None:
        self.functions: list[Any] = []
        self.call_sites: list[Any] = []
        self.site_function: list[int] = []
        self.site_role: list[int] = []

    def add(self, snapshot: dict[str, Any]) -> None:
        for name in ("functions", "call_sites"):
            if name in snapshot:
                getattr(self, name).extend(snapshot[name]["rows"])
        if "sites" in snapshot:
            sites = snapshot["sites"]
            self.site_function += column(sites["function"], sites["n"])
            self.site_role += column(sites["role"], sites["n"])


def events_of(body: dict[str, Any], tables: Tables) -> list[dict[str, int]]:
    n, runs = body["n"], body["runs"]
    rows: list[dict[str, int]] = []
    run_columns = (column(body[name], runs) for name in ("length", "pid", "goid", "stack"))
    for length, pid, goid, stack in zip(*run_columns, strict=True):
        rows += [{"pid": pid, "goid": goid, "stack": stack} for _ in range(length)]
    times = deltas(body["time"], n, body["t_min"])
    sites = column(body["site"], n)
    depths = deltas(body["depth"], n)
    tids = deltas(body["tid"], n)
    with_caller = [tables.site_role[site] in (ENTRY, POINT) for site in sites]
    callers = iter(column(body["caller"], sum(with_caller)))
    for i, row in enumerate(rows):
        row["time"], row["depth"], row["tid"] = times[i], depths[i] * 8, tids[i]
        row["function"], row["role"] = tables.site_function[sites[i]], tables.site_role[sites[i]]
        row["caller"] = next(callers) if with_caller[i] else 0
    return rows


# Chapter 4: from events to calls

Key = tuple[int, int, bool, int]  # pid, image, system stack, stack or goid


class Frame:
    def __init__(self, event: dict[str, int], parent: "Frame | None") -> None:
        self.event, self.parent, self.function, self.bytes = event, parent, event["function"], event["depth"]
        self.start, self.end, self.state = event["time"], None, "open"
        self.point = event["role"] == POINT
        self.inside = 0  # ns of direct children

        self.over: int | None = None  # time of the event that ended it
        self.left: int | None = None  # from when on it may be over

    def finish(self, state: str, time: int | None = None, over: int | None = None) -> None:
        self.state, self.end = state, time
        self.over = self.over if over is None else over


def happened(events: list[dict[str, int]]) -> list[dict[str, int]]:
    """The events of one stack without FAULTs and the exits that they take back."""
    out = set()
    for at, event in enumerate(events):
        if event["role"] != FAULT:
            continue
        first = at
        while first and events[first - 1]["role"] == EXIT and events[first - 1]["time"] == events[at - 1]["time"]:
            first -= 1
        told = [i for i in range(first, at) if events[i]["depth"] < event["depth"]]
        if told and events[told[0]]["function"] == event["function"]:
            out.update(told)
    return [event for at, event in enumerate(events) if at not in out and event["role"] != FAULT]


def pair_stack(events: list[dict[str, int]]) -> tuple[list[Frame], list[tuple[int, Frame | None]]]:
    """Frames of one stack, and which one was innermost after each time."""
    frames: list[Frame] = []
    stack: list[Frame] = []
    history: list[tuple[int, Frame | None]] = []

    def end_frames(depth: int, state: str, time: int | None = None) -> None:
        while stack and stack[-1].bytes >= depth:
            stack.pop().finish(state, time, now)

    now = 0
    for event in happened(events):
        now = event["time"]
        role, depth, time = event["role"], event["depth"], event["time"]
        if role in (ENTRY, POINT):
            end_frames(depth, "lost")
            frames.append(Frame(event, stack[-1] if stack else None))
            if role == ENTRY:
                stack.append(frames[-1])
            else:
                frames[-1].finish("returned", time, time)
        elif role == EXIT:
            end_frames(depth + 1, "lost")
            if stack and stack[-1].bytes == depth:
                frame = stack.pop()
                if frame.function == event["function"]:
                    frame.finish("returned", time, time)
                else:
                    frame.finish("lost", None, time)
        elif role == RECOVERY:
            end_frames(depth + 1, "panicked", time)
        elif role in (GOEXIT, FATAL):
            end_frames(0, "goexit" if role == GOEXIT else "panicked", time)
        history.append((time, stack[-1] if stack else None))
    return frames, history


def doubt(frame: Frame, losses: list[Any], tables: Tables) -> None:
    ends, entries = [], 0
    for _ring, first, last, count, kind, sites, counts in losses:
        if kind != "events" or count == 0 or last < frame.start or (frame.over is not None and first > frame.over):
            continue
        own = {tables.site_role[site] for site in sites if tables.site_function[site] == frame.function}
        unknown = sum(counts) < count
        if unknown or EXIT in own or any(tables.site_role[site] in (RECOVERY, GOEXIT, FATAL) for site in sites):
            ends.append(max(first, frame.start))
        entries += unknown or ENTRY in own
    if ends and not frame.point and (frame.state != "returned" or entries):
        frame.finish("lost")
        frame.left = min(ends)


def calls_of(data: bytes) -> list[dict[str, Any]]:
    """All calls of a trace, in order."""
    tables, events, losses, header = Tables(), [], [], {}
    gone: dict[int, int] = {}  # function -> when it was let go
    for prefix, body in records(data):
        if prefix["type"] == HEADER:
            header = body
        elif prefix["type"] == SNAPSHOT:
            tables.add(body)
        elif prefix["type"] == EVENTS:
            events += events_of(body, tables)
        elif prefix["type"] == LOST:
            losses += body["losses"]
        elif prefix["type"] == NOTE:
            for function in column(body["function"], body["n"]) if "n" in body else []:
                gone[function] = min(body["time"], gone.get(function, body["time"]))

    starts = [(event["pid"], event["time"]) for event in events if event["role"] == START]
    for event in events:
        event["image"] = sum(pid == event["pid"] and time <= event["time"] for pid, time in starts)

    stacks: dict[Key, list[dict[str, int]]] = {}
    for event in events:
        system = event["stack"] != 0 and event["role"] in (ENTRY, EXIT, POINT)
        key = (event["pid"], event["image"], system, event["stack"] if system else event["goid"])
        if ENTRY <= event["role"] <= FATAL or event["role"] == FAULT:
            stacks.setdefault(key, []).append(event)
    frames: list[Frame] = []
    histories: dict[Key, list[tuple[int, Frame | None]]] = {}
    for key in sorted(stacks):
        found, histories[key] = pair_stack(sorted(stacks[key], key=lambda event: event["time"]))
        frames += found

    for frame in frames:
        event = frame.event
        if frame.parent is None and event["stack"] != 0 and event["goid"] != 0:
            for time, innermost in histories.get((event["pid"], event["image"], False, event["goid"]), []):
                if time <= frame.start:
                    frame.parent = innermost
        entry_only = header["options"].get("entry_only")
        if not entry_only:
            doubt(frame, losses, tables)
        moment = gone.get(frame.function)
        if moment is not None and frame.start < moment and (frame.over is None or frame.over >= moment):
            frame.finish("open")
            frame.left = moment if frame.left is None else min(frame.left, moment)
        if entry_only:
            frame.finish("entry")
    above = {id(frame): frame.parent for frame in frames}
    for frame in frames:
        while frame.parent is not None and frame.parent.left is not None and frame.start >= frame.parent.left:
            frame.parent = above[id(frame.parent)]

    frames.sort(key=lambda frame: frame.start)  # keeps the order of equal starts
    for frame in frames:
        if frame.parent and frame.parent.end is not None and frame.end is not None:
            frame.parent.inside += max(0, min(frame.end, frame.parent.end) - max(frame.start, frame.parent.start))
    number = {id(frame): at for at, frame in enumerate(frames)}
    return [describe(frame, number, tables, header["clock"][0]) for frame in frames]


def describe(frame: Frame, number: dict[int, int], tables: Tables, base: int) -> dict[str, Any]:
    event, depth, above = frame.event, 0, frame.parent
    while above is not None:
        depth, above = depth + 1, above.parent
    duration = None if frame.end is None else frame.end - frame.start
    site = tables.call_sites[event["caller"] - 1] if event["caller"] else None
    return {
        "id": number[id(frame)],
        "parent": number[id(frame.parent)] if frame.parent else None,
        "pid": event["pid"],
        "goid": event["goid"],
        "tid": event["tid"],
        "func": tables.functions[frame.function][0],
        "start_ns": frame.start - base,
        "dur_ns": duration,
        "self_ns": None if duration is None else max(0, duration - frame.inside),
        "depth": depth,
        "state": frame.state,
        "caller": site[1] if site else "",
        "caller_offset": site[2] if site else 0,
        "file": site[3] if site else "",
        "line": site[4] if site else 0,
    }


if __name__ == "__main__":
    for call in calls_of(Path(sys.argv[1]).read_bytes()):
        print(json.dumps(call))

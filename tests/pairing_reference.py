"""The rules of pairing, one event after the other: slow, obvious, and what the fast way must agree with."""

from dataclasses import dataclass, field
from typing import Any

from funcrec.report.calls import State
from funcrec.report.trace import Trace
from funcrec.trace.records import SiteRole


@dataclass(eq=False)
class Frame:
    function: int
    slot: int
    start: int
    number: int
    row: dict[str, Any]
    state: State = State.OPEN
    end: int = -1
    exit_number: int = -1
    until: int | None = None  # time of the next event of its stack, behind the exits told with its own
    over: int | None = None  # time of the event that ended it
    left: int | None = None  # from when on it may be over
    parent: "Frame | None" = None
    children: "list[Frame]" = field(default_factory=list)

    @property
    def level(self) -> int:
        return 0 if self.parent is None else self.parent.level + 1

    @property
    def self_ns(self) -> int:
        if self.end < 0:
            return -1
        inside = [min(c.end, self.end) - max(c.start, self.start) for c in self.children if c.end >= 0]
        return max(self.end - self.start - sum(max(each, 0) for each in inside), 0)


def reference_calls(trace: Trace) -> list[dict[str, Any]]:
    """All calls as dicts with the columns of `Calls`."""
    stacks: dict[tuple[int, int, bool, int], list[dict[str, Any]]] = {}
    number = 0
    starts = _starts(trace)
    for block in range(len(trace.reader.blocks)):
        events = trace.reader.events(block)
        for at in range(len(events)):
            row = {name: int(getattr(events, name)[at]) for name in events.__dataclass_fields__}
            row["number"] = number
            number += 1
            system = row["stack"] != 0 and trace.sites[row["site"]].role < SiteRole.RECOVERY
            row["image"] = sum(pid == row["pid"] and time_ns <= row["time_ns"] for pid, time_ns in starts)
            key = (row["pid"], row["image"], system, row["stack"] if system else row["goid"])
            stacks.setdefault(key, []).append(row)
    frames: list[Frame] = []
    history: dict[tuple[int, int, bool, int], list[tuple[int, Frame | None]]] = {}
    for key in sorted(stacks):
        rows = sorted(stacks[key], key=lambda row: row["time_ns"])  # stable
        made, history[key] = _run_stack(trace, rows)
        frames += made
    for frame in frames:
        if frame.row["stack"] and frame.parent is None and frame.row["goid"]:
            own = history.get((frame.row["pid"], frame.row["image"], False, frame.row["goid"]), [])
            before = [top for time_ns, top in own if time_ns <= frame.start]
            if before and before[-1] is not None:
                frame.parent = before[-1]
    if not trace.header.options.get("entry_only"):
        _doubt(trace, frames)
    _let_go(trace, frames)
    _unseen_faults(trace, frames)
    _certain_parents(frames)
    if trace.header.options.get("entry_only"):
        for frame in frames:
            frame.state, frame.end, frame.exit_number = State.ENTRY, -1, -1
    for frame in frames:
        if frame.parent is not None:
            frame.parent.children.append(frame)
    frames.sort(key=lambda frame: frame.start)  # stable: by stack and then time as made
    index = {frame: row for row, frame in enumerate(frames)}
    return [
        {
            "start_ns": frame.start,
            "end_ns": frame.end,
            "self_ns": frame.self_ns,
            "state": int(frame.state),
            "function": frame.function,
            "pid": frame.row["pid"],
            "tid": frame.row["tid"],
            "goid": frame.row["goid"],
            "stack": frame.row["stack"],
            "depth": frame.level,
            "parent": -1 if frame.parent is None else index[frame.parent],
            "caller": frame.row["caller"],
            "entry_event": frame.number,
            "exit_event": frame.exit_number,
        }
        for frame in frames
    ]


def _without_taken_back(trace: Trace, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out FAULT events and the exits that they take back."""
    gone: set[int] = set()
    for at, fault in enumerate(rows):
        site = trace.sites[fault["site"]]
        if site.role != SiteRole.FAULT:
            continue
        gone.add(at)
        told = []
        for before in range(at - 1, -1, -1):
            row = rows[before]
            if trace.sites[row["site"]].role != SiteRole.EXIT or row["time_ns"] != rows[at - 1]["time_ns"]:
                break
            if row["depth"] < fault["depth"]:
                told.append(before)
        if told and trace.sites[rows[told[-1]]["site"]].function == site.function:
            gone.update(told)
    return [row for at, row in enumerate(rows) if at not in gone]


def _starts(trace: Trace) -> list[tuple[int, int]]:
    """(pid, time) of every program that begins."""
    return [
        (int(events.pid[at]), int(events.time_ns[at]))
        for events in map(trace.reader.events, range(len(trace.reader.blocks)))
        for at in range(len(events))
        if trace.sites[events.site[at]].role == SiteRole.START
    ]


def _run_stack(trace: Trace, rows: list[dict[str, Any]]) -> tuple[list[Frame], list[tuple[int, Frame | None]]]:
    made: list[Frame] = []
    open_frames: list[Frame] = []
    history: list[tuple[int, Frame | None]] = []

    def close(down_to: int, state: State, end: int = -1) -> None:
        while open_frames and open_frames[-1].slot >= down_to:
            frame = open_frames.pop()
            frame.state, frame.end, frame.over = state, end, now

    now = 0
    for row in _without_taken_back(trace, rows):
        site, now, slot = trace.sites[row["site"]], row["time_ns"], row["depth"]
        if site.role in (SiteRole.ENTRY, SiteRole.POINT):
            close(slot, State.LOST)
            frame = Frame(site.function, slot, now, row["number"], row)
            frame.parent = open_frames[-1] if open_frames else None
            made.append(frame)
            if site.role == SiteRole.POINT:
                frame.state, frame.end, frame.exit_number = State.RETURNED, now, row["number"]
                frame.over = now
            else:
                open_frames.append(frame)
        elif site.role == SiteRole.EXIT:
            close(slot + 1, State.LOST)
            if open_frames and open_frames[-1].slot == slot:
                frame = open_frames[-1]
                if frame.function == site.function:
                    close(slot, State.RETURNED, now)
                    frame.exit_number = row["number"]
                    frame.until = _next_time(trace, rows, rows.index(row))
                else:
                    close(slot, State.LOST)
        elif site.role == SiteRole.RECOVERY:
            close(slot + 1, State.PANICKED, now)
        elif site.role != SiteRole.START:
            close(0, State.GOEXIT if site.role == SiteRole.GOEXIT else State.PANICKED, now)
        history.append((now, open_frames[-1] if open_frames else None))
    return made, history


def _next_time(trace: Trace, rows: list[dict[str, Any]], at: int) -> int | None:
    moment = rows[at]["time_ns"]
    for row in rows[at + 1 :]:
        if trace.sites[row["site"]].role != SiteRole.EXIT or row["time_ns"] != moment:
            return int(row["time_ns"])
    return None


def _unseen_faults(trace: Trace, frames: list[Frame]) -> None:
    if not any(site.role == SiteRole.FAULT for site in trace.sites):
        return
    for frame in frames:
        if frame.state != State.RETURNED or frame.exit_number == frame.number or frame.row["stack"]:
            continue
        for record in trace.lost:
            if record.kind != "events" or record.count <= 0:
                continue
            unknown = sum(record.by_site.values()) < record.count
            if not unknown and not any(trace.sites[site].role == SiteRole.FAULT for site in record.by_site):
                continue
            if record.last_ns >= frame.end and (frame.until is None or record.first_ns <= frame.until):
                frame.state, frame.end, frame.exit_number = State.LOST, -1, -1
                break


def _doubt(trace: Trace, frames: list[Frame]) -> None:
    losses = [record for record in trace.lost if record.kind == "events" and record.count > 0]
    for frame in frames:
        if frame.exit_number == frame.number:
            continue
        ends, entries = [], []
        for record in losses:
            sites = [trace.sites[site] for site in record.by_site]
            unknown = sum(record.by_site.values()) < record.count
            roles = {site.role for site in sites if site.function == frame.function}
            state = any(site.role in (SiteRole.RECOVERY, SiteRole.GOEXIT, SiteRole.FATAL) for site in sites)
            if record.last_ns < frame.start or (frame.over is not None and record.first_ns > frame.over):
                continue
            if unknown or state or SiteRole.EXIT in roles:
                ends.append(max(record.first_ns, frame.start))
            if unknown or SiteRole.ENTRY in roles:
                entries.append(record.first_ns)
        if ends and (frame.state != State.RETURNED or entries):
            frame.state, frame.end, frame.exit_number = State.LOST, -1, -1
            frame.left = min(ends)


def _let_go(trace: Trace, frames: list[Frame]) -> None:
    since: dict[int, int] = {}
    for note in trace.notes:
        for function in note.functions:
            since[function] = min(note.time_ns, since.get(function, note.time_ns))
    for frame in frames:
        moment = since.get(frame.function)
        if moment is not None and frame.start < moment and (frame.over is None or frame.over >= moment):
            frame.state, frame.end, frame.exit_number = State.OPEN, -1, -1
            frame.left = moment if frame.left is None else min(frame.left, moment)


def _certain_parents(frames: list[Frame]) -> None:
    above = {frame: frame.parent for frame in frames}
    for frame in frames:
        parent = frame.parent
        while parent is not None and parent.left is not None and frame.start >= parent.left:
            parent = above[parent]
        frame.parent = parent

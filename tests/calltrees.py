"""Traces made in memory: a source of events for `Trace`, random call trees, and a slow reference for pairing."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcrec.ahead import mapped_ahead
from funcrec.report.trace import Trace
from funcrec.trace.records import (
    CallSite,
    ClockReading,
    Closing,
    EventColumns,
    FunctionRecord,
    GoroutineRecord,
    Header,
    LostRecord,
    NoteRecord,
    ProcessRecord,
    SiteRecord,
    SiteRole,
    SkippedRecord,
)

ROLES = (SiteRole.ENTRY, SiteRole.EXIT, SiteRole.POINT)


@dataclass(frozen=True)
class Event:
    """One row of EventColumns."""

    time_ns: int
    site: int
    depth: int
    goid: int = 1
    pid: int = 100
    stack: int = 0
    tid: int = 100
    caller: int = 0


@dataclass(frozen=True)
class Block:
    n: int
    first_event: int
    t_min: int
    t_max: int


@dataclass
class MemorySource:
    """What a trace reader offers, from lists."""

    header: Header
    functions: list[FunctionRecord]
    sites: list[SiteRecord]
    parts: list[EventColumns]
    call_sites: list[CallSite] = field(default_factory=list)
    skipped: list[SkippedRecord] = field(default_factory=list)
    types: list[dict[str, Any]] = field(default_factory=list)
    plans: list[dict[str, Any]] = field(default_factory=list)
    processes: list[ProcessRecord] = field(default_factory=list)
    goroutines: list[GoroutineRecord] = field(default_factory=list)
    lost: list[LostRecord] = field(default_factory=list)
    clocks: list[ClockReading] = field(default_factory=list)
    notes: list[NoteRecord] = field(default_factory=list)
    closing: Closing | None = None
    damage: str | None = None

    @property
    def blocks(self) -> list[Block]:
        blocks, first = [], 0
        for part in self.parts:
            times = part.time_ns
            blocks.append(Block(len(part), first, int(times.min(initial=1 << 62)), int(times.max(initial=0))))
            first += len(part)
        return blocks

    def events(self, number: int) -> EventColumns:
        return self.parts[number]

    def events_of(self, numbers: Sequence[int]) -> Iterator[EventColumns]:
        return mapped_ahead(self.events, numbers)


def columns(events: Sequence[Event]) -> EventColumns:
    """Events as a block stores them: runs of one (pid, goid, stack), in the order of their first event."""
    runs: dict[tuple[int, int, int], list[Event]] = {}
    for event in events:
        runs.setdefault((event.pid, event.goid, event.stack), []).append(event)
    stored = [event for run in runs.values() for event in run]
    types = {
        "time_ns": np.int64,
        "pid": np.uint32,
        "goid": np.uint64,
        "stack": np.uint64,
        "tid": np.uint32,
        "site": np.uint32,
        "depth": np.uint32,
        "caller": np.uint32,
    }
    return EventColumns(
        **{name: np.array([getattr(e, name) for e in stored], dtype=kind) for name, kind in types.items()}
    )


def header(start_ns: int = 0, **options: Any) -> Header:
    return Header(
        tool="funcrec 0.1.0",
        argv=["funcrec", "record", "-u", "main.*", "./svc"],
        clock=ClockReading(start_ns, start_ns, 10**18),
        host={"hostname": "box", "kernel": "6.6.1", "machine": "x86_64", "cpus": 4, "os": "Linux"},
        target={"path": "/srv/svc", "go_version": "go1.26.0", "go_build_id": "abc", "size": 1000},
        options=options,
    )


def function_site(function: int, role: SiteRole) -> int:
    """Site number of a function's ENTRY, EXIT or POINT in `standard_sites`."""
    return 3 * function + ROLES.index(role)


def standard_sites(functions: int) -> tuple[list[SiteRecord], dict[SiteRole, int]]:
    """Three sites for each function, one per state event, one for faults in each; the numbers of state sites."""
    sites = [
        SiteRecord(f, 0x1000 + 64 * f + 8 * n, role, False) for f in range(functions) for n, role in enumerate(ROLES)
    ]
    states = {}
    for number, role in enumerate((SiteRole.RECOVERY, SiteRole.GOEXIT, SiteRole.FATAL, SiteRole.START)):
        states[role] = len(sites)
        sites.append(SiteRecord(functions + number, 0x9000 + 8 * number, role, False))
    sites += [SiteRecord(f, 0x1000 + 64 * f + 24, SiteRole.FAULT, False, chained=True) for f in range(functions)]
    return sites, states


def make_trace(
    blocks: Iterable[Sequence[Event]],
    names: Sequence[str] = ("main.a", "main.b", "main.c"),
    *,
    call_sites: Sequence[CallSite] = (),
    lost: Sequence[LostRecord] = (),
    notes: Sequence[NoteRecord] = (),
    processes: Sequence[ProcessRecord] = (),
    head: Header | None = None,
    damage: str | None = None,
    path: str = "trace.zst",
    sites: list[SiteRecord] | None = None,
) -> Trace:
    """A trace of functions with the sites of `standard_sites`."""
    functions = [FunctionRecord(n, 0x1000 + 64 * f, f"/src/{n}.go", 10 + f) for f, n in enumerate(names)]
    functions += [
        FunctionRecord(f"runtime.{n}", 0x9000, "", 0, hidden=True)
        for n in ("recovery", "goexit1", "fatalpanic", "main")
    ]
    source = MemorySource(
        head or header(),
        functions,
        sites or standard_sites(len(names))[0],
        [columns(block) for block in blocks],
        call_sites=list(call_sites),
        lost=list(lost),
        notes=list(notes),
        processes=list(processes),
        damage=damage,
    )
    return Trace(path, reader=source)


def random_tree_events(
    rng: random.Random, size: int, *, functions: int = 3, goroutines: int = 3, panics: float = 0.02, pid: int = 100
) -> list[Event]:
    """Events of well-formed random calls in several goroutines, in time order."""
    sites, states = standard_sites(functions)
    events: list[Event] = []
    frames: dict[int, list[tuple[int, int]]] = {goid: [] for goid in range(1, goroutines + 1)}
    time_ns = 1000
    for _ in range(size):
        time_ns += rng.randrange(3)
        goid = rng.randrange(goroutines) + 1
        open_frames = frames[goid]
        base = open_frames[-1][1] if open_frames else 0
        dice = rng.random()

        def hit(site: int, depth: int, goid: int = goid, time_ns: int = time_ns) -> None:
            caller = rng.randrange(3) if sites[site].role in (SiteRole.ENTRY, SiteRole.POINT) else 0
            events.append(Event(time_ns, site, depth, goid, pid, tid=pid + goid % 2, caller=caller))

        if open_frames and dice < panics:
            keep = rng.randrange(len(open_frames))
            hit(states[SiteRole.RECOVERY], open_frames[keep][1])
            del open_frames[keep + 1 :]
        elif open_frames and dice < panics * 1.3:
            hit(states[SiteRole.GOEXIT if rng.random() < 0.8 else SiteRole.FATAL], base + 8)
            open_frames.clear()
        elif open_frames and (dice < 0.52 or len(open_frames) > 12):
            function, depth = open_frames.pop()
            hit(function_site(function, SiteRole.EXIT), depth)
        else:
            function, depth = rng.randrange(functions), base + 8 * rng.randrange(1, 4)
            if rng.random() < 0.15:
                hit(function_site(function, SiteRole.POINT), depth)
            else:
                hit(function_site(function, SiteRole.ENTRY), depth)
                open_frames.append((function, depth))
    return events

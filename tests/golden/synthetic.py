"""A trace with everything that can happen in it, the same bytes every time: goroutines on a stage, a script each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

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
    SnapshotDelta,
)
from funcrec.trace.writer import TraceWriter

START_NS = 7_000_000_000_000
REALTIME_NS = 1_750_000_000_000_000_000
PID, CHILD = 4242, 4250

HOSTILE = 'main.\x1b[31mred\x1b[0m\r\n<script>alert("1")</script>\u202e,=cmd|\udcff'
FUNCTIONS = (
    "main.main",
    "main.(*Server).handle",
    "main.parse",
    "main.risky",
    "main.worker",
    "main.fib",
    "main.Map[go.shape.int,go.shape.string]",
    "github.com/acme/lib.v2.(*Client).Do",
    "main.(*Server).handle.func1",
    "main.point",
    "runtime.systemstack_work",
    HOSTILE,
    "main." + 300 * "long",
)
STATES = {
    "runtime.recovery": SiteRole.RECOVERY,
    "runtime.goexit1": SiteRole.GOEXIT,
    "runtime.fatalpanic": SiteRole.FATAL,
    "runtime.main": SiteRole.START,
}


def _site(function: str, role: SiteRole) -> int:
    return 3 * FUNCTIONS.index(function) + (SiteRole.ENTRY, SiteRole.EXIT, SiteRole.POINT).index(role)


def _state_site(role: SiteRole) -> int:
    return 3 * len(FUNCTIONS) + list(STATES.values()).index(role)


def _tables() -> SnapshotDelta:
    names = (*FUNCTIONS, *STATES)
    functions = [
        FunctionRecord(
            name,
            # Linked at 0, as a position-independent executable is.
            0x1000 + 0x100 * at,
            "" if name == HOSTILE else "/src/a.go" if at < 6 else "/src/b\x1b.go",
            10 * at,
            root=name == "main.(*Server).handle",
            hidden=name in STATES,
            inlined_into=("main.main", HOSTILE) if name == "main.parse" else (),
        )
        for at, name in enumerate(names)
    ]
    sites = []
    for at in range(len(FUNCTIONS)):
        base = 0x1000 + 0x100 * at
        sites.append(SiteRecord(at, base + 10, SiteRole.ENTRY, False, edge=1, condition=6))
        sites.append(SiteRecord(at, base + 0x80, SiteRole.EXIT, at % 2 == 0, sp_delta=8 * at))
        sites.append(SiteRecord(at, base, SiteRole.POINT, True))
    for at, role in enumerate(STATES.values(), start=len(FUNCTIONS)):
        sites.append(SiteRecord(at, 0x1000 + 0x100 * at, role, False))
    call_sites = [
        CallSite(0x1020 + 0x100 * at, name, 0x20 + at, "/src/a.go" if at < 6 else "/src/b\x1b.go", 10 * at + 5)
        for at, name in enumerate(FUNCTIONS)
    ]
    call_sites.append(CallSite(0x7F00_0000_0000, "", 0, "", 0))  # C code
    skipped = [SkippedRecord("main.asm", "assembly"), SkippedRecord(HOSTILE, "does not decode\x1b[2J")]
    return SnapshotDelta(functions, sites, call_sites, skipped)


class Stage:
    """Collects the events of all goroutines; the clock moves by a fixed, uneven step."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.now = START_NS + 1_000_000

    def tick(self, ns: int = 0) -> int:
        self.now += ns or 700 + (self.now * 2_654_435_761 >> 7) % 9000
        return self.now

    def take(self) -> EventColumns:
        """The events so far as columns; the stage is empty then."""
        columns = zip(*self.rows, strict=True)
        types = (np.int64, np.uint32, np.uint64, np.uint64, np.uint32, np.uint32, np.uint32, np.uint32)
        self.rows = []
        return EventColumns(*(np.array(column, kind) for column, kind in zip(columns, types, strict=True)))


class Goroutine:
    """One goroutine and its script."""

    def __init__(self, stage: Stage, goid: int, pid: int = PID, tid: int = 0) -> None:
        self.stage, self.goid, self.pid, self.tid = stage, goid, pid, tid or pid + goid % 3
        self.frames: list[str] = []
        self.bytes = [64]
        self.stack = 0

    def event(self, site: int, depth: int, caller: int = 0) -> None:
        row = (self.stage.tick(), self.pid, self.goid, self.stack, self.tid, site, depth, caller)
        self.stage.rows.append(row)

    def enter(self, function: str) -> None:
        above = self.frames[-1] if self.frames else None
        caller = FUNCTIONS.index(above) + 1 if above else len(FUNCTIONS) + 1
        self.bytes.append(self.bytes[-1] + 48 + 16 * (len(function) % 7))
        self.frames.append(function)
        self.event(_site(function, SiteRole.ENTRY), self.bytes[-1], 0 if function == HOSTILE else caller)

    def leave(self, *, seen: bool = True) -> None:
        if seen:
            self.event(_site(self.frames[-1], SiteRole.EXIT), self.bytes[-1])
        self.frames.pop()
        self.bytes.pop()

    def point(self, function: str) -> None:
        self.event(_site(function, SiteRole.POINT), self.bytes[-1] + 32, FUNCTIONS.index(self.frames[-1]) + 1)

    def state(self, role: SiteRole, keep: int = 0) -> None:
        """RECOVERY, GOEXIT or FATAL: frames but the first `keep` are gone."""
        self.event(_state_site(role), self.bytes[keep])
        del self.frames[keep:], self.bytes[keep + 1 :]

    @contextmanager
    def call(self, function: str) -> Iterator[None]:
        self.enter(function)
        yield
        self.leave()

    @contextmanager
    def system_stack(self, kind: int) -> Iterator["Goroutine"]:
        """Runs on its thread's g0 (1) or gsignal (2) meanwhile."""
        other = Goroutine(self.stage, self.goid, self.pid, self.tid)
        other.stack = self.tid << 2 | kind
        yield other


def _fib(goroutine: Goroutine, n: int) -> None:
    with goroutine.call("main.fib"):
        for less in (1, 2) if n > 1 else ():
            _fib(goroutine, n - less)


def _first_act(stage: Stage) -> dict[str, Goroutine]:
    main, worker = Goroutine(stage, 1), Goroutine(stage, 7)
    main.event(_state_site(SiteRole.START), 64)
    main.enter("main.main")
    with main.call("main.(*Server).handle"):
        for _ in range(3):
            with main.call("main.parse"):
                main.point("main.point")
        with main.call("main.Map[go.shape.int,go.shape.string]"), main.call("main.(*Server).handle.func1"):
            stage.tick(2_500_000)
        with main.call(HOSTILE):
            pass
    # An exit without entry: the recording began inside.
    worker.event(_site("main.worker", SiteRole.EXIT), 200)
    worker.enter("main.worker")
    # Recovered two frames up, with a deferred call on the way.
    worker.enter("main.(*Server).handle")
    worker.enter("main.risky")
    with worker.call("main.(*Server).handle.func1"):
        stage.tick(40_000)
    worker.state(SiteRole.RECOVERY, keep=1)
    with worker.call("main.parse"):
        worker.tid += 1  # goes on another thread
        stage.tick(12_000_000)
    return {"main": main, "worker": worker}


def _second_act(stage: Stage, cast: dict[str, Goroutine]) -> None:
    main, worker = cast["main"], cast["worker"]
    ended, deep, system = (Goroutine(stage, goid) for goid in (18, 2**40 + 1, 33))
    for function in ("main.worker", "main.parse", "github.com/acme/lib.v2.(*Client).Do"):
        ended.enter(function)
    ended.state(SiteRole.GOEXIT)
    _fib(deep, 6)
    with system.call("main.worker"), system.system_stack(1) as g0:
        g0.enter("runtime.systemstack_work")
        with system.system_stack(2) as signal, signal.call("main.parse"):
            pass
        g0.leave()
    with main.call("main." + 300 * "long"), worker.call("main.parse"):
        stage.tick(1_100_000_000)
    # Lost: an exit; then an exit and the next entry of the same function, which makes one call of two.
    worker.enter("main.parse")
    worker.leave(seen=False)
    with worker.call("main.parse"):
        pass
    worker.enter("main.risky")
    stage.tick(5000)
    worker.leave()
    main.enter("main.(*Server).handle")  # stays open


def _third_act(stage: Stage) -> None:
    child = Goroutine(stage, 1, CHILD)
    child.event(_state_site(SiteRole.START), 64)
    child.enter("main.main")
    # Executes itself anew: goroutine 1 again, with nothing on its stack.
    again = Goroutine(stage, 1, CHILD)
    again.event(_state_site(SiteRole.START), 64)
    again.enter("main.main")
    again.enter("main.risky")
    again.state(SiteRole.FATAL)


def write_synthetic(file: BinaryIO) -> None:
    """Write the trace."""
    stage = Stage()
    writer = TraceWriter(file, _header())
    writer.snapshot(_tables())
    writer.processes([ProcessRecord(PID, START_NS, -1, -1, 1, "/srv/app", ["./app", "-x", "\x1b[0m"])])
    writer.goroutines(
        [
            GoroutineRecord(PID, 1, 0, 0, "runtime.main", START_NS + 1_000_000),
            GoroutineRecord(PID, 7, 1, 1, "main.worker", START_NS + 1_500_000),
        ]
    )
    cast = _first_act(stage)
    first = stage.take()
    second_start = stage.now
    _second_act(stage, cast)
    second_end = stage.now
    _third_act(stage)
    second = stage.take()
    # The blocks overlap in time, as those of several CPUs do.
    half = len(first) // 2
    writer.events(_rows(first, slice(0, half), second, slice(0, 20)))
    writer.clock(_clock(10_000_000_000))
    writer.goroutines(
        [GoroutineRecord(PID, goid, 7, 5, "main.worker", second_start) for goid in (18, 33)]
        + [GoroutineRecord(PID, 2**40 + 1, 33, 14, HOSTILE, second_start)]
    )
    writer.events(_rows(first, slice(half, None), second, slice(20, None)))
    entry, leave = _site("main.risky", SiteRole.ENTRY), _site("main.risky", SiteRole.EXIT)
    writer.lost(
        [
            LostRecord(0, second_end - 30_000, second_end, 3, by_site={entry: 1, leave: 2}),
            LostRecord(2, START_NS + 2_000_000, START_NS + 2_100_000, 1),
            LostRecord(0, second_start, second_end, 5, "values"),
        ]
    )
    writer.note(NoteRecord(second_end, "guard", "main.fib\x1b[1m is hit very often"))
    writer.processes(
        [
            ProcessRecord(PID, START_NS, stage.now, 2, 1, "/srv/app", ["./app", "-x", "\x1b[0m"]),
            ProcessRecord(CHILD, second_end, -1, -1, PID, "/srv/app", ["./app"]),
        ]
    )
    writer.close(
        Closing(
            clock=_clock(20_000_000_000),
            events=_entries_and_exits(first) + _entries_and_exits(second),
            lost_events=4,
            lost_values=5,
            exit_status=2,
            reason="the program ended",
            site_hits={entry: 900, leave: 7},
        )
    )


def _header() -> Header:
    return Header(
        tool="funcrec 0.1.0",
        argv=["funcrec", "record", "-u", "main.*", "./app", "--", "-x", "\x1b[0m"],
        clock=_clock(0),
        host={"hostname": "box\x1b[5m", "kernel": "6.6.1", "machine": "x86_64", "cpus": 4, "os": "Linux"},
        target={
            "path": "/srv/app",
            "size": 3_355_078,
            "go_version": "go1.26.6",
            "go_build_id": "abc/def",
            "gnu_build_id": "",
            "main_module": "example.com/app",
            "buildmode": "pie",
        },
        options={"patterns": ["main.*"], "roots": ["main.(*Server).handle"], "entry_only": False, "launched": True},
        probe_cost_ns={"emulated": 750.0, "stepped": 14_250.5},
    )


def _entries_and_exits(events: EventColumns) -> int:
    roles = np.array([site.role for site in _tables().sites])[events.site]
    return int(np.count_nonzero(roles <= SiteRole.POINT) + np.count_nonzero(roles == SiteRole.POINT))


def _clock(after_ns: int) -> ClockReading:
    return ClockReading(START_NS + after_ns, START_NS + after_ns + 31, REALTIME_NS + after_ns)


def _rows(first: EventColumns, a: slice, second: EventColumns, b: slice) -> EventColumns:
    """Rows of two sets of columns, put together."""
    return EventColumns(
        **{
            name: np.concatenate((getattr(first, name)[a], getattr(second, name)[b]))
            for name in EventColumns.__dataclass_fields__
        }
    )

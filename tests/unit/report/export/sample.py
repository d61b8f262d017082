"""Traces made up for exporter tests: random call trees with every state, hostile names, losses and creations."""

import random
from dataclasses import dataclass, field, replace

import numpy as np

from funcrec.report.calls import Calls, State
from funcrec.report.export.source import Source
from funcrec.report.valuecells import Cells, compact
from funcrec.report.valuecolumns import Texts
from funcrec.report.valuestore import Sides
from funcrec.trace.records import (
    CallSite,
    ClockReading,
    FunctionRecord,
    GoroutineRecord,
    Header,
    LostRecord,
    ProcessRecord,
)

START_NS = 5_000_000_000_000
HOSTILE = [
    "main.<img src=x onerror=alert(1)>",
    "main.F[go.shape.struct { A int; B string }_0]",
    "main.\x1b[31mred\n</script><script>alert(2)</script>",
    "main.\u202egnitirw",
    "main.\udc80\udcff",
    "=cmd|' /C calc'!A0",
    'main."quoted\\"',
]


@dataclass
class SampleTrace:
    """The tables of a trace, without a file behind them."""

    functions: list[FunctionRecord]
    call_sites: list[CallSite]
    end_ns: int
    header: Header = field(
        default_factory=lambda: Header(
            tool="funcrec 0.1.0",
            argv=["funcrec", "record"],
            clock=ClockReading(START_NS, START_NS + 7, 1_700_000_000_000_000_000),
            host={"hostname": "here", "kernel": "6.6"},
            target={"path": "/srv/bin/server", "go_version": "go1.26.6", "gnu_build_id": "abc123"},
        )
    )
    processes: list[ProcessRecord] = field(
        default_factory=lambda: [ProcessRecord(41, START_NS, exe="/srv/bin/server", command=["server", "-v"])]
    )
    goroutines: list[GoroutineRecord] = field(default_factory=list)
    lost: list[LostRecord] = field(default_factory=list)
    start_ns: int = START_NS

    @property
    def lost_events(self) -> int:
        return sum(record.lost for record in self.lost if record.kind == "events")


def make(
    calls: int = 200, goroutines: int = 3, seed: int = 1, *, names: list[str] | None = None, broken: bool = True
) -> Source:
    """A source of about `calls` calls; `broken` adds panics, open, lost and entry-only calls."""
    rng = random.Random(seed)
    names = names or [f"main.f{i}" for i in range(7)] + ["db.(*Pool).Query", "main.Map[string]"]
    functions = [FunctionRecord(name, 0x1000 + i, f"/src/{i % 3}.go", 10 + i) for i, name in enumerate(names)]
    sites = [CallSite(0x2000 + i, f.name, 8 * i, f.file, f.line + 3) for i, f in enumerate(functions)]
    rows: list[list[int]] = []
    for number in range(goroutines):
        _grow(rows, rng, calls // goroutines, 7 + number, len(names), broken)
    end = max((max(row[0], row[1]) for row in rows), default=START_NS) + 1000
    trace = SampleTrace(functions, sites, end)
    trace.goroutines = [
        GoroutineRecord(
            41, 7 + n, 7 if n else 0, 1 if n else 0, "main.worker" if n else "main.main", START_NS + 9000 * n
        )
        for n in range(goroutines)
    ]
    if broken:
        trace.lost = [LostRecord(0, START_NS + 100, START_NS + 900, 37), LostRecord(1, START_NS, START_NS, 2, "values")]
    return Source(trace, _columns(rows), np.ones(len(rows), np.bool_))


def _grow(rows: list[list[int]], rng: random.Random, count: int, goid: int, functions: int, broken: bool) -> None:
    """Append the calls of one goroutine: a walk that calls and returns."""
    now = START_NS + 9000 * (goid - 7) + rng.randrange(100)
    stack: list[int] = []
    for _ in range(count):
        while stack and (rng.random() < 0.5 or len(stack) > 9):
            now += rng.randrange(0, 900)
            rows[stack.pop()][1] = now
        now += rng.randrange(0, 900)
        state = State.RETURNED
        if broken and rng.random() < 0.06:
            state = rng.choice([State.PANICKED, State.GOEXIT, State.LOST])
        parent = stack[-1] if stack else -1
        #            start end state function goid depth parent caller
        rows.append([now, -1, state, rng.randrange(functions), goid, len(stack), parent, 0])
        if parent >= 0 and rng.random() < 0.8:
            rows[-1][7] = rows[parent][3] + 1
        stack.append(len(rows) - 1)
        if broken and rng.random() < 0.03:
            rows[-1][2] = State.ENTRY
    keep_open = broken and bool(stack)
    for row in stack[::-1]:
        now += rng.randrange(0, 900)
        if keep_open:
            rows[row][2] = State.OPEN if rows[row][2] != State.ENTRY else State.ENTRY
        else:
            rows[row][1] = now


def _columns(rows: list[list[int]]) -> Calls:
    n = len(rows)
    table = np.array(rows, np.int64).reshape(n, 8)
    order = np.argsort(table[:, 0], kind="stable")
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    table = table[order]
    start, end, state, function, goid, depth, parent, caller = table.T
    end = np.where(np.isin(state, [State.RETURNED, State.PANICKED, State.GOEXIT]), end, -1)
    parent = np.where(parent >= 0, place[parent], -1)
    own = np.where(end >= 0, end - start, 0)
    np.subtract.at(own, parent[parent >= 0], np.where(end >= 0, end - start, 0)[parent >= 0])
    zeros = np.zeros(n, np.int64)
    return Calls(
        start_ns=start,
        end_ns=end,
        self_ns=np.where(end >= 0, own, -1),
        state=state.astype(np.uint8),
        function=function.astype(np.uint32),
        pid=np.full(n, 41, np.uint32),
        tid=np.full(n, 99, np.uint32),
        goid=goid.astype(np.uint64),
        stack=zeros.astype(np.uint64),
        depth=depth.astype(np.uint32),
        parent=parent,
        caller=caller.astype(np.uint32),
        entry_event=2 * np.arange(n),
        exit_event=2 * np.arange(n) + 1,
    )


def with_values(source: Source) -> Source:
    """The same calls, each with arguments and results of every JSON form."""

    def values(rows: np.ndarray) -> tuple[list[str], list[str]]:
        fixed = {"big": (1 << 64) - 1, "name": 'a"\n\x1b</script>', "ok": True, "f": 1.5, "none": None}
        results = {"r0": [1, {"$hex": "00ff"}], "err": {"$type": "*errors.errorString", "value": "=no"}}
        return [compact({"id": int(row)} | fixed) for row in rows.tolist()], [compact(results)] * len(rows)

    def cells(rows: np.ndarray) -> Sides:
        everywhere = np.arange(len(rows))
        arguments, results = ([(everywhere, Cells("%s", (Texts(side),)))] for side in values(rows))
        return arguments, results

    return replace(source, cells=cells)

"""Traces made in memory through the writer: headers, tables, and events that are random but legal."""

import io
from typing import Any

import numpy as np

from funcrec.trace.records import (
    CallSite,
    ClockReading,
    Closing,
    EventColumns,
    FunctionRecord,
    Header,
    SiteRecord,
    SiteRole,
    SkippedRecord,
    SnapshotDelta,
    ValueColumns,
)
from funcrec.trace.writer import TraceWriter

START = ClockReading(10**12, 10**12 + 5, 1_700_000_000 * 10**9)
END = ClockReading(2 * 10**12, 2 * 10**12 + 5, 1_700_001_000 * 10**9)
COLUMNS = tuple(EventColumns.__dataclass_fields__)


def header(**changes: Any) -> Header:
    fields: dict[str, Any] = {
        "tool": "funcrec test",
        "argv": ["funcrec", "record"],
        "clock": START,
        "host": {"hostname": "box", "cpus": 4},
        "target": {"path": "/srv/app"},
    }
    return Header(**(fields | changes))


def snapshot(functions: int = 4, call_sites: int = 5) -> SnapshotDelta:
    """Functions with an ENTRY, an EXIT and a POINT site each, then one RECOVERY, GOEXIT and FATAL site."""
    roles = [(at, role) for at in range(functions) for role in (SiteRole.ENTRY, SiteRole.EXIT, SiteRole.POINT)]
    roles += [(functions - 1, role) for role in (SiteRole.RECOVERY, SiteRole.GOEXIT, SiteRole.FATAL)]
    return SnapshotDelta(
        functions=[
            FunctionRecord(f"main.f{at}", 0x401000 + 64 * at, "/src/main.go", at + 1, at == 0, False, ("main.main",))
            for at in range(functions)
        ],
        sites=[
            SiteRecord(function, 0x401000 + 8 * at, role, bool(at % 2), 1 + at % 3, at % 17 - 1, 8 * at - 16)
            for at, (function, role) in enumerate(roles)
        ],
        call_sites=[CallSite(0x402000 + at, "main.main", 16 * at, "/src/main.go", at) for at in range(call_sites)],
        skipped=[SkippedRecord("main.asm", "assembly")],
    )


def random_events(seed: int, n: int, delta: SnapshotDelta | None = None, **options: Any) -> EventColumns:
    """n events of a few goroutines in random order; every site and call site of `delta` may appear."""
    delta = delta or snapshot()
    random = np.random.default_rng(seed)
    site = random.integers(0, len(delta.sites), n).astype(np.uint32)
    roles = np.array([site.role for site in delta.sites])[site]
    caller = random.integers(0, len(delta.call_sites) + 1, n).astype(np.uint32)
    caller[(roles != SiteRole.ENTRY) & (roles != SiteRole.POINT)] = 0
    span = options.get("span", 1 << 40)
    return EventColumns(
        time_ns=START.monotonic_ns + random.integers(0, span, n),
        pid=random.integers(1, 3, n).astype(np.uint32),
        goid=random.integers(0, options.get("goroutines", 3), n).astype(np.uint64),
        stack=np.where(random.random(n) < 0.1, (4242 << 2) + 1, 0).astype(np.uint64),
        tid=random.integers(1, 1 << 32, n).astype(np.uint32),
        site=site,
        depth=(random.integers(0, 1 << 29, n) << 3).astype(np.uint32),
        caller=caller,
    )


def in_stored_order(events: EventColumns) -> EventColumns:
    """Sort as the format wants it, the slow way."""
    order = np.lexsort((np.arange(len(events)), events.time_ns, events.stack, events.goid, events.pid))
    return EventColumns(**{name: getattr(events, name)[order] for name in COLUMNS})


def same(first: EventColumns, second: EventColumns) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in COLUMNS)


def captures(seed: int, n: int, share: float = 0.5, longest: int = 40) -> ValueColumns:
    """Captures for some of n events, in random order."""
    random = np.random.default_rng(seed)
    event = random.permutation(np.flatnonzero(random.random(n) < share)).astype(np.uint32)
    length = random.integers(0, longest + 1, len(event)).astype(np.uint32)
    return ValueColumns(event, length, random.bytes(int(length.sum())))


def by_event(values: ValueColumns | None) -> dict[int, bytes]:
    """The blob of each event."""
    if values is None:
        return {}
    ends = np.cumsum(values.length).tolist()
    starts = [0, *ends][:-1]
    return {
        event: values.data[start:end] for event, start, end in zip(values.event.tolist(), starts, ends, strict=True)
    }


def closing(events: int = 0, **changes: Any) -> Closing:
    return Closing(**({"clock": END, "events": events, "lost_events": 0} | changes))


class Made:
    """A trace being made in memory."""

    def __init__(self, delta: SnapshotDelta | None = None, **options: Any) -> None:
        self.file = io.BytesIO()
        self.writer = TraceWriter(self.file, header(**options))
        if delta is not None:
            self.writer.snapshot(delta)

    def bytes(self) -> bytes:
        return self.file.getvalue()


def small_trace(blocks: int = 3, events: int = 20) -> bytes:
    """A closed trace with everything in it, a few kilobytes long."""
    made = Made(snapshot())
    for at in range(blocks):
        made.writer.events(random_events(at, events), captures(at, events))
        made.writer.clock(START)
    made.writer.close(closing(blocks * events))
    return made.bytes()

"""Traces as large as one likes: random trees of three calls in fifty goroutines, or a server that works on them."""

from pathlib import Path

import numpy as np

from funcrec.trace.records import CallSite, ClockReading, Closing, EventColumns, ProcessRecord, SnapshotDelta
from funcrec.trace.writer import TraceWriter
from tests.calltrees import header, make_trace

_GOROUTINES = 50
_TREES = 20_000  # per block


def write_large(path: Path, calls: int, functions: int, seed: int = 1, *, rest_ns: int = 0) -> None:
    """Write a trace of about so many calls: each tree is one call that makes two.

    With `rest_ns`, between trees, it is a server's: a call that never ends works them off in each goroutine, and blocks
    are cut at a time, in the midst of trees.
    """
    rng = np.random.default_rng(seed)
    names = [f"main.f{number}" for number in range(functions)]
    tables = make_trace([[]], names).reader
    places = [CallSite(0x5000 + at, names[at % functions], 37, "/src/main.go", 20 + at) for at in range(5)]
    with open(path, "wb") as file:
        writer = TraceWriter(file, header())
        writer.snapshot(SnapshotDelta(functions=tables.functions, sites=tables.sites, call_sites=places))
        writer.processes([ProcessRecord(100, 0, -1, -1, 1, "/srv/svc", ["svc"])])
        now = np.full(_GOROUTINES, 1000, np.int64)
        held = _roots() if rest_ns else None
        for _ in range(max(calls // (3 * _TREES), 1)):
            events = _block(rng, now, functions, rest_ns)
            if held is not None:
                events = _joined(held, events)
                later = events.time_ns >= now.min()
                held, events = events.take(later), events.take(~later)
            writer.events(events)
        if held is not None:
            writer.events(held)
        end = int(now.max())
        writer.close(Closing(ClockReading(end, end, 10**18), 2 * calls, 0))


def _roots() -> EventColumns:
    """A call of the first function in each goroutine."""
    n = _GOROUTINES
    zero, hundred = np.zeros(n, np.uint32), np.full(n, 100, np.uint32)
    return EventColumns(
        time_ns=500 + np.arange(n),
        pid=hundred,
        goid=np.arange(1, n + 1, dtype=np.uint64),
        stack=np.zeros(n, np.uint64),
        tid=hundred,
        site=zero,
        depth=np.full(n, 32, np.uint32),
        caller=zero,
    )


def _joined(one: EventColumns, other: EventColumns) -> EventColumns:
    names = EventColumns.__dataclass_fields__
    return EventColumns(**{name: np.concatenate((getattr(one, name), getattr(other, name))) for name in names})


def _block(rng: np.random.Generator, now: np.ndarray, functions: int, rest_ns: int = 0) -> EventColumns:
    """Trees one after the other in each goroutine; `now` moves on."""
    goroutine = np.sort(rng.integers(0, _GOROUTINES, _TREES))
    function = rng.integers(0, functions, (_TREES, 3))
    inner = np.exp(rng.normal(7, 1, (_TREES, 2))).astype(np.int64) + 20
    length = inner.sum(1) + 80 + rest_ns
    past = np.cumsum(length) - length
    first = np.searchsorted(goroutine, goroutine)
    start = now[goroutine] + past - past[first]
    np.maximum.at(now, goroutine, start + length)
    steps = [np.zeros(_TREES, np.int64), 10, 10 + inner[:, 0], 20 + inner[:, 0], 20 + inner.sum(1), 30 + inner.sum(1)]
    time_ns = np.stack([start + step for step in steps], 1)
    outer, one, other = 3 * function.T
    site = np.stack([outer, one, one + 1, other, other + 1, outer + 1], 1)
    depth = np.tile(np.array([64, 128, 128, 128, 128, 64], np.uint32), (_TREES, 1))
    caller = np.tile(np.array([1, 2, 0, 3, 0, 0], np.uint32), (_TREES, 1))
    n = time_ns.size
    return EventColumns(
        time_ns=time_ns.ravel(),
        pid=np.full(n, 100, np.uint32),
        goid=np.repeat(goroutine + 1, 6).astype(np.uint64),
        stack=np.zeros(n, np.uint64),
        tid=np.full(n, 100, np.uint32),
        site=site.ravel().astype(np.uint32),
        depth=depth.ravel(),
        caller=caller.ravel(),
    )

"""The drain: one thread that empties every ring on a steady beat and queues what it found.

Encoding and writing happen elsewhere, so that a slow disk never delays a drain.
"""

import threading
import time
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from funcrec.record.captures import Captures, ValueRing
from funcrec.record.clocks import monotonic_ns
from funcrec.record.losses import LossLedger
from funcrec.record.privilege import drop_capabilities
from funcrec.record.rings import FACT_ROW, EventRing, Ring, Rows
from funcrec.trace.records import LostRecord

# Often enough for a ring of 8 MB at full rate, seldom enough to cost half a percent of a core when idle.
_PERIOD_S = 0.005
# Beyond this the writer is so far behind that losses in the rings, which are counted, beat unbounded memory.
_MAX_QUEUED_EVENTS = 8_000_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What one round found: event rows (per goroutine in time order), facts, losses placed in this round, captures."""

    events: Rows
    facts: Rows
    lost: list[LostRecord]
    captures: list[Captures] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DrainSources:
    """The live views that the drain reads.

    Attributes:
        rings: event rings by CPU.
        facts: the ring of goroutine facts.
        states: RING_STATE rows, one per ring.
        site_lost: u64 per site.
        values: rings of captured values by CPU, none when nothing is captured.
    """

    rings: list[EventRing]
    facts: Ring
    states: Rows
    site_lost: Rows
    values: list[ValueRing] = field(default_factory=list)

    def forget(self) -> None:
        """Drop the events and facts that wait."""
        for ring in self.rings:
            ring.drain()
        self.facts.drain()


class Drain:
    """Empties the rings until it is stopped; batches wait in `queue`.

    Args:
        sources: what to empty.
        weights: i64 per site, how many entries and exits an event there is.
    """

    def __init__(self, sources: DrainSources, weights: NDArray[np.int64]) -> None:
        self._sources = sources
        # The calibration may have overrun small rings: what was lost before now is nobody's.
        self._lost_before = sources.states["lost_events"].copy()
        self._strange_before = int(sources.states["no_goroutine"].sum())
        self._ledger = LossLedger(sources.states["sequence"].copy(), monotonic_ns(), weights)
        self._held: list[Rows] = [ring.drain()[:0] for ring in sources.rings]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._failure: BaseException | None = None
        self._taken = 0
        self._shedding = False
        self.queued = 0
        self.longest_gap_s = 0.0
        self.queue: SimpleQueue[Batch] = SimpleQueue()

    def start(self) -> None:
        """Begin to drain."""
        self._thread.start()

    def stop(self) -> None:
        """Drain what is left after the probes are gone, and end the thread."""
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def shed_privilege(self) -> None:
        """Let the thread give back its capabilities; not before the whole process has become who it is to be."""
        self._shedding = True

    def take(self) -> list[Batch]:
        """Return all batches that wait."""
        batches = []
        while not self.queue.empty():
            batches.append(self.queue.get())
            self._taken += len(batches[-1].events)
        return batches

    @property
    def no_facts(self) -> Rows:
        """An empty batch of facts."""
        return np.zeros(0, dtype=FACT_ROW)

    @property
    def lost(self) -> int:
        """Entries and exits known to be lost so far; exact once it is stopped."""
        return self._ledger.events

    @property
    def no_goroutine(self) -> int:
        """Hits so far that were left out because no goroutine could be told from the registers, exact."""
        return int(self._sources.states["no_goroutine"].sum()) - self._strange_before

    def site_lost(self, sites: int) -> NDArray[np.int64]:
        """Lost events of the first sites so far, i64."""
        return self._sources.site_lost[:sites].astype(np.int64)

    def _run(self) -> None:
        try:
            last, shed = time.monotonic(), False
            while not self._stop.wait(_PERIOD_S):
                if self._shedding and not shed:
                    drop_capabilities()
                    shed = True
                if self.queued - self._taken < _MAX_QUEUED_EVENTS:
                    self._round(final=False)
                now = time.monotonic()
                self.longest_gap_s = max(self.longest_gap_s, now - last)
                last = now
            self._round(final=False)
            self._round(final=True)
        except BaseException as error:
            self._failure = error

    def _round(self, *, final: bool) -> None:
        # A goroutine that moves to another CPU between two ring reads would show its later event first: events
        # younger than this stamp wait for the next round.
        stamp = monotonic_ns()
        fresh = [ring.drain() for ring in self._sources.rings]
        self._ledger.count(self._sources.states["lost_events"] - self._lost_before, self._sources.site_lost)
        lost = []
        ready = []
        for index, rows in enumerate(fresh):
            lost += self._ledger.place(index, rows["sequence"], rows["time_ns"])
            held = self._held[index]
            rows = np.concatenate([held, rows]) if len(held) else rows
            if final:
                ready.append(rows)
                continue
            late = rows["time_ns"] > stamp
            if late.any():
                self._held[index] = rows[late]
                rows = rows[~late]
            else:
                self._held[index] = rows[:0]
            ready.append(rows)
        if final:
            lost += self._ledger.finish(stamp)
        # Facts after events: those of every event in this batch are there by now.
        facts = self._sources.facts.drain()
        # Sent before their event: those of every event in this batch are there, or lost.
        captures = [ring.drain() for ring in self._sources.values]
        events = np.concatenate(ready)
        if len(events) or len(facts) or lost or any(map(len, captures)):
            self.queued += len(events)
            self.queue.put(Batch(events, facts, lost, captures))

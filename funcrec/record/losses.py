"""Account for events that found no room: exact counts from the kernel, their place from gaps in the sequence.

Knows nothing of rings or files: numbers in, LostRecords out.
"""

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.sites import ProbePlan
from funcrec.trace.records import EVENTS_OF_ROLE, LostRecord

_MAX_WINDOWS = 256  # per ring and round; more are merged with their neighbours


def event_weights(plan: ProbePlan) -> NDArray[np.int64]:
    """How many entries and exits an event of each site is, i64."""
    return np.array([EVENTS_OF_ROLE.get(site.role, 0) for site in plan.sites], dtype=np.int64)


class LossLedger:
    """Turns loss counters and sequence numbers into records with a time window each.

    A gap shows only when the next event arrives, so a loss may wait for it; `finish` hands out the rest.

    Args:
        sequence: last number given out on each ring before the recording.
        start_ns: no event is older.
        weights: i64 per site, how many entries and exits an event there is.

    Attributes:
        total: events counted so far; `events`: entries and exits among them, one for each that is of no known site.
    """

    def __init__(self, sequence: NDArray[np.uint64], start_ns: int, weights: NDArray[np.int64]) -> None:
        rings = len(sequence)
        self._counted = [0] * rings  # by the kernel, so far
        self._owed = [0] * rings  # counted but not yet given a window
        self._last_sequence = [int(number) & 0xFFFFFFFF for number in sequence]
        self._last_ns = [start_ns] * rings
        self._sites: NDArray[np.uint64] | None = None
        self._owed_sites: dict[int, int] = {}
        self._weights = weights
        self._owed_events = 0  # entries and exits among those without a window; sites tell them, not rings
        self._unknown = 0  # counted for no site: each may have been one
        self.total = 0
        self.events = 0

    def count(self, lost_by_ring: NDArray[np.uint64], lost_by_site: NDArray[np.uint64]) -> None:
        """Take the kernel's counters; call it after the rings of this round were drained.

        The kernel counts the site before the ring, and the ring is read first here: a counted loss has its site.
        """
        totals = [int(value) for value in lost_by_ring]
        grown = False
        for ring, total in enumerate(totals):
            if total != self._counted[ring]:
                self._owed[ring] += total - self._counted[ring]
                self.total += total - self._counted[ring]
                self._counted[ring] = total
                grown = True
        if not grown:
            return
        sites = lost_by_site.copy()
        fresh = sites if self._sites is None else sites - self._sites
        self._sites = sites
        for site in np.flatnonzero(fresh).tolist():
            self._owed_sites[site] = self._owed_sites.get(site, 0) + int(fresh[site])
        planned = len(self._weights)
        unknown = max(sum(totals) - int(sites[:planned].sum()), self._unknown)
        events = int(fresh[:planned].astype(np.int64) @ self._weights) + unknown - self._unknown
        self._unknown = unknown
        self._owed_events += events
        self.events += events

    def place(self, ring: int, sequence: NDArray[np.uint32], time_ns: NDArray[np.int64]) -> list[LostRecord]:
        """Find the gaps among the events of one ring drained in this round (in ring order)."""
        if len(sequence) == 0:
            return []
        previous, previous_ns = self._last_sequence[ring], self._last_ns[ring]
        self._last_sequence[ring], self._last_ns[ring] = int(sequence[-1]), int(time_ns[-1])
        if self._owed[ring] == 0:
            return []
        # Preempted programs may swap or repeat numbers: sort, so that only numbers nobody has are gaps.
        since = (sequence - np.uint32(previous)).astype(np.int32).astype(np.int64)
        order = np.argsort(since, kind="stable")
        missing = np.diff(since[order], prepend=0) - 1
        times = np.concatenate([[previous_ns], time_ns[order]])
        return self._windows(ring, np.flatnonzero(missing > 0), missing, times)

    def _windows(
        self, ring: int, gaps: NDArray[np.int64], missing: NDArray[np.int64], times: NDArray[np.int64]
    ) -> list[LostRecord]:
        records = []
        for group in np.array_split(gaps, min(len(gaps), _MAX_WINDOWS)) if len(gaps) else []:
            count = min(int(missing[group].sum()), self._owed[ring])
            if count:
                self._owed[ring] -= count
                low, high = sorted((int(times[group[0]]), int(times[group[-1] + 1])))
                # The neighbours themselves were delivered: what is missing lies strictly between them.
                records.append(self._record(ring, low + 1, max(low + 1, high - 1), count))
        if not any(self._owed):
            self._owed_sites = {}
        return records

    def _record(self, ring: int, first_ns: int, last_ns: int, count: int) -> LostRecord:
        """A record of losses no longer owed, with their share of the entries and exits; the last one has the rest."""
        by_site = {site: min(lost, count) for site, lost in self._owed_sites.items()}
        events = self._owed_events * count // (count + sum(self._owed))
        self._owed_events -= events
        return LostRecord(ring, first_ns, last_ns, count, by_site=by_site, events=events)

    def finish(self, now_ns: int) -> list[LostRecord]:
        """Give the losses that no later event has placed a window up to now."""
        records = []
        for ring, owed in enumerate(self._owed):
            if owed:
                self._owed[ring] = 0
                records.append(self._record(ring, self._last_ns[ring], now_ns, owed))
        self._owed_sites = {}
        return records

    @property
    def by_site(self) -> dict[int, int]:
        """Exact totals: site -> lost events."""
        if self._sites is None:
            return {}
        return {site: int(self._sites[site]) for site in np.flatnonzero(self._sites).tolist()}

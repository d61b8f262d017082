"""The guard at work: counts every hit, and carries out what `guard.py` says."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.sites import ProbePlan
from funcrec.record.adapt import Adaptation
from funcrec.record.clocks import moment, monotonic_ns, wait_until
from funcrec.record.drain import Drain
from funcrec.record.guard import Guard, Verdict
from funcrec.record.known import KnownFunctions
from funcrec.trace.records import NoteRecord

if TYPE_CHECKING:
    from funcrec.record.probes import Probes


class Watch:
    """Hits of one recording by site.

    Args:
        probes: armed.
        drain: of its rings.
        plan: what is probed.
        functions: those of the plan.
        guard: None: the cost is counted, and nothing is done about it.
        adaptation: judges the exits of `plan`, None: they stay where they are.
    """

    def __init__(
        self,
        probes: "Probes",
        drain: Drain,
        plan: ProbePlan,
        functions: KnownFunctions,
        guard: Guard | None,
        adaptation: Adaptation | None = None,
    ) -> None:
        sites = len(plan.sites)
        self._functions = functions
        self._adaptation = adaptation
        self._probes = probes
        self._drain = drain
        self._guard = guard
        self._events = np.zeros(sites, dtype=np.int64)
        self._lost_before = drain.site_lost(sites)
        if guard is not None:
            guard.begin(monotonic_ns(), self._elsewhere())

    def saw(self, sites: NDArray[np.uint32]) -> None:
        """Count events that were drained."""
        planned = sites[sites < len(self._events)]
        counts = np.bincount(planned, minlength=len(self._events))
        self._events += counts
        if self._guard is not None:
            self._guard.saw(counts)

    @property
    def sites(self) -> int:
        """How many the plan has."""
        return len(self._events)

    @property
    def is_urgent(self) -> bool:
        """Whether hits in vain are so many that `adapt` should not wait; events still to be seen may deny it."""
        if self._adaptation is None:
            return False
        sites = len(self._events)
        told = self._events + self._probes.idle_hits(sites)
        return self._adaptation.is_urgent(told, self._probes.vain_hits(sites))

    def adapt(self) -> NoteRecord | None:
        """Give up exit sites that have turned out to be dearer than RETs; return what to write into the trace.

        Raises:
            FuncrecError: the kernel refuses; what was armed still is.
        """
        if self._adaptation is None:
            return None
        vain = self._probes.vain_hits(len(self._events))
        swap = self._adaptation.judge(self._events + self._elsewhere() - vain, vain)
        if swap is None:
            return None
        self._probes.swap(swap.armed, swap.dropped)
        names = [self._functions.name(number) for number in swap.functions[:3]]
        more = f" and {len(swap.functions) - 3} more" if len(swap.functions) > 3 else ""
        text = f"exits of {', '.join(names)}{more} are seen at their RETs now: that is cheaper"
        return NoteRecord(monotonic_ns(), "exits", text)

    def look(self) -> tuple[NoteRecord | None, bool]:
        """Act on the cost since the last look.

        Returns:
            what to write into the trace and to say, and whether the recording must end.

        Raises:
            FuncrecError: the kernel refuses to go on without the functions let go.
        """
        verdict = None if self._guard is None else self._guard.look(monotonic_ns(), self._elsewhere())
        if verdict is None or self._guard is None:
            return None, False
        if verdict.stop:
            return NoteRecord(monotonic_ns(), "guard", verdict.text), True
        since_ns = moment()
        self._probes.silence(verdict.sites, since_ns)
        wait_until(since_ns)
        self._probes.drop(verdict.free)
        if self._adaptation is not None:
            self._adaptation.leave(verdict.functions)
        self._guard.begin(monotonic_ns(), self._elsewhere())
        return NoteRecord(since_ns, "guard", verdict.text, verdict.functions), False

    def judge_arming(self) -> Verdict | None:
        """Act on the cost of the probes that are there so far, while more are to be set and nothing is recorded yet.

        Raises:
            FuncrecError: the kernel refuses to go on without the functions let go.
        """
        verdict = None if self._guard is None else self._guard.look_back(monotonic_ns(), self._elsewhere())
        if verdict is None or self._guard is None:
            return None
        if not verdict.stop:
            self._probes.silence(verdict.sites, 1)
            self._probes.drop(verdict.free)
        self._guard.begin(monotonic_ns(), self._elsewhere())
        return verdict

    def _elsewhere(self) -> NDArray[np.int64]:
        """Hits that no event tells of, and lost ones."""
        lost = self._drain.site_lost(len(self._events)) - self._lost_before
        sites = len(self._events)
        elsewhere: NDArray[np.int64] = lost + self._probes.idle_hits(sites) + self._probes.vain_hits(sites)
        return elsewhere

    @property
    def hits(self) -> dict[int, int]:
        """All hits, site -> number; final once the drain has stopped and everything was seen."""
        hits = self._events + self._elsewhere()
        return {site: int(hits[site]) for site in np.flatnonzero(hits).tolist()}

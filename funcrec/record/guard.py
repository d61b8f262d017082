"""The guard: what the probes cost the traced processes, and what to let go when it is too much.

Numbers in, a verdict out; neither kernel nor file is touched here. The cost of a second is the number of hits of each
site times the cost of one hit of its kind as measured on this machine at the start.

Above the limit the functions that cost most are let go until the rest fits, together with callers whose exits are seen
at theirs. Roots stay, since without them nobody knows what is inside them. What does not fit even then ends the
recording.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.sites import ProbePlan, SiteKind
from funcrec.record.known import KnownFunctions
from funcrec.units import format_count

DEFAULT_PERCENT = 25.0  # of one CPU
_PERIOD_NS = 1_000_000_000
PATIENCE = 3  # seconds in a row: a burst does no lasting harm, and is often what one wants to see
_SPARE = 0.8  # what is kept fits into this part of the limit, so that it is not crossed again at once
_NAMED = 3

Counts = NDArray[np.int64]
Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about a cost above the limit.

    Attributes:
        functions: to let go, numbers in the plan, the dearest first.
        sites: all of theirs: their events end.
        free: those of them that can be taken out of the kernel.
        text: one line for people.
        stop: nothing is left that could go on within the limit.
    """

    functions: tuple[int, ...]
    sites: tuple[int, ...]
    free: tuple[int, ...]
    text: str
    stop: bool


class Guard:
    """Watches the cost of one recording.

    Args:
        plan: what is probed.
        functions: those of the plan.
        cost_ns: of one hit by site kind.
        limit_percent: of one CPU.
        now_ns: monotonic time at which it begins to watch.
        patience: it acts after so many seconds above the limit in a row.
        lets_go: False: nothing can be let go here, so that above the limit all ends.
    """

    def __init__(
        self,
        plan: ProbePlan,
        functions: KnownFunctions,
        cost_ns: Mapping[str, float],
        limit_percent: float,
        now_ns: int,
        patience: int = PATIENCE,
        *,
        lets_go: bool = True,
    ) -> None:
        self._functions = functions
        self._limit = limit_percent
        self._function = np.array([site.function for site in plan.sites], dtype=np.int32)
        self._cost = np.array([_cost(site.kind, cost_ns) for site in plan.sites])
        self._probed = np.array([site.kind != SiteKind.CHAINED for site in plan.sites], dtype=bool)
        self._events = np.zeros(len(plan.sites), dtype=np.int64)
        self._gone = np.zeros(len(plan.functions), dtype=bool)
        self._elsewhere = self._events.copy()  # hits without an event when the window began
        self._since_ns = now_ns
        self._patience = patience
        self._lets_go = lets_go
        self._over_ns = 0  # how long in a row

    @cached_property
    def _groups(self) -> list[list[int]]:
        return self._functions.groups()  # few recordings let anything go

    def saw(self, counts: Counts) -> None:
        """Count events, by site."""
        self._events += counts

    def look(self, now_ns: int, elsewhere: Counts) -> Verdict | None:
        """Judge the time since the last look, if it is long enough.

        Args:
            now_ns: monotonic.
            elsewhere: hits without an event and lost events so far, by site.

        Returns:
            None when there is nothing to do.
        """
        elapsed = now_ns - self._since_ns
        if elapsed < _PERIOD_NS:
            return None
        percent, per_second = self._spent(elapsed, now_ns, elsewhere)
        self._over_ns = self._over_ns + elapsed if percent.sum() > self._limit else 0
        if self._over_ns < self._patience * _PERIOD_NS:
            return None
        self._over_ns = 0
        return self._judge(percent, per_second)

    def look_back(self, now_ns: int, elsewhere: Counts) -> Verdict | None:
        """Judge all the time since the window began, once it is as long as patience lasts.

        For the time in which probes are set and nothing else can be done. See `look`.
        """
        elapsed = now_ns - self._since_ns
        if elapsed < self._patience * _PERIOD_NS:
            return None
        percent, per_second = self._spent(elapsed, now_ns, elsewhere)
        return self._judge(percent, per_second) if percent.sum() > self._limit else None

    def _spent(self, elapsed: int, now_ns: int, elsewhere: Counts) -> tuple[Numbers, Numbers]:
        """End the window: percent of one CPU and hits per second in it, by site."""
        hits = self._events + elsewhere - self._elsewhere
        self.begin(now_ns, elsewhere)
        return hits * self._cost * (100.0 / elapsed), hits * (1e9 / elapsed)

    def begin(self, now_ns: int, elsewhere: Counts) -> None:
        """Begin a new window, such as after functions were let go: what was before would be held against the rest."""
        self._since_ns, self._elsewhere = now_ns, elsewhere
        self._events[:] = 0

    def _judge(self, percent: Numbers, per_second: Numbers) -> Verdict:
        functions = len(self._functions)
        total = float(percent.sum())
        by_function = np.bincount(self._function, percent, minlength=functions)
        rest = total
        chosen: list[int] = []
        for number in np.argsort(-by_function, kind="stable").tolist():
            if not self._lets_go or rest <= self._limit * _SPARE or by_function[number] == 0:
                break
            group = [one for one in self._groups[number] if not self._gone[one]]
            self._gone[group] = True
            chosen += group
            rest -= float(by_function[group].sum())
        recorded = int((~self._functions.hidden & ~self._gone).sum())
        stop = not recorded or rest > self._limit
        sites = np.flatnonzero(np.isin(self._function, chosen))
        hits = np.bincount(self._function, per_second, minlength=functions)
        dearest = chosen if chosen else np.argsort(-by_function)[:1].tolist()
        text = self._text(total, dearest, float(hits[chosen].sum()), recorded, stop)
        return Verdict(tuple(chosen), tuple(sites.tolist()), tuple(sites[self._probed[sites]].tolist()), text, stop)

    def _text(self, total: float, functions: list[int], hits: float, recorded: int, stop: bool) -> str:
        names = [self._functions.name(number) for number in functions[:_NAMED]]
        if len(functions) > _NAMED:
            names.append(f"{format_count(len(functions) - _NAMED)} more")
        cost = f"the probes took {total:.0f} % of one CPU, more than --max-overhead {self._limit:g}%"
        if stop:
            return f"{cost}, most of it at {', '.join(names)}: the recording ends"
        rest = f"{format_count(recorded)} functions go on"
        return f"{cost}: no longer recording {', '.join(names)} ({format_count(int(hits))} hits/s); {rest}"


def _cost(kind: SiteKind, cost_ns: Mapping[str, float]) -> float:
    return 0.0 if kind == SiteKind.CHAINED else float(cost_ns.get(str(kind), 0.0))

"""When cheap exits are dearer than the RETs they stand for. Pure: counts in, functions out.

A hit that is no return costs as much as one that is, and which jumps are passed in vain shows only while the
program runs: a loop without calls may run twice or a million times before one return. A function whose exit sites have
cost more than its RETs would have, and not by chance, is seen at its RETs from then on: the plan holds them as spare
sites. Which way is dearer follows from the cost of a hit here and now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.sites import ProbePlan, SiteKind

Counts = NDArray[np.int64]

_TOLERATED_HITS = 10_000  # some milliseconds: what is wasted before it is worth a change of links
_TOO_MANY = 10  # times that: a loop that will not wait


@dataclass(frozen=True, slots=True)
class Swap:
    """Functions (numbers in the plan) to be seen at their RETs: sites to arm, then sites to give up."""

    functions: tuple[int, ...]
    armed: tuple[int, ...]
    dropped: tuple[int, ...]


class Adaptation:
    """Judges the exit sites of one recording.

    Args:
        plan: what is probed.
        cost_ns: of one hit by site kind.
    """

    def __init__(self, plan: ProbePlan, cost_ns: Mapping[str, float]) -> None:
        emulated = cost_ns.get(SiteKind.EMULATED, 0.0)
        self._price = cost_ns.get(SiteKind.STEPPED, 0.0) / emulated if emulated > 0 else 0.0
        self._functions = len(plan.functions)
        self._function = np.array([site.function for site in plan.sites], dtype=np.int32)
        self._spare = np.array([site.spare for site in plan.sites], dtype=bool)
        self._open = np.zeros(self._functions, dtype=bool)
        self._open[self._function[self._spare]] = self._price > 0
        self._judged = np.array([site.yields for site in plan.sites], dtype=bool)
        self._judged_at = 0  # hits in vain of all sites
        self._weight = np.array([self._price if site.kind == SiteKind.STEPPED else 1.0 for site in plan.sites])

    def leave(self, functions: Sequence[int]) -> None:
        """Judge some functions (numbers in the plan) no more."""
        self._open[list(functions)] = False

    def is_urgent(self, returns: Counts, vain: Counts) -> bool:
        """Whether it may be time to judge, going by counts of which `returns` may lag behind."""
        if int(vain.sum()) - self._judged_at <= _TOO_MANY * _TOLERATED_HITS:
            return False
        return bool(self._wasted(returns, vain).max(initial=0) > _TOO_MANY * _TOLERATED_HITS)

    def judge(self, returns: Counts, vain: Counts) -> Swap | None:
        """Which functions are better seen at their RETs.

        Args:
            returns: hits so far that were returns, by site, whether they were recorded or not. vain: the others.

        Returns:
            None when all is well; a function is named once.
        """
        if not self._open.any():
            return None
        self._judged_at = int(vain.sum())
        chosen = self._wasted(returns, vain) > _TOLERATED_HITS
        if not chosen.any():
            return None
        self._open &= ~chosen
        mine = chosen[self._function]
        return Swap(
            tuple(np.flatnonzero(chosen).tolist()),
            tuple(np.flatnonzero(mine & self._spare).tolist()),
            tuple(np.flatnonzero(mine & self._judged).tolist()),
        )

    def _wasted(self, returns: Counts, vain: Counts) -> NDArray[np.float64]:
        """Emulated hits that RETs would have spared, by function; 0 where nothing can be changed."""
        spent = np.where(self._judged, (returns + vain) * self._weight, 0.0)
        stepped = np.where(self._judged, returns, 0)
        instead = np.bincount(self._function, stepped, self._functions) * self._price
        wasted = np.bincount(self._function, spent, self._functions) - instead
        return np.where(self._open, wasted, 0.0)

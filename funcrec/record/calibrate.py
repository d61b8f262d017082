"""Measure what one hit costs on this machine, by site kind, with the very program that records."""

import time

from funcrec.plan.sites import SiteKind
from funcrec.record.scrap import Scrap

_HITS = {SiteKind.EMULATED: 400, SiteKind.STEPPED: 100}
_BATCHES = 5


def hit_costs(scrap: Scrap) -> dict[str, float]:
    """Cost of one hit in ns by site kind; the scrap has its probes."""
    return {str(kind): _time(scrap, kind, hits) for kind, hits in _HITS.items()}


def _time(scrap: Scrap, kind: SiteKind, hits: int) -> float:
    best = None
    for _ in range(_BATCHES):
        start = time.perf_counter_ns()
        scrap.run(kind, hits)
        elapsed = (time.perf_counter_ns() - start) / hits
        best = elapsed if best is None else min(best, elapsed)
    return round(best or 0.0, 1)

"""Latencies as programs have them, for simulations: rows are recordings, columns calls in order of time, in ns.

Each family is a seeded function (generator, recordings, calls) -> i64[recordings, calls].
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Latencies = NDArray[np.int64]
Family = Callable[[np.random.Generator, int, int], Latencies]


def _normal_ar1(rng: np.random.Generator, rows: int, n: int, phi: float) -> NDArray[np.float64]:
    """Standard normal sequences in which neighbours have correlation `phi`."""
    noise = rng.standard_normal((n, rows))
    for at in range(1, n):
        noise[at] = phi * noise[at - 1] + np.sqrt(1 - phi * phi) * noise[at]
    return noise.T


def autocorrelated(phi: float, sigma: float = 0.5) -> Family:
    """Lognormal around 3 us; the logarithms are AR(1) with correlation `phi`."""
    return lambda rng, rows, n: np.exp(8 + sigma * _normal_ar1(rng, rows, n, phi)).astype(np.int64)


def pareto(alpha: float) -> Family:
    """At least 1 us with a tail so heavy that for alpha < 2 there is no variance, for alpha <= 1 no mean."""
    return lambda rng, rows, n: (1000 * (1 + rng.pareto(alpha, (rows, n)))).astype(np.int64)


def bursts(slow_calls: int, fast_calls: int, factor: float) -> Family:
    """Spells of `slow_calls` calls on average in which all are `factor` slower, between spells of `fast_calls`."""

    def family(rng: np.random.Generator, rows: int, n: int) -> Latencies:
        leave = np.array([1 / fast_calls, 1 / slow_calls])
        slow = np.empty((n, rows), np.int64)
        slow[0] = rng.random(rows) < slow_calls / (slow_calls + fast_calls)
        switch = rng.random((n, rows))
        for at in range(1, n):
            slow[at] = slow[at - 1] ^ (switch[at] < leave[slow[at - 1]])
        return (np.exp(8 + 0.3 * rng.standard_normal((rows, n))) * np.where(slow.T, factor, 1)).astype(np.int64)

    return family


def stalls(phi: float, share: float = 0.02) -> Family:
    """Autocorrelated calls, a `share` of which waits for something with a Pareto tail without variance."""

    def family(rng: np.random.Generator, rows: int, n: int) -> Latencies:
        waits = np.where(rng.random((rows, n)) < share, 5 * (1 + rng.pareto(1.2, (rows, n))), 1)
        return (autocorrelated(phi, 0.4)(rng, rows, n) * waits).astype(np.int64)

    return family


def coarse(family: Family, tick_ns: int) -> Family:
    """The same seen through a clock that ticks every `tick_ns`."""
    return lambda rng, rows, n: np.maximum(family(rng, rows, n) // tick_ns * tick_ns, 0)


FAMILIES: dict[str, Family] = {
    "independent lognormal": autocorrelated(0.0),
    "AR(1) 0.5": autocorrelated(0.5),
    "AR(1) 0.8": autocorrelated(0.8),
    "AR(1) 0.9": autocorrelated(0.9),
    "AR(1) 0.95": autocorrelated(0.95),
    "AR(1) 0.99": autocorrelated(0.99),
    "Pareto 1.5": pareto(1.5),
    "Pareto 0.9": pareto(0.9),
    "bursts 50/450 x5": bursts(50, 450, 5),
    "bursts 20/980 x5": bursts(20, 980, 5),
    "bursts 300/700 x3": bursts(300, 700, 3),
    "bursts 1000/2000 x3": bursts(1000, 2000, 3),
    "stalls on AR(1) 0.6": stalls(0.6),
    "coarse clock, AR(1) 0.5": coarse(autocorrelated(0.5, 0.3), 250),
}

"""Student's t distribution for whole degrees of freedom, by its finite series.

Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
"""

import math
from functools import lru_cache


def two_sided(t: float, freedom: int) -> float:
    """Probability that a t variable lies further from 0 than `t` (not negative), for whole `freedom` >= 1."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    series, term = 0.0, 1.0
    for j in range(1, freedom // 2 + 1):
        series += term
        term *= cosine**2 * (2 * j / (2 * j + 1) if odd else (2 * j - 1) / (2 * j))
    inside = 2 / math.pi * (angle + sine * cosine * series) if odd else sine * series
    return min(max(1 - inside, 0.0), 1.0)


@lru_cache(maxsize=256)
def critical(probability: float, freedom: int) -> float:
    """The t below 1000 that `two_sided` maps to `probability`, found by bisection to 1e-9."""
    low, high = 0.0, 1000.0
    for _ in range(40):
        half = (low + high) / 2
        low, high = (half, high) if two_sided(half, freedom) > probability else (low, half)
    return (low + high) / 2

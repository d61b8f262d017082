"""Two samples to shifts with intervals and verdicts.

Groups are matched by key, so functions of different builds by name. The interval of the ratio of two quantiles is put
together from the intervals of both (MOVER; Donner and Zou 2012) in logarithms, with Welch's degrees of freedom.
Intervals are 95 % each. Verdicts hold for all rows at once: the p-values of every median and every 99th percentile
form one family, corrected by Holm's method with most weight on the medians, so that two recordings of the same thing
differ anywhere in the table in at most 5 % of cases.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from funcrec.report.quantiles import STEPS, Quantile, Sample
from funcrec.report.student import critical, two_sided
from funcrec.report.summary import Key

F64 = NDArray[np.float64]

ALPHA = 0.05
MARGIN = 0.05
# How the 5 % are shared between medians and 99th percentiles: tails say much less, so they cost the medians little.
WEIGHTS = (0.8, 0.2)

# Beyond this logarithm of a ratio a limit is none.
_FAR = 100.0


class Verdict(StrEnum):
    """What can be said about a row."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "same"
    UNSURE = "unsure"
    ONLY_BASE = "only-base"
    ONLY_NEW = "only-new"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a row; percentiles are None without a known duration."""

    calls: int
    ended: int
    total_ns: int
    p50_ns: float | None
    p99_ns: float | None


@dataclass(frozen=True, slots=True)
class Shift:
    """How a quantile moved: new / base with its 95 % interval, None where unknown; `low` may be 0.

    `p` is the chance of a shift at least as clear if nothing had changed, corrected for the whole table.
    """

    ratio: float | None
    low: float | None
    high: float | None
    p: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Difference:
    """One row: `verdict` is that of the median, or tells on which side the calls are."""

    key: Key
    base: Side
    new: Side
    p50: Shift
    p99: Shift

    @property
    def verdict(self) -> Verdict:
        """What can be said about the typical call."""
        return self.p50.verdict


@dataclass(frozen=True, slots=True)
class _Test:
    """Ratios of K rows: logarithms of estimate and limits, p-values before correction, enough data or not."""

    log: F64
    low: F64
    high: F64
    p: F64
    enough: NDArray[np.bool_]


def compare(base: Sample, new: Sample, *, margin: float = MARGIN) -> list[Difference]:
    """Match the groups of two samples and judge each.

    Args:
        base, new: the two sides.
        margin: shifts of the 95 % interval within a factor of 1 + margin either way count as the same.

    Returns:
        One row per key, those of `base` first, in their orders.
    """
    keys = list(dict.fromkeys(key for side in (base, new) for at, key in enumerate(side.keys) if side.calls[at]))
    rows_base, rows_new = _places(keys, base), _places(keys, new)
    both = (rows_base >= 0) & (rows_new >= 0)
    tests = [
        _test(_take(one, rows_base[both]), _take(other, rows_new[both]))
        for one, other in zip(base.quantiles, new.quantiles, strict=True)
    ]
    corrected = _holm(tests)
    compared = {
        int(row): tuple(_shift(test, p, at, margin) for test, p in zip(tests, corrected, strict=True))
        for at, row in enumerate(np.flatnonzero(both))
    }
    rows = []
    for row, key in enumerate(keys):
        one_sided = Verdict.ONLY_BASE if rows_new[row] < 0 else Verdict.ONLY_NEW
        absent = Shift(None, None, None, 1.0, one_sided)
        p50, p99 = compared.get(row, (absent, absent))
        rows.append(Difference(key, _side(base, int(rows_base[row])), _side(new, int(rows_new[row])), p50, p99))
    return rows


def _places(keys: list[Key], side: Sample) -> NDArray[np.intp]:
    place = {key: at for at, key in enumerate(side.keys) if side.calls[at]}
    return np.array([place.get(key, -1) for key in keys], np.intp)


def _side(side: Sample, at: int) -> Side:
    if at < 0:
        return Side(0, 0, 0, None, None)
    logs = [float(quantile.log[at]) for quantile in side.quantiles]
    p50, p99 = (None if np.isnan(log) else float(round(np.exp(log))) for log in logs)
    return Side(int(side.calls[at]), int(side.ended[at]), int(side.total_ns[at]), p50, p99)


def _take(quantile: Quantile, rows: NDArray[np.intp]) -> Quantile:
    return Quantile(
        quantile.log[rows], quantile.lower[rows], quantile.upper[rows], quantile.freedom[rows], quantile.enough[rows]
    )


def _test(base: Quantile, new: Quantile) -> _Test:
    """Compare one quantile of K groups of both sides."""
    log = new.log - base.log
    with np.errstate(invalid="ignore"):  # inf - inf: NaN, taken as no limit below
        down = np.hypot(new.log[:, None] - new.lower, base.upper - base.log[:, None])
        up = np.hypot(new.upper - new.log[:, None], base.log[:, None] - base.lower)
    down, up = (np.where(np.isnan(width), np.inf, width) for width in (down, up))
    freedom = _welch(base, new)
    level = np.array([critical(ALPHA, nu) for nu in freedom.tolist()])
    towards_zero = np.where(log[:, None] > 0, down, up)
    t = _crossing(towards_zero, np.abs(np.nan_to_num(log)))
    return _Test(
        log=log,
        low=log - _at(down, level),
        high=log + _at(up, level),
        p=np.array([two_sided(each, nu) for each, nu in zip(t.tolist(), freedom.tolist(), strict=True)]),
        enough=base.enough & new.enough,
    )


def _welch(base: Quantile, new: Quantile) -> NDArray[np.int64]:
    """Welch's degrees of freedom, whole, at least those of the side that has fewer."""
    one = np.searchsorted(STEPS, 1.0)
    widths = [
        np.nan_to_num((side.upper[:, one] - side.lower[:, one]) ** 2, posinf=1e6, nan=1e6) for side in (base, new)
    ]
    total = widths[0] + widths[1]
    parts = widths[0] ** 2 / base.freedom + widths[1] ** 2 / new.freedom
    least = np.minimum(base.freedom, new.freedom)
    welch = np.divide(total**2, parts, out=least.astype(float), where=parts > 0)
    freedom: NDArray[np.int64] = np.maximum(np.floor(welch + 1e-9).astype(np.int64), least)
    return freedom


def _at(widths: F64, level: F64) -> F64:
    """Width at a level between two steps, f64[K]; never narrower than at the step before."""
    right = np.clip(np.searchsorted(STEPS, level), 1, len(STEPS) - 1)
    rows = np.arange(len(widths))
    left_width, right_width = widths[rows, right - 1], widths[rows, right]
    share = (level - STEPS[right - 1]) / (STEPS[right] - STEPS[right - 1])
    finite = np.isfinite(right_width)
    gap = np.subtract(right_width, left_width, out=np.zeros(len(widths)), where=finite)
    return np.where(finite, left_width + share * gap, np.inf)


def _crossing(widths: F64, distance: F64) -> F64:
    """The multiple of the standard error at which a width (rising along STEPS) reaches a distance, f64[K]."""
    reached = widths >= distance[:, None]
    right = np.where(reached.any(1), reached.argmax(1), len(STEPS) - 1)
    left = np.maximum(right - 1, 0)
    rows = np.arange(len(widths))
    low, high = widths[rows, left], widths[rows, right]
    share = np.zeros(len(widths))
    between = np.flatnonzero(np.isfinite(high) & (high > low))
    share[between] = (distance[between] - low[between]) / (high[between] - low[between])
    t = STEPS[left] + np.clip(share, 0, 1) * (STEPS[right] - STEPS[left])
    return np.where(distance > 0, t, 0.0)


def _holm(tests: list[_Test]) -> list[F64]:
    """p-values corrected over all tests with enough data (Holm 1979, with weights); the others get 1."""
    p = np.concatenate([np.where(test.enough, test.p, np.nan) for test in tests])
    weight = np.repeat(WEIGHTS, [len(test.p) for test in tests])
    order = np.argsort(p / weight)[: np.count_nonzero(~np.isnan(p))]  # NaN goes last
    still = np.cumsum(weight[order][::-1])[::-1]  # weight of this test and of those less clear than it
    corrected = np.ones(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] / weight[order] * still), 1.0)
    return list(corrected.reshape(len(tests), -1))


def _shift(test: _Test, corrected: F64, at: int, margin: float) -> Shift:
    log, low, high, p = float(test.log[at]), float(test.low[at]), float(test.high[at]), float(corrected[at])
    edge = float(np.log1p(margin))
    if not test.enough[at]:
        verdict = Verdict.UNSURE
    elif low >= -edge and high <= edge:
        verdict = Verdict.SAME
    elif p <= ALPHA:
        verdict = Verdict.SLOWER if log > 0 else Verdict.FASTER
    else:
        verdict = Verdict.UNSURE
    ratio, bottom, top = (None if not x < _FAR else float(np.exp(x)) for x in (log, low, high))
    return Shift(ratio, bottom, top, p, verdict)

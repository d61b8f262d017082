"""Quantiles of latencies with confidence limits that survive autocorrelation, bursts and heavy tails.

Which method, and why. The usual block bootstrap resamples whole blocks of calls; its limits for a median are, for many
resamples, those of a simpler calculation that costs one pass instead of a thousand, and that is what this file does:

1. Whether a call lies below the quantile q is a yes or no, so no tail, however heavy, and no moment that does not exist
   enters. The share of calls below q is a mean, and the order statistics at the ends of the interval of that share are
   the ends of the interval of q (Woodruff 1952). No density is estimated.
2. The variance of that mean is measured between few, long, contiguous blocks of calls in order of time, where all
   correlation shorter than a block is contained (batch means; Schmeiser 1982 shows why 10 to 30 blocks are enough),
   and Student's t pays for their small number.
3. The block length comes from the data: beginning with 32 blocks, blocks are joined in pairs as long as neighbours are
   correlated, or a block is worth less than five independent calls. Where eight blocks are not enough for that (drift,
   few calls), the variance is raised as if they hung together for ever, with five degrees of freedom: only a very
   clear shift passes. What lasts longer than the whole recording cannot be seen in it by any method.
4. The variance is never taken below that of independent calls, nor, with several recordings, below that between them.

A bootstrap with blocks long enough for bursts has as few blocks and no t to pay for it; in the simulation of
`tests/unit/report/test_difference_simulation.py` this method holds its 5 % where correlation is strong, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.report.exact import sum_by
from funcrec.report.intime import Durations, Integers
from funcrec.report.summary import Key

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

FRACTIONS = (0.5, 0.99)

# Confidence limits are curves over multiples of the standard error, so that limits at any level can be read off.
STEPS: F64 = np.concatenate([np.arange(0, 4, 0.125), np.arange(4, 10.5, 0.5)])

_MOST_BLOCKS = 32
_LEAST_BLOCKS = 8
# Neighbours count as correlated above this many standard errors (1 / sqrt(blocks)) of a correlation of nothing.
_CORRELATED = 1.0
# Degrees of freedom where even the longest blocks hang together or are worth too little.
_DOUBTFUL = 5
# A standard error beyond which every limit lies outside of the data.
_NO_LIMIT = 1e6
# A block must be worth so many independent calls, or it is too short to contain what correlates them.
_WORTH = 5.0
# So many independent calls must lie on either side of a quantile before anything is said about it. Slow calls like to
# come together, so that a tail needs more of them.
_ENOUGH, _ENOUGH_IN_TAIL = 4.0, 10.0

_TOGETHER = 1 << 17  # calls of groups that are worked on at a time


@dataclass(frozen=True, slots=True)
class Quantile:
    """One quantile of K groups, in logarithms of ns, with its confidence curves.

    Attributes:
        log: f64[K], ln of the quantile, NaN without calls.
        lower, upper: f64[K, len(STEPS)], the limits at so many standard errors, -inf and inf where the data do not say.
        freedom: i64[K], degrees of freedom of the standard error.
        enough: bool[K], the calls are many enough to conclude anything.
    """

    log: F64
    lower: F64
    upper: F64
    freedom: I64
    enough: Bools


@dataclass(frozen=True, slots=True)
class Sample:
    """What `difference` needs to know about one side: small, whatever the number of calls.

    Attributes:
        keys: the K groups.
        calls: i64[K], all calls; ended: i64[K], those with a known duration.
        total_ns: i64[K], sum of the known durations.
        quantiles: one for each of FRACTIONS.
    """

    keys: list[Key]
    calls: I64
    ended: I64
    total_ns: I64
    quantiles: tuple[Quantile, ...]


def sample(durations: Durations) -> Sample:
    """Reduce the calls of one side to a Sample."""
    ended = durations.ended.sum(1)
    edge = np.append(0, np.cumsum(ended))
    parts = [_reduced(durations.ns[edge[low] : edge[high]], durations.ended[low:high]) for low, high in _portions(edge)]
    total_ns = np.concatenate([part[0] for part in parts])
    quantiles = tuple(_together(each) for each in zip(*(part[1] for part in parts), strict=True))
    return Sample(durations.keys, durations.calls, ended, total_ns, quantiles)


def _portions(edge: I64) -> Iterator[tuple[int, int]]:
    """Groups to work on together, so that their calls fit a processor's cache; one portion in any case."""
    k, low = len(edge) - 1, 0
    while True:
        fitting = int(np.searchsorted(edge, edge[low] + _TOGETHER, side="right")) - 1
        high = min(max(fitting, low + 1), k)
        yield low, high
        if high == k:
            return
        low = high


def _reduced(in_time: Integers, ended: I64) -> tuple[I64, tuple[Quantile, ...]]:
    """Sums and quantiles of some groups, whose calls in each run are `ended`."""
    k, runs = ended.shape
    of_group = ended.sum(1)
    codes = np.repeat(np.arange(k), of_group)
    by_size = _sorted_within(codes, in_time, k)
    edges = None
    if runs > 1:
        behind = np.cumsum(ended).reshape(ended.shape)
        edges = np.concatenate((behind[:, :1] - ended[:, :1], behind), axis=1)
    quantiles = tuple(_quantile(in_time, by_size, of_group, edges, fraction) for fraction in FRACTIONS)
    return sum_by(codes, in_time, k), quantiles


def _together(parts: Sequence[Quantile]) -> Quantile:
    """The same quantile of several portions."""
    columns = ("log", "lower", "upper", "freedom", "enough")
    return Quantile(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def _sorted_within(codes: NDArray[np.intp], values: Integers, k: int) -> Integers:
    """Values sorted by code, then by size."""
    if k == 1:
        return np.sort(values)
    bits = int(values.max(initial=0)).bit_length()
    if k.bit_length() + bits < 63:
        packed = codes << bits | values
        packed.sort()
        packed &= (1 << bits) - 1
        return packed
    return values[np.lexsort((values, codes))]


def _quantile(in_time: Integers, by_size: Integers, ended: I64, runs: I64 | None, fraction: float) -> Quantile:
    """One quantile of each group of calls; both arrays hold groups one after the other, `runs` the edges of runs."""
    k = len(ended)
    ends = np.cumsum(ended)
    starts = ends - ended
    last = np.maximum(ended - 1, 0)
    have = ended > 0
    rank = np.clip(np.ceil(fraction * ended - 1e-9).astype(np.int64) - 1, 0, last)
    value = np.zeros(k, np.int64)
    value[have] = by_size[(starts + rank)[have]]
    error, freedom, enough = _standard_error(in_time, value, starts, ended, runs, fraction)
    logs = _log(value)
    logs[~have] = np.nan
    lower = _limits(by_size, starts, ended, fraction - error[:, None] * STEPS)
    upper = _limits(by_size, starts, ended, fraction + error[:, None] * STEPS)
    lower, upper = np.fmin(lower, logs[:, None]), np.fmax(upper, logs[:, None])
    lower[~have], upper[~have] = -np.inf, np.inf
    return Quantile(logs, lower, upper, freedom, enough)


def _log(ns: Integers) -> F64:
    return np.log(np.maximum(ns.astype(np.int64), 1))  # a clock that did not move still took something


def _limits(by_size: Integers, starts: I64, ended: I64, share: F64) -> F64:
    """ln of the order statistics at each share, f64[K, steps]; outside of 0..1 the data set no limit."""
    share = np.nan_to_num(share, nan=0.0)
    rank = np.ceil(np.clip(share, -1, 2) * ended[:, None] - 1e-9).astype(np.int64) - 1
    inside = np.clip(rank, 0, np.maximum(ended - 1, 0)[:, None])
    last = len(by_size) - 1
    logs = _log(by_size[np.minimum(starts[:, None] + inside, last)]) if last >= 0 else np.zeros(share.shape)
    logs = np.where(rank < 0, -np.inf, logs)
    return np.where(rank >= ended[:, None], np.inf, logs)


def _standard_error(
    in_time: Integers, value: I64, starts: I64, ended: I64, runs: I64 | None, fraction: float
) -> tuple[F64, I64, Bools]:
    """Standard error of the share of calls below `value` per group, its degrees of freedom, and whether to trust it."""
    k = len(ended)
    blocks = starts[:, None] + np.arange(_MOST_BLOCKS + 1) * ended[:, None] // _MOST_BLOCKS
    below, equal, size = _counts(in_time, value, ended, blocks)
    n = np.maximum(ended, 1)
    equals = np.maximum(equal.sum(1), 1)
    # Calls that equal the quantile count as below it in the proportion that makes the share come out right.
    part = np.clip((fraction * n - below.sum(1)) / equals, 0, 1)
    hits = below + part[:, None] * equal
    alone = fraction * (1 - fraction) / n  # what the variance would be if calls were independent
    variance, freedom = np.full(k, np.nan), np.full(k, _DOUBTFUL)
    independent = np.zeros(k, np.bool_)
    count = _MOST_BLOCKS
    while count >= _LEAST_BLOCKS:
        todo = ~independent & (ended >= count)
        deviation = hits[todo] / size[todo]
        deviation -= deviation.mean(1, keepdims=True)
        squares = (deviation**2).sum(1)
        neighbours = (deviation[:, 1:] * deviation[:, :-1]).sum(1)
        spread = squares / (count - 1) / count
        # What one block is worth in independent calls; what correlates across its ends is missing from `spread` in
        # the proportion of their inverse (for AR(1) about half of it), so it is added.
        worth = alone[todo] / np.maximum(spread, alone[todo]) * n[todo] / count
        kept = (worth >= _WORTH) & (neighbours <= _CORRELATED / np.sqrt(count) * squares)
        # Blocks that hang together still, as far as it is known: variance as if they did so for ever (AR(1)).
        together = np.clip(neighbours / np.maximum(squares, 1e-300) + 1 / count, 0, 0.8)
        variance[todo] = spread * (1 + 1 / worth) * np.where(kept, 1, (1 + together) / (1 - together))
        freedom[todo] = np.where(kept, count - 1, _DOUBTFUL)
        independent[todo] = kept
        # Without -1, which has no answer when there is no group.
        pairs = (k, count // 2, 2)
        hits, size, count = hits.reshape(pairs).sum(2), size.reshape(pairs).sum(2), count // 2
    variance = np.fmax(variance, alone)
    if runs is not None:
        between, freedom_between = _between_runs(*_counts(in_time, value, ended, runs), part, fraction)
        freedom = np.where(between > variance, freedom_between, freedom)
        variance = np.fmax(between, variance)
    effective = n * alone / variance
    needed = _ENOUGH if fraction == 0.5 else _ENOUGH_IN_TAIL
    enough = (ended >= _LEAST_BLOCKS) & (effective * min(fraction, 1 - fraction) >= needed)
    error = np.sqrt(variance)
    error[ended < _LEAST_BLOCKS] = _NO_LIMIT
    return error, freedom, enough


def _between_runs(below: I64, equal: I64, size: I64, part: F64, fraction: float) -> tuple[F64, I64]:
    """Variance of a group's share of calls below its quantile, by how runs differ, and its degrees of freedom."""
    there = size > 0
    runs = there.sum(1)
    away = np.where(there, below + part[:, None] * equal - fraction * size, 0.0)
    several = np.maximum(runs - 1, 1)
    variance = runs / several * (away**2).sum(1) / np.maximum(size.sum(1), 1) ** 2
    return np.where(runs > 1, variance, 0.0), several


def _counts(in_time: Integers, value: I64, ended: I64, edges: I64) -> tuple[I64, I64, I64]:
    """Calls below and equal to `value`, and all calls, between edges i64[K, B + 1] of each group: i64[K, B] each."""
    limit = np.repeat(value.astype(in_time.dtype), ended)

    def counted(hits: Bools) -> I64:
        running = np.zeros(len(hits) + 1, np.int64)
        np.cumsum(hits, out=running[1:])
        return np.diff(running[edges], axis=1)

    return counted(in_time < limit), counted(in_time == limit), np.diff(edges, axis=1)

import numpy as np
import pytest

from funcrec.report.difference import Verdict, compare
from funcrec.report.intime import in_time
from funcrec.report.quantiles import Sample, sample
from funcrec.report.summary import Groups

CALLS = 4000


def latencies(seed: int, calls: int = CALLS, scale: float = 1.0) -> np.ndarray:
    return (scale * np.exp(8 + 0.3 * np.random.default_rng(seed).standard_normal(calls))).astype(np.int64)


def sample_of(**functions: np.ndarray) -> Sample:
    """Interleave the calls of several functions in one recording."""
    codes = np.concatenate([np.full(len(ns), at) for at, ns in enumerate(functions.values())])
    when = np.concatenate([np.linspace(0, 1, len(ns)) for ns in functions.values()])
    order = np.argsort(when, kind="stable")
    durations = np.concatenate(list(functions.values()))
    groups = Groups(codes[order].astype(np.intp), [(name,) for name in functions])
    return sample(in_time(groups, durations[order]))


def test_a_shift_is_found_measured_and_has_a_direction() -> None:
    base = sample_of(f=latencies(1), g=latencies(2))
    new = sample_of(f=latencies(3, scale=1.2), g=latencies(4, scale=0.8))
    slower, faster = compare(base, new)
    assert (slower.key, slower.verdict) == (("f",), Verdict.SLOWER)
    assert slower.p50.low <= 1.2 <= slower.p50.high
    assert slower.p50.ratio == pytest.approx(1.2, rel=0.03)
    assert faster.verdict == Verdict.FASTER
    assert faster.p50.low <= 0.8 <= faster.p50.high


def test_the_same_is_told_apart_from_too_little_data() -> None:
    rows = compare(
        sample_of(many=latencies(1), few=latencies(2, 30)), sample_of(many=latencies(3), few=latencies(4, 30))
    )
    assert [row.verdict for row in rows] == [Verdict.SAME, Verdict.UNSURE]
    (strict,) = compare(sample_of(f=latencies(1)), sample_of(f=latencies(3)), margin=0.001)
    assert strict.verdict == Verdict.UNSURE


def test_a_shift_within_the_margin_is_the_same() -> None:
    base, new = sample_of(f=latencies(1, 100_000)), sample_of(f=latencies(2, 100_000, scale=1.03))
    assert compare(base, new)[0].verdict == Verdict.SAME
    assert compare(base, new, margin=0.01)[0].verdict == Verdict.SLOWER


def test_calls_on_one_side_only() -> None:
    rows = compare(sample_of(old=latencies(1)), sample_of(young=latencies(2)))
    assert [(row.key, row.verdict) for row in rows] == [(("old",), Verdict.ONLY_BASE), (("young",), Verdict.ONLY_NEW)]
    assert (rows[0].new.calls, rows[0].new.p50_ns, rows[0].p50.ratio) == (0, None, None)


def test_only_the_tail_moved() -> None:
    base, new = latencies(1, 40_000), latencies(2, 40_000)
    new[::25] *= 20
    (row,) = compare(sample_of(f=base), sample_of(f=new))
    assert row.p50.verdict in (Verdict.SAME, Verdict.UNSURE)
    assert row.p99.verdict == Verdict.SLOWER


def test_open_calls_count_but_say_nothing_about_durations() -> None:
    (row,) = compare(sample_of(f=np.full(50, -1)), sample_of(f=latencies(1)))
    assert (row.base.calls, row.base.ended, row.base.p50_ns) == (50, 0, None)
    assert (row.verdict, row.p50.ratio, row.p50.low) == (Verdict.UNSURE, None, None)


def test_calls_of_no_length_and_of_one_length() -> None:
    (row,) = compare(sample_of(f=np.zeros(CALLS, np.int64)), sample_of(f=np.zeros(CALLS, np.int64)))
    assert (row.verdict, row.p50.ratio) == (Verdict.SAME, 1.0)
    (row,) = compare(sample_of(f=np.full(CALLS, 100)), sample_of(f=np.full(CALLS, 200)))
    assert (row.verdict, row.p50.low, row.p50.high) == (Verdict.SLOWER, pytest.approx(2), pytest.approx(2))


def test_a_slow_start_is_not_a_shift() -> None:
    base = latencies(1)
    new = latencies(2)
    new[: CALLS // 16] *= 30
    (row,) = compare(sample_of(f=base), sample_of(f=new))
    assert row.verdict != Verdict.SLOWER


def test_drift_within_the_recordings_is_unsure() -> None:
    drift = np.linspace(1, 3, CALLS)
    (row,) = compare(sample_of(f=(latencies(1) * drift).astype(np.int64)), sample_of(f=latencies(2)))
    assert row.verdict == Verdict.UNSURE


def test_both_ways_of_sorting_agree() -> None:
    short = sample_of(f=latencies(1), g=latencies(2))
    long = sample_of(f=latencies(1), g=latencies(2), h=np.array([2**62, 5]))
    for one, other in zip(short.quantiles, long.quantiles, strict=True):
        assert np.array_equal(one.log, other.log[:2])
        assert np.array_equal(one.upper, other.upper[:2])


def test_a_clear_shift_is_found_in_few_calls_and_under_drift() -> None:
    (few,) = compare(sample_of(f=latencies(1, 40)), sample_of(f=latencies(2, 40, scale=4)))
    assert few.verdict == Verdict.SLOWER
    drift = np.linspace(1, 1.3, CALLS)
    (drifting,) = compare(
        sample_of(f=(latencies(1) * drift).astype(np.int64)),
        sample_of(f=(latencies(2, scale=3) * drift).astype(np.int64)),
    )
    assert drifting.verdict == Verdict.SLOWER


def test_nothing_compares_to_nothing() -> None:
    assert compare(sample_of(f=np.zeros(0, np.int64)), sample_of(f=np.zeros(0, np.int64))) == []

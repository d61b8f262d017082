"""Several runs a side: what differs from run to run is no shift."""

import numpy as np
import pytest

from funcrec.report.difference import Verdict, compare
from funcrec.report.intime import in_time, joined
from funcrec.report.quantiles import Sample, sample
from funcrec.report.summary import Groups

CALLS, PAIRS = 2000, 150


def one_function(calls: int) -> Groups:
    return Groups(np.zeros(calls, np.intp), [("main.f",)])


def side(rng: np.random.Generator, runs: int, spread: float, scale: float = 1.0) -> Sample:
    """One function in several runs, each faster or slower than the others by about `spread` as a whole."""
    level = scale * np.exp(rng.normal(8, spread, runs))
    durations = (level[:, None] * np.exp(0.3 * rng.standard_normal((runs, CALLS)))).astype(np.int64)
    return sample(joined([in_time(one_function(CALLS), each) for each in durations]))


def verdicts(runs: int, spread: float, scale: float = 1.0) -> list[Verdict]:
    rng = np.random.default_rng(runs)
    return [compare(side(rng, runs, spread), side(rng, runs, spread, scale))[0].verdict for _ in range(PAIRS)]


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_runs_that_differ_do_not_cry_wolf(runs: int) -> None:
    moved = sum(verdict in (Verdict.SLOWER, Verdict.FASTER) for verdict in verdicts(runs, 0.03))
    assert moved <= 0.05 * PAIRS + 6  # 5 % of 150 are 7.5, give or take 2.7


@pytest.mark.parametrize("runs", [3, 5])
def test_a_shift_larger_than_that_is_found(runs: int) -> None:
    found = sum(verdict == Verdict.SLOWER for verdict in verdicts(runs, 0.03, 1.3))
    assert found >= 0.95 * PAIRS


def test_calls_of_one_run_only_are_judged_as_one_recording() -> None:
    rng = np.random.default_rng(1)
    ns = (3000 * np.exp(0.3 * rng.standard_normal(4 * CALLS))).astype(np.int64)
    half, none = (in_time(one_function(len(each)), each) for each in (ns, ns[:0]))
    twice = in_time(one_function(len(ns)), ns * 2)
    alone = compare(sample(half), sample(twice))[0]
    empty_runs = compare(sample(joined([none, half, none])), sample(joined([twice, none])))[0]
    assert alone == empty_runs

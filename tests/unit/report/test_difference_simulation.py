"""What `diff` promises about its errors, on seeded latencies; `tests/bench/diff_simulation.py` is the large form."""

import numpy as np
import pytest

from funcrec.report.difference import Verdict, compare
from funcrec.report.intime import in_time
from funcrec.report.quantiles import sample
from funcrec.report.summary import Groups
from tests.bench.diff_simulation import MOVED, judge
from tests.latencies import FAMILIES, autocorrelated

CALLS = 10_000
PAIRS = 100
HARD = ["AR(1) 0.5", "AR(1) 0.9", "Pareto 1.5", "bursts 50/450 x5", "stalls on AR(1) 0.6"]


def test_two_recordings_of_the_same_seldom_differ() -> None:
    alarms = 0
    for seed, name in enumerate(HARD):
        rng = np.random.default_rng(seed)
        rows = judge(*(FAMILIES[name](rng, PAIRS, CALLS) for _ in range(2)))
        alarms += sum(row.p50.verdict in MOVED or row.p99.verdict in MOVED for row in rows)
    assert alarms <= 0.05 * PAIRS * len(HARD)


@pytest.mark.parametrize("name", ["AR(1) 0.5", "Pareto 1.5", "bursts 50/450 x5", "stalls on AR(1) 0.6"])
def test_ten_percent_are_found_in_ten_thousand_calls(name: str) -> None:
    rng = np.random.default_rng(11)
    base, new = (FAMILIES[name](rng, PAIRS, CALLS) for _ in range(2))
    rows = judge(base, (1.1 * new).astype(np.int64))
    assert sum(row.verdict == Verdict.SLOWER for row in rows) >= 0.95 * PAIRS


def test_many_functions_at_once_do_not_add_up_to_alarms() -> None:
    functions, tables = 40, 25
    rng = np.random.default_rng(5)
    alarmed = 0
    for _ in range(tables):
        sides = []
        for _ in range(2):
            calls = autocorrelated(0.5)(rng, functions, 1000)
            codes = np.tile(np.arange(functions, dtype=np.intp), 1000)
            groups = Groups(codes, [(f"f{number}",) for number in range(functions)])
            sides.append(sample(in_time(groups, calls.T.ravel())))
        alarmed += any(row.p50.verdict in MOVED or row.p99.verdict in MOVED for row in compare(*sides))
    assert alarmed <= 0.1 * tables

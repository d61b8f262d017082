"""How often `diff` cries wolf and how often it finds a shift: `python -m tests.bench.diff_simulation`.

For every family of latencies, pairs of recordings of the same thing (A/A) and pairs of which one is 10 % slower. A
recording is judged alone, with the corrections for its two tests. Arguments: pairs per family
(1000) and calls per recording (10000). The test suite runs a small form of this.
"""

import sys

import numpy as np

from funcrec.report.difference import Difference, Verdict, compare
from funcrec.report.intime import in_time
from funcrec.report.quantiles import sample
from funcrec.report.summary import Groups
from tests.latencies import FAMILIES, Family, Latencies

MOVED = (Verdict.SLOWER, Verdict.FASTER)


def judge(base: Latencies, new: Latencies) -> list[Difference]:
    """Compare row by row, each pair of rows as a recording of one function."""
    one = Groups(np.zeros(base.shape[1], np.intp), [("main.f",)])
    return [compare(sample(in_time(one, a)), sample(in_time(one, b)))[0] for a, b in zip(base, new, strict=True)]


def rates(family: Family, seed: int, recordings: int, calls: int) -> dict[str, float]:
    """Shares of recordings: false alarms of both tests, A/A pairs called the same or unsure, and a 10 % shift found."""
    rng = np.random.default_rng(seed)
    base, again, shifted = (family(rng, recordings, calls) for _ in range(3))
    same = judge(base, again)
    slower = judge(base, (shifted * 1.1).astype(np.int64))
    return {
        "wolf": np.mean([row.p50.verdict in MOVED or row.p99.verdict in MOVED for row in same]),
        "wolf p50": np.mean([row.p50.verdict in MOVED for row in same]),
        "wolf p99": np.mean([row.p99.verdict in MOVED for row in same]),
        "outside p50": np.mean([not (row.p50.low or 0) <= 1 <= (row.p50.high or np.inf) for row in same]),
        "same": np.mean([row.verdict == Verdict.SAME for row in same]),
        "found": np.mean([row.verdict == Verdict.SLOWER for row in slower]),
        "found p99": np.mean([row.p99.verdict == Verdict.SLOWER for row in slower]),
    }


def main() -> None:
    recordings = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    calls = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    print(f"{recordings} pairs of recordings of {calls} calls each, in %")
    for number, (name, family) in enumerate(FAMILIES.items()):
        found = rates(family, number, recordings, calls)
        print(f"{name:26}" + "".join(f"  {what} {100 * share:5.1f}" for what, share in found.items()), flush=True)


if __name__ == "__main__":
    main()

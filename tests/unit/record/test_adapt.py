"""When cheap exits are given up for RETs."""

import numpy as np

from funcrec.plan.sites import PlannedFunction, ProbePlan, ProbeSite, Role, SiteKind
from funcrec.record.adapt import Adaptation

COSTS = {"emulated": 700.0, "stepped": 14_000.0}


def plan() -> ProbePlan:
    """Two functions with a cheap exit and a spare RET each, and one that has no other way."""
    sites = []
    for function in range(3):
        address = 0x1000 * (function + 1)
        sites += [
            ProbeSite(function, address, address, Role.ENTRY, kind=SiteKind.EMULATED),
            ProbeSite(function, address + 8, address + 8, Role.EXIT, kind=SiteKind.EMULATED, yields=function < 2),
        ]
        if function < 2:
            sites.append(ProbeSite(function, address + 16, address + 16, Role.EXIT, spare=True))
    functions = tuple(PlannedFunction(f"main.f{number}", 0x1000 * (number + 1)) for number in range(3))
    return ProbePlan("svc", functions, tuple(sites))


def counts(**at: int) -> np.ndarray:
    found = np.zeros(8, dtype=np.int64)
    for name, count in at.items():
        found[int(name[1:])] = count
    return found


def test_hits_in_vain_are_weighed_against_returns() -> None:
    adaptation = Adaptation(plan(), COSTS)
    assert adaptation.judge(counts(s1=1000), counts(s1=19_000)) is None, "a stepped RET costs twenty of them"
    assert adaptation.judge(counts(s1=1000), counts(s1=28_000)) is None, "too little to bother"
    swap = adaptation.judge(counts(s1=1000), counts(s1=29_001 + 1000))
    assert swap is not None
    assert (swap.functions, swap.armed, swap.dropped) == ((0,), (2,), (1,))
    assert adaptation.judge(counts(s1=1000), counts(s1=90_000)) is None, "once is enough"


def test_a_loop_that_runs_away_is_urgent() -> None:
    adaptation = Adaptation(plan(), COSTS)
    assert not adaptation.is_urgent(counts(), counts(s1=100_000))
    assert adaptation.is_urgent(counts(), counts(s1=101_000))
    assert not adaptation.is_urgent(counts(s1=1000), counts(s1=101_000)), "the returns have come"
    assert not adaptation.is_urgent(counts(), counts(s7=10**9)), "nothing could be done"
    assert adaptation.judge(counts(), counts(s1=101_000)) is not None
    assert not adaptation.is_urgent(counts(), counts(s1=10**9)), "it was done"


def test_where_stepping_is_cheap_less_is_put_up_with() -> None:
    bare = Adaptation(plan(), {"emulated": 350.0, "stepped": 700.0})
    swap = bare.judge(counts(s4=10_000), counts(s4=21_000))
    assert swap is not None
    assert swap.functions == (1,)


def test_functions_without_spare_sites_stay() -> None:
    assert Adaptation(plan(), COSTS).judge(counts(), counts(s7=10**9)) is None


def test_without_a_measured_cost_nothing_changes() -> None:
    assert Adaptation(plan(), {}).judge(counts(s1=1), counts(s1=10**9)) is None

"""The guard's judgement, by made-up hits."""

import numpy as np
import pytest

from funcrec.plan.sites import PlannedFunction, ProbePlan, ProbeSite, Role, SiteKind
from funcrec.record.guard import Guard
from funcrec.record.known import KnownFunctions

COSTS = {"emulated": 1_000.0, "stepped": 10_000.0}
SECOND = 1_000_000_000
NOTHING = np.zeros(6, dtype=np.int64)


def plan(*, root: bool = False, told: bool = False) -> ProbePlan:
    """hot, warm and cold with an emulated entry and a stepped exit each; `told`: cold's exit is told by hot's."""
    functions = tuple(
        PlannedFunction(
            name, 0x1000 * (n + 1), root=root and name == "hot", ended_by=(0x1000,) if told and n == 2 else ()
        )
        for n, name in enumerate(("hot", "warm", "cold"))
    )
    kinds = [SiteKind.EMULATED, SiteKind.STEPPED] * 3
    if told:
        kinds[5] = SiteKind.CHAINED
    sites = tuple(
        ProbeSite(n // 2, 0x1000 + n, n, Role.EXIT if n % 2 else Role.ENTRY, kind=kind) for n, kind in enumerate(kinds)
    )
    return ProbePlan("svc", functions, sites)


def guard(limit: float, hits: list[int], **of: bool) -> Guard:
    subject = Guard(plan(**of), KnownFunctions(plan(**of).functions), COSTS, limit, 0, patience=1)
    subject.begin(0, NOTHING)
    subject.saw(np.array(hits))
    return subject


def test_below_the_limit_nothing_happens() -> None:
    # 11 us a call, 1,000 calls: 1.1 % of a second.
    assert guard(2, [1000, 1000, 0, 0, 0, 0]).look(SECOND, NOTHING) is None


def test_a_burst_is_borne() -> None:
    subject = Guard(plan(), KnownFunctions(plan().functions), COSTS, 25, 0)
    dear, cheap = np.array([30_000] * 6), np.array([10] * 6)
    verdicts = []
    for second, hits in enumerate([dear, dear, cheap, dear, dear, dear], start=1):
        subject.saw(hits)
        verdicts.append(subject.look(second * SECOND, NOTHING))
    assert [verdict is not None for verdict in verdicts] == [False] * 5 + [True]


def test_a_late_look_counts_the_seconds() -> None:
    subject = Guard(plan(), KnownFunctions(plan().functions), COSTS, 25, 0)
    subject.saw(np.array([90_000] * 6))
    assert subject.look(3 * SECOND, NOTHING) is not None


def test_looking_back_waits_for_its_patience_and_judges_all_of_the_time() -> None:
    subject = Guard(plan(), KnownFunctions(plan().functions), COSTS, 25, 0)
    hits = np.array([90_000, 0, 0, 0, 0, 0])  # 90 ms of emulated hits
    assert subject.look_back(2 * SECOND, 5 * hits) is None
    assert subject.look_back(3 * SECOND, 5 * hits) is None  # 15 % of one CPU
    verdict = subject.look_back(6 * SECOND, 15 * hits)  # 30 %
    assert verdict is not None
    assert verdict.functions[0] == 0
    assert not verdict.stop
    assert subject.look_back(10 * SECOND, 15 * hits) is None


def test_it_looks_once_a_second() -> None:
    subject = guard(1, [10_000] * 6)
    assert subject.look(SECOND - 1, NOTHING) is None
    assert subject.look(SECOND, NOTHING) is not None


def test_the_dearest_go_first_and_the_rest_fits() -> None:
    verdict = guard(5, [9_000, 9_000, 3_000, 3_000, 10, 10]).look(SECOND, NOTHING)
    assert verdict is not None
    assert not verdict.stop
    assert verdict.functions == (0,)
    assert verdict.sites == verdict.free == (0, 1)
    assert "no longer recording hot (18 000 hits/s)" in verdict.text
    assert "13 % of one CPU" in verdict.text


def test_hits_without_events_count() -> None:
    idle = np.array([0, 0, 90_000, 0, 0, 0])
    verdict = guard(5, [10, 10, 10, 10, 10, 10]).look(SECOND, idle)
    assert verdict is not None
    assert verdict.functions == (1,)
    # Counted once: what was there when the window began is not held against the next one.
    subject = guard(5, [0] * 6)
    subject.begin(SECOND, idle)
    assert subject.look(3 * SECOND, idle) is None


def test_who_is_let_go_stays_away() -> None:
    subject = guard(5, [9_000, 9_000, 0, 0, 10, 10])
    assert subject.look(SECOND, NOTHING) is not None
    subject.saw(np.array([0, 0, 9_000, 9_000, 10, 10]))
    verdict = subject.look(2 * SECOND, NOTHING)
    assert verdict is not None
    assert verdict.functions == (1,)


def test_what_is_all_too_dear_ends_it() -> None:
    verdict = guard(5, [9_000] * 6).look(SECOND, NOTHING)
    assert verdict is not None
    assert verdict.stop
    assert "the recording ends" in verdict.text


def test_where_nothing_can_be_let_go_it_ends() -> None:
    subject = Guard(plan(), KnownFunctions(plan().functions), COSTS, 5, 0, patience=1, lets_go=False)
    subject.begin(0, NOTHING)
    subject.saw(np.array([9_000, 9_000, 3_000, 3_000, 10, 10]))
    verdict = subject.look(SECOND, NOTHING)
    assert verdict is not None
    assert verdict.stop
    assert verdict.functions == verdict.sites == ()
    assert "most of it at hot: the recording ends" in verdict.text


def test_roots_stay() -> None:
    verdict = guard(5, [9_000, 9_000, 3_000, 3_000, 0, 0], root=True).look(SECOND, NOTHING)
    assert verdict is not None
    assert 0 not in verdict.functions
    assert verdict.stop  # the root alone is too dear


def test_callers_whose_ends_are_told_go_along() -> None:
    verdict = guard(5, [9_000, 9_000, 100, 100, 10, 0], told=True).look(SECOND, NOTHING)
    assert verdict is not None
    assert set(verdict.functions) == {0, 2}
    assert set(verdict.sites) == {0, 1, 4, 5}
    assert set(verdict.free) == {0, 1, 4}  # a told exit has no probe


@pytest.mark.parametrize("limit", [1.0, 25.0, 400.0])
def test_the_rest_is_below_the_limit(limit: float) -> None:
    rng = np.random.default_rng(7)
    for _ in range(50):
        hits = rng.integers(0, 200_000, 6)
        verdict = guard(limit, hits.tolist()).look(SECOND, NOTHING)
        cost = np.array([1_000, 10_000] * 3) * hits / SECOND * 100
        if verdict is None:
            assert cost.sum() <= limit
        elif not verdict.stop:
            assert np.delete(cost, list(verdict.free)).sum() <= limit

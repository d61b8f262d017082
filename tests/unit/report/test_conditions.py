import numpy as np
import pytest

from funcrec.errors import UsageError
from funcrec.lang.expr import parse
from funcrec.report.columns import Kind, Part, ValueColumn
from funcrec.report.conditions import BUILT_IN, evaluate, holds
from funcrec.report.filters import FilterRequest, select
from funcrec.report.request import parse_time_range
from funcrec.report.trace import Trace
from funcrec.trace.records import CallSite, GoroutineRecord, SiteRole
from tests.calltrees import Event, function_site, make_trace

NAMES = ("main.a", "main.(*T).b", "main.Map[int]")
ENTRY, EXIT = SiteRole.ENTRY, SiteRole.EXIT


@pytest.fixture
def trace() -> Trace:
    """a calls b, b is open; Map returned in another goroutine."""
    events = [
        Event(1_000, function_site(0, ENTRY), 8, caller=1),
        Event(2_000, function_site(1, ENTRY), 16, caller=2),
        Event(3_000, function_site(2, ENTRY), 8, goid=7),
        Event(3_500_000, function_site(2, EXIT), 8, goid=7),
    ]
    sites = [CallSite(0x100, "main.main", 5, "/src/main.go", 3), CallSite(0x200, "main.a", 9, "/src/a.go", 4)]
    return make_trace([events], NAMES, call_sites=sites)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dur > 1ms", [False, False, True]),
        ("not dur > 1ms", [False, False, False]),  # open calls have no duration
        ("dur > 1ms or goid == 1", [True, True, True]),
        ("dur > 1ms and goid == 1", [False, False, False]),
        ("start >= 2us", [False, True, True]),
        ("func =~ 'main.(*T).*'", [False, True, False]),
        ("func == 'main.Map[int]'", [False, False, True]),
        ("caller == 'main.a'", [False, True, False]),
        ("caller != 'main.a'", [True, False, False]),  # the third has no known caller
        ("caller == func", [False, False, False]),
        ("state == 'open'", [True, True, False]),
        ("depth * 2 + 1 == 3", [False, True, False]),
        ("10 / (goid - 1) == 1", [False, False, True]),  # division by zero has no value
        ("goid % 5 == 2 and true", [False, False, True]),
        ("tid == 100 and pid == 100", [True, True, True]),
        ("-goid < -1", [False, False, True]),
        ("func < 'main.B'", [False, True, False]),
    ],
)
def test_conditions(trace: Trace, text: str, expected: list[bool]) -> None:
    assert holds(trace, trace.table(), text).tolist() == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dur", "not a condition"),
        ("func", "not a condition"),
        ("func > 3", "compares text with a number"),
        ("dur =~ 'x'", "needs text"),
        ("func + 1 == 2", "needs a number"),
        ("dur == nil", "compares a number with nil"),
        ("durr > 1ms", "nothing in the trace is called 'durr'"),
        ("true < false", "in order"),
    ],
)
def test_what_does_not_fit_is_an_error(trace: Trace, text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        holds(trace, trace.table(), text)
    assert says in caught.value.cause


def test_near_names_are_offered(trace: Trace) -> None:
    with pytest.raises(UsageError) as caught:
        holds(trace, trace.table(), "durr > 1ms")
    assert "dur" in caught.value.remedy


def test_values_of_several_kinds_compare_with_their_like(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = ValueColumn(
        {
            Kind.NUMBER: Part(np.array([True, False, False]), np.array([5, 0, 0])),
            Kind.TEXT: Part(np.array([False, True, False]), np.array([0, 0, 0]), ("five",)),
            Kind.NIL: Part(np.array([False, True, True]), np.array([False, False, True])),
        }
    )
    monkeypatch.setitem(BUILT_IN, "x", lambda *_: mixed)
    calls = trace.table()
    assert holds(trace, calls, "x == 5").tolist() == [True, False, False]
    assert holds(trace, calls, "x == 'five'").tolist() == [False, True, False]
    assert holds(trace, calls, "x == nil").tolist() == [False, False, True]
    assert holds(trace, calls, "x != nil").tolist() == [False, True, False]
    assert holds(trace, calls, "not x == 'five' or x == 5").tolist() == [True, False, False]


def test_integers_stay_exact(trace: Trace) -> None:
    value = evaluate(trace, trace.table(), parse("goid * 9007199254740993")).parts[Kind.NUMBER].values
    assert value.tolist() == [9007199254740993, 9007199254740993, 7 * 9007199254740993]


@pytest.mark.parametrize(
    "request_",
    [
        FilterRequest(goroutines=((3, 3),)),
        FilterRequest(goroutines=((1, 1), (100, 200))),
        FilterRequest(pids=(999,)),
        FilterRequest(filter=("main.nothing*",)),
        FilterRequest(notrace=("nope",)),
        FilterRequest(hide=("nope",)),
        FilterRequest(caller_filter=("nope",)),
        FilterRequest(filter=("runtime.goexit1",)),  # hidden: no calls of its own
        FilterRequest(time_range=parse_time_range("2s~1s")),
        FilterRequest(where=("dur >",)),
    ],
)
def test_a_filter_that_names_nothing_is_an_error(trace: Trace, request_: FilterRequest) -> None:
    with pytest.raises(UsageError):
        select(trace, request_)


def test_a_goroutine_known_without_calls_is_not_an_error(trace: Trace) -> None:
    trace.goroutines.append(GoroutineRecord(100, 55, 1, 0, "", 0))
    assert len(select(trace, FilterRequest(goroutines=((55, 55),)))) == 0


def test_near_functions_are_offered(trace: Trace) -> None:
    with pytest.raises(UsageError) as caught:
        select(trace, FilterRequest(filter=("main.T.b",)))
    assert "main.(*T).b" in caught.value.remedy

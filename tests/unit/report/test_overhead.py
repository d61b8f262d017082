from dataclasses import replace

import pytest

from funcrec.errors import UsageError
from funcrec.report.filters import FilterRequest, select
from funcrec.report.overhead import total_cost_ns
from funcrec.report.request import Overhead
from funcrec.report.trace import Trace
from funcrec.trace.records import Closing, NoteRecord, SiteRole
from tests.calltrees import Event, function_site, header, make_trace, standard_sites


def nested(outer_ns: int, costs: dict[str, float]) -> Trace:
    """a calls b twice; the exits of b are stepped."""
    sites, _ = standard_sites(2)
    sites[function_site(1, SiteRole.EXIT)] = replace(sites[function_site(1, SiteRole.EXIT)], stepped=True)
    entry, leave = SiteRole.ENTRY, SiteRole.EXIT
    events = [
        Event(0, function_site(0, entry), 8),
        Event(1000, function_site(1, entry), 16),
        Event(3000, function_site(1, leave), 16),
        Event(4000, function_site(1, entry), 16),
        Event(6000, function_site(1, leave), 16),
        Event(outer_ns, function_site(0, leave), 8),
    ]
    head = replace(header(), probe_cost_ns=costs)
    return make_trace([events], ("main.a", "main.b"), head=head, sites=sites)


def test_hits_inside_a_call_are_taken_out_and_half_of_its_own() -> None:
    trace = nested(10_000, {"emulated": 100.0, "stepped": 600.0})
    calls = select(trace, FilterRequest(overhead=Overhead.SUBTRACT)).calls
    duration = (calls.end_ns - calls.start_ns).tolist()
    # a: two hits of its own by half, and four of b whole. b: (100 + 600) / 2.
    assert duration == [10_000 - 100 - 2 * 700, 2000 - 350, 2000 - 350]
    assert calls.self_ns.tolist() == [duration[0] - 2 * 1650, 1650, 1650]
    assert total_cost_ns(trace) == 4 * 100 + 2 * 600


def test_hits_without_an_event_are_shared_by_the_calls_of_their_function() -> None:
    def durations(options: dict[str, object], notes: list[NoteRecord]) -> list[int]:
        trace = nested(10_000, {"emulated": 100.0, "stepped": 600.0})
        leave = function_site(1, SiteRole.EXIT)
        trace.sites[leave] = replace(trace.sites[leave], edge=2, stepped=False)
        trace.closing = Closing(trace.header.clock, 6, 0, site_hits={leave: 12, function_site(1, SiteRole.ENTRY): 9})
        trace.header = replace(trace.header, options=options)
        trace.notes = notes
        calls = select(trace, FilterRequest(overhead=Overhead.SUBTRACT)).calls
        return (calls.end_ns - calls.start_ns).tolist()

    told, shared = 10_000 - 100 - 4 * 100, 10 * 100 // 2
    # Ten jumps went on without a return, five in each call of b, and all of them in a. Entries are no such hits.
    assert durations({}, []) == [told - 2 * shared, 1900 - shared, 1900 - shared]
    # Whose calls they are is not known under ROOT, --if and --min, and when a function was let go.
    assert durations({"roots": ["main.a"]}, []) == [told, 1900, 1900]
    assert durations({"condition": "x > 1"}, []) == [told, 1900, 1900]
    assert durations({"min_ns": 1}, []) == [told, 1900, 1900]
    assert durations({}, [NoteRecord(9_000_000_000_000, "guard", "let go", (1,))]) == [told, 1900, 1900]


def test_durations_do_not_get_negative() -> None:
    calls = select(nested(10_000, {"emulated": 9e4, "stepped": 9e4}), FilterRequest(overhead=Overhead.SUBTRACT)).calls
    assert (calls.end_ns == calls.start_ns).all()
    assert (calls.self_ns == 0).all()


def test_filters_see_what_is_shown() -> None:
    trace = nested(10_000, {"emulated": 100.0, "stepped": 600.0})
    kept = select(trace, FilterRequest(min_ns=2000))
    taken = select(trace, FilterRequest(min_ns=2000, overhead=Overhead.SUBTRACT))
    assert (len(kept), len(taken)) == (3, 1)


def test_nothing_measured_cannot_be_subtracted() -> None:
    with pytest.raises(UsageError, match="no measured probe cost"):
        select(nested(10_000, {}), FilterRequest(overhead=Overhead.SUBTRACT))

import io
import re
from dataclasses import replace

import pytest

from funcrec.errors import UsageError
from funcrec.report.filters import FilterRequest, select
from funcrec.report.request import Color, Names, OutputRequest
from funcrec.report.text import Output
from funcrec.report.trace import Trace
from funcrec.report.views.callgraph import write_callgraph
from funcrec.trace.records import CallSite, GoroutineRecord, LostRecord, ProcessRecord, SiteRole
from tests.calltrees import Event, function_site, make_trace, standard_sites

NAMES = ("main.main", "acme.com/api.(*API).Get", "main.risky", "main.\x1b[2Jevil")
MAIN, GET, RISKY, EVIL = range(4)
_, STATES = standard_sites(4)
SITES = [CallSite(1, "main.main", 37, "/src/app/main.go", 27), CallSite(2, "main.x", 9, "", 0)]
MS = 10**6


def enter(time_ns: int, function: int, depth: int, **more: int) -> Event:
    return Event(time_ns, function_site(function, SiteRole.ENTRY), depth, **more)


def leave(time_ns: int, function: int, depth: int, **more: int) -> Event:
    return Event(time_ns, function_site(function, SiteRole.EXIT), depth, **more)


def everything(**more: object) -> Trace:
    """Nesting, a switch of goroutines, a panic, a loss, a system stack, what stays open, a hostile name."""
    events = [
        enter(1 * MS, MAIN, 8),
        enter(2 * MS, GET, 16, caller=1),
        enter(3 * MS, RISKY, 24, caller=2),
        enter(3 * MS + 100, EVIL, 32),
        enter(4 * MS, EVIL, 8, goid=21),
        leave(4 * MS + 1500, EVIL, 8, goid=21),
        Event(5 * MS, STATES[SiteRole.RECOVERY], 16),
        leave(47 * MS, GET, 16),
        enter(50 * MS, RISKY, 16),
        enter(51 * MS, EVIL, 800, stack=405),
        leave(51 * MS + 20_000, EVIL, 800, stack=405),
        enter(1500 * MS, RISKY, 16),
        Event(1600 * MS, function_site(EVIL, SiteRole.POINT), 24),
    ]
    trace = make_trace([events], NAMES, call_sites=SITES, lost=[LostRecord(0, 52 * MS, 53 * MS, 3, by_site={0: 3})])
    trace.goroutines.append(GoroutineRecord(100, 21, 1, 1, "main.worker", 0))
    for name, value in more.items():
        setattr(trace, name, value)
    return trace


def listing(trace: Trace, filters: FilterRequest | None = None, **options: object) -> list[str]:
    """Lines below the heading."""
    stream = io.BytesIO()
    request = replace(OutputRequest(), **options)  # type: ignore[arg-type]
    write_callgraph(Output(request, stream), select(trace, filters or FilterRequest()), request)
    lines = stream.getvalue().decode().splitlines()
    return lines[next(n for n, line in enumerate(lines) if "function  " in line) + 1 :]


LISTING = r"""
  0.001000                [ 1]      main.main() {  open
  0.002000                [ 1]        acme.com/api.(*API).Get() {                   main.go:27
  0.003000                [ 1]          main.risky() {                              main.x+0x9
  0.003000  #   2.000 ms  [ 1]            main.\x1b[2Jevil()  panicked

  0.004000                [21]      started by [1] in main.main, main.go:27, runs main.worker
  0.004000      1.500 us  [21]      main.\x1b[2Jevil()

  0.005000  #   2.000 ms  [ 1]          }  /* main.risky */  panicked
  0.047000  *  45.000 ms  [ 1]        }  /* acme.com/api.(*API).Get */
  0.050000                [ 1]        main.risky()  lost
  0.051000  +  20.000 us  [ 1 g0]       main.\x1b[2Jevil()

  0.052000                          ------- 3 events lost here, within 1.000 ms: main.main 3 -------

  1.500000                [ 1]        main.risky() {  open
  1.600000          0 ns  [ 1]          main.\x1b[2Jevil()
  1.600000  > 100.000 ms  [ 1]        }  /* main.risky */  open
  1.600000  >   1.599 s   [ 1]      }  /* main.main */  open
"""


def test_the_call_graph() -> None:
    assert listing(everything()) == LISTING.strip("\n").splitlines()


def test_an_open_call_ran_until_its_process_ended() -> None:
    trace = everything(processes=[ProcessRecord(100, 0, end_ns=1_700 * MS)])
    assert listing(trace)[-1].startswith("  1.700000  >   1.699 s ")


def test_filters_take_out_lines_and_close_the_gap() -> None:
    lines = listing(everything(), FilterRequest(hide=("*Get",), filter=("main.main",), max_ns=10**9))
    assert lines[0] == "  0.003000                [1]      main.risky() {                                  main.x+0x9"


def test_several_processes_have_a_pid_column() -> None:
    events = [enter(1, MAIN, 8), enter(2, MAIN, 8, pid=12345)]
    lines = listing(make_trace([events], NAMES))
    assert "    100 [1]" in lines[0]
    assert "  12345 [1]" in lines[2]


def test_options_change_names_sources_and_columns() -> None:
    short = listing(everything(), names=Names.SHORT)
    assert "        api.(*API).Get() {" in short[1]
    lines = listing(everything(), srcline=True)
    assert lines[1].endswith("/src/app/main.go:27, defined at /src/acme.com/api.(*API).Get.go:11")
    bare = listing(everything(), fields="duration")
    assert bare[1:3] == ["                acme.com/api.(*API).Get() {", "                  main.risky() {"]
    with pytest.raises(UsageError, match="no field is called 'speed'"):
        listing(everything(), fields="speed")
    with pytest.raises(UsageError, match="time order"):
        listing(everything(), sort="duration")


def test_colour_adds_nothing_but_escapes() -> None:
    coloured = listing(everything(), color=Color.ALWAYS)
    assert any("\x1b[31m" in line for line in coloured)
    plain = [re.sub(r"\x1b\[\d+m", "", line) for line in coloured]
    assert plain == listing(everything())


def test_deep_calls_are_numbered_instead_of_indented() -> None:
    events = [enter(n, MAIN, 8 * (n + 1)) for n in range(100)]
    lines = listing(make_trace([events], NAMES))
    assert lines[90].endswith(" " * 80 + "(90) main.main() {  open")


def test_no_calls_leave_the_heading() -> None:
    assert listing(make_trace([], NAMES)) == []
    assert listing(everything(), FilterRequest(min_ns=10**12)) == []


def test_the_order_of_equal_times_follows_the_nesting() -> None:
    # b returns and c begins at one time; d begins and ends there with a child.
    events = [enter(1, MAIN, 8), enter(2, GET, 16), enter(3, RISKY, 24), leave(5, RISKY, 24), leave(5, GET, 16)]
    events += [enter(5, GET, 16), enter(5, RISKY, 24), leave(5, RISKY, 24), leave(5, GET, 16), leave(5, MAIN, 8)]
    shown = [line.split("]", 1)[1].strip() for line in listing(make_trace([events], NAMES))]
    assert shown == [
        "main.main() {",
        "acme.com/api.(*API).Get() {",
        "main.risky()",
        "}  /* acme.com/api.(*API).Get */",
        "acme.com/api.(*API).Get() {",
        "main.risky()",
        "}  /* acme.com/api.(*API).Get */",
        "}  /* main.main */",
    ]


def test_the_heading_counts_what_is_lost_also_when_nothing_is() -> None:
    stream = io.BytesIO()
    trace = make_trace([[enter(1, MAIN, 8), leave(1000, MAIN, 8)]], NAMES)
    write_callgraph(Output(stream=stream), select(trace, FilterRequest()), OutputRequest())
    lines = stream.getvalue().decode().splitlines()
    assert lines[0] == "# trace.zst: 1 call, 2 events, 1.000 us"
    assert "# lost: 0" in lines
    assert any(line.startswith("# not closed cleanly") for line in lines)
    assert all(line.startswith("#") for line in lines[:-1])

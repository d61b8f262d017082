"""Results read before the RET: of every call what the program itself got."""

import json
from collections import defaultdict
from typing import Any

import pytest

from funcrec.trace.reader import TraceReader
from funcrec.trace.records import SiteRole
from tests.conftest import RecordedTrace, Recorder
from tests.integration.test_values import same
from tests.toolchain import PROGRAMS, VERSIONS, go_build

pytestmark = pytest.mark.bpf

HELPERS = ["main", "*.func*", "dynamic", "plain", "help", "init"]
PATTERNS = ["main.*() -> ($results)", *(f"!main.{helper}" for helper in HELPERS)]
UNOPTIMISED = ("-gcflags=all=-N -l",)


def by_function(calls: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for call in calls:
        if call.get("state", "returned") == "returned":
            found[call["func"]].append(call["results"])
    return found


def cheap_share(trace: RecordedTrace) -> float:
    """Exits that were seen at emulated instructions, of all."""
    reader = TraceReader(trace.path)
    hits = reader.closing.site_hits if reader.closing else {}
    exits = {n: site for n, site in enumerate(reader.sites) if site.role == SiteRole.EXIT}
    every = sum(hits.get(number, 0) for number in exits)
    return sum(hits.get(number, 0) for number, site in exits.items() if not site.stepped) / every


def compare(trace: RecordedTrace) -> None:
    logged = by_function([json.loads(line) for line in trace.stdout.splitlines()])
    recorded = by_function(trace.calls)
    assert trace.info["lost"] == trace.info["lost_values"] == 0
    assert set(logged) == set(recorded)
    for name, results in logged.items():
        assert len(results) == len(recorded[name]), name
        wrong = [pair for pair in zip(results, recorded[name], strict=True) if not same(*pair)]
        assert not wrong, f"{name}: {len(wrong)} of {len(results)}: {wrong[:3]}"


def test_results_are_what_the_program_got(record: Recorder) -> None:
    trace = record(go_build(PROGRAMS / "results"), PATTERNS, launch_args=[])
    compare(trace)
    assert cheap_share(trace) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), UNOPTIMISED, ("-buildmode=pie",)])
@pytest.mark.parametrize("version", VERSIONS)
def test_results_of_other_builds(record: Recorder, version: str, flags: tuple[str, ...]) -> None:
    compare(record(go_build(PROGRAMS / "results", version=version, flags=flags), PATTERNS, launch_args=[]))


@pytest.mark.parametrize(
    ("function", "condition"),
    [
        ("early", "r0 < 0"),
        pytest.param("three", "r2 != nil and r0 > 3", marks=pytest.mark.slow),
        ("text", 'r0 =~ "neg*"'),
        pytest.param("search", "not found", marks=pytest.mark.slow),
    ],
)
def test_conditions_on_results_that_are_read_before_the_return(record: Recorder, function: str, condition: str) -> None:
    binary = go_build(PROGRAMS / "results")
    pattern = f"main.{function}() -> ($results)"
    kept = record(binary, [pattern], launch_args=[], options=["--if", condition])
    every = record(binary, [pattern], launch_args=[], name="every.zst")
    wanted = every.report("--where", condition)
    assert [call["results"] for call in kept.calls] == [call["results"] for call in wanted]
    assert 0 < len(wanted) < len(every.calls)
    assert cheap_share(kept) > 0


def test_results_stay_right_when_rets_take_over(record: Recorder) -> None:
    trace = record(go_build(PROGRAMS / "tails"), ["main.searchSilently(wanted) -> (r0)"], launch_args=["long"])
    assert [note.what for note in TraceReader(trace.path).notes] == ["exits"]
    assert 0 < cheap_share(trace) < 1
    values = [(call["args"]["wanted"], call["results"]["r0"]) for call in trace.calls]
    assert values == [(2 * at + 2, 199_999 - at) for at in range(300)]


def test_an_exit_that_a_fault_takes_back_has_no_results(record: Recorder) -> None:
    trace = record(go_build(PROGRAMS / "results"), ["main.faults() -> (r0)"], launch_args=[])
    panicked = [call for call in trace.calls if call["state"] == "panicked"]
    assert len(panicked) == 10
    assert all(call["results"] == {} for call in panicked)

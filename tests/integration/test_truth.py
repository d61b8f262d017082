"""Every call once, in the right goroutine, with the right parent, state, caller, line and times.

What is right is in the traced program's own log.
"""

import pytest

from tests.conftest import Recorder, funcrec
from tests.integration.scenarios import STRIPPED_AFTER, VARIANTS, patterns, workload
from tests.toolchain import DEFAULT, EVERY_VERSION, OLDEST, OLDEST_TOOL, VERSIONS, c_compiler

BUILDS = [*VARIANTS, STRIPPED_AFTER]
SCENARIOS = {
    "recursion": 0,
    "many": 0,
    "threads": 0,
    "preemption": 0,
    "panics": 0,
    "goexit": 0,
    "methods": 0,
    "inlining": 0,
    "statements": 0,
    "rangefunc": 0,
    "exit": 23,
    "fatal": 2,
}
QUICK = ("unoptimised", "stripped", "pie", "trimpath", "external-pie", "static", "race", STRIPPED_AFTER)


def _check(record: Recorder, scenario: str, version: str, variant: str) -> None:
    if "CGO_ENABLED" in VARIANTS.get(variant, {}).get("env", {}) and c_compiler() is None:
        pytest.skip("this build needs a C compiler")
    trace = record(workload(version, variant), patterns(scenario), launch_args=[scenario])
    assert trace.status == SCENARIOS.get(scenario, 0), trace.stderr
    assert "Traceback" not in trace.stderr
    trace.check()
    assert trace.info["lost"] == 0
    assert trace.info["calls"] == len(trace.truth)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(record: Recorder, scenario: str) -> None:
    _check(record, scenario, DEFAULT, "default")


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != DEFAULT])
def test_go_version(record: Recorder, version: str) -> None:
    _check(record, "basics", version, "default")


@pytest.mark.skipif(not OLDEST_TOOL.exists(), reason="needs Debian's golang-1.19-go")
@pytest.mark.parametrize("variant", ["default", "pie", "stripped", "unoptimised"])
@pytest.mark.parametrize("scenario", ["recursion", "panics", "threads"])
def test_go_1_19(record: Recorder, variant: str, scenario: str) -> None:
    """Without generics, whose shapes it names otherwise: `go.shape.int_0`, and `[...]` when stripped."""
    _check(record, scenario, OLDEST, variant)


@pytest.mark.parametrize("variant", QUICK)
def test_build_variant(record: Recorder, variant: str) -> None:
    _check(record, "basics", DEFAULT, variant)


@pytest.mark.slow
@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("variant", BUILDS)
@pytest.mark.parametrize("scenario", ["basics", "threads", "exit", "fatal"])
def test_matrix(record: Recorder, version: str, variant: str, scenario: str) -> None:
    _check(record, scenario, version, variant)


@pytest.mark.slow
@pytest.mark.parametrize("version", [version for version in EVERY_VERSION if version >= "1.23"])
@pytest.mark.parametrize("variant", ["default", "unoptimised", "stripped", "race"])
def test_range_over_functions(record: Recorder, version: str, variant: str) -> None:
    _check(record, "rangefunc", version, variant)


def test_goroutines_really_change_threads(record: Recorder) -> None:
    """The scenario would prove nothing if the calls of a goroutine all began on one thread."""
    trace = record(workload(), patterns("threads"), launch_args=["threads"])
    threads: dict[int, set[int]] = {}
    for call in trace.calls:
        threads.setdefault(call["goid"], set()).add(call["tid"])
    assert any(len(seen) > 1 for seen in threads.values())


def test_root_records_what_runs_inside_its_calls_only(record: Recorder) -> None:
    """With a ROOT the trace has the calls of the root and what these call, exact to the call."""
    wildcards = ["main.dive", "main.throw", "main.cleanup"]
    trace = record(workload(), wildcards, launch_args=["panics"], options=["main.nested"])
    inside: set[tuple[int, int]] = set()
    expected = []
    for row in trace.truth:
        if row["func"] == "main.nested" or (row["goid"], row["parent"]) in inside:
            inside.add((row["goid"], row["seq"]))
            if row["func"] in ("main.nested", *wildcards):
                expected.append(row)
    recorded = [(call["goid"], call["func"], call["state"]) for call in trace.calls]
    assert sorted(recorded) == sorted((row["goid"], row["func"], row["state"]) for row in expected)


def test_the_same_trace_gives_the_same_bytes(record: Recorder) -> None:
    trace = record(workload(), patterns("panics"), launch_args=["panics"])
    for view in (["report"], ["report", "--format", "jsonl"], ["report", "--format", "csv"], ["info"]):
        first, second = (funcrec(view[0], trace.path, *view[1:]).stdout for _ in range(2))
        assert first == second, view
        assert first, view

"""Every call once, in the right goroutine, with the right parent, state, caller, line and times.

What is right is in the traced program's own log.
"""

import pytest

from tests.conftest import Recorder, funcrec
from tests.integration.scenarios import STRIPPED_AFTER, VARIANTS, patterns, workload
from tests.toolchain import DEFAULT, EVERY_VERSION, VERSIONS, c_compiler

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
CORE = ("recursion", "panics", "goexit", "methods", "inlining", "statements")


def _check(record: Recorder, scenario: str, version: str, variant: str) -> None:
    if variant not in (STRIPPED_AFTER, "default") and "env" in VARIANTS[variant] and c_compiler() is None:
        pytest.skip("this build needs a C compiler")
    trace = record(workload(version, variant), patterns(scenario), launch_args=[scenario])
    assert trace.status == SCENARIOS[scenario], trace.stderr
    assert "Traceback" not in trace.stderr
    trace.check()
    assert trace.info["lost"] == 0
    assert trace.info["calls"] == len(trace.truth)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(record: Recorder, scenario: str) -> None:
    _check(record, scenario, DEFAULT, "default")


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != DEFAULT])
@pytest.mark.parametrize("scenario", ["recursion", "panics", "goexit"])
def test_go_version(record: Recorder, version: str, scenario: str) -> None:
    _check(record, scenario, version, "default")


@pytest.mark.parametrize(
    ("variant", "scenario"),
    [
        *((variant, "panics") for variant in [*VARIANTS, STRIPPED_AFTER] if variant != "default"),
        *(
            (variant, scenario)
            for variant in ("unoptimised", "stripped", "pie")
            for scenario in ("methods", "inlining")
        ),
    ],
)
def test_build_variant(record: Recorder, variant: str, scenario: str) -> None:
    _check(record, scenario, DEFAULT, variant)


@pytest.mark.slow
@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("variant", [*VARIANTS, STRIPPED_AFTER])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_matrix(record: Recorder, version: str, variant: str, scenario: str) -> None:
    if scenario == "rangefunc" and version < "1.23":
        pytest.skip("range over functions came with Go 1.23")
    _check(record, scenario, version, variant)


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

"""Random programs: who called whom, and who returned, as the program counted it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Recorder
from tests.randomprograms import write_program
from tests.toolchain import DEFAULT, EVERY_VERSION, go_build

_PATTERNS = ["main.f*", "!main.*.func*"]
_MORE = 12


@pytest.mark.parametrize("panics", [False, True])
def test_a_random_program(record: Recorder, tmp_path: Path, panics: bool) -> None:
    _compare(record, tmp_path, seed=10, panics=panics)


@pytest.mark.slow
@pytest.mark.parametrize("exits", ["auto", "ret"])
@pytest.mark.parametrize("version", EVERY_VERSION)
def test_random_programs(record: Recorder, tmp_path: Path, version: str, exits: str) -> None:
    """Others for every version, so that a run over all of them sees many."""
    first = 100 + _MORE * (2 * EVERY_VERSION.index(version) + (exits == "ret"))
    for seed in range(first, first + _MORE):
        _compare(record, tmp_path, seed=seed, panics=seed % 2 == 0, version=version, exits=exits)


def test_results_of_a_random_program(record: Recorder, tmp_path: Path) -> None:
    _compare_results(record, tmp_path, seed=11)


@pytest.mark.slow
@pytest.mark.parametrize("version", EVERY_VERSION)
def test_results_of_random_programs(record: Recorder, tmp_path: Path, version: str) -> None:
    for seed in range(500, 500 + _MORE):
        _compare_results(record, tmp_path, seed=seed, version=version)


def _compare_results(record: Recorder, folder: Path, *, seed: int, version: str = DEFAULT) -> None:
    """What exit sites tell beforehand is what a second run has at the RETs."""
    sources = folder / f"seed{seed}"
    sources.mkdir()
    write_program(sources, seed, panics=seed % 2 == 0, repeats=True)
    binary = go_build(sources, version=version, name="random")
    found = []
    for exits in ("auto", "ret"):
        patterns = ["main.f*(x) -> (y)", *_PATTERNS[1:]]
        trace = record(binary, patterns, launch_args=[], options=["--exits", exits], name=f"{seed}-{exits}.zst")
        assert trace.info["lost"] == trace.info["lost_values"] == 0
        found.append(
            Counter((call["func"], call["state"], call["args"]["x"], call["results"].get("y")) for call in trace.calls)
        )
    assert found[0] == found[1]
    assert len(found[0]) > 100


def _compare(
    record: Recorder, folder: Path, *, seed: int, panics: bool, version: str = DEFAULT, exits: str = "auto"
) -> None:
    sources = folder / f"seed{seed}"
    sources.mkdir()
    write_program(sources, seed, panics=panics)
    binary = go_build(sources, version=version, name="random")
    trace = record(binary, _PATTERNS, launch_args=[], options=["--exits", exits], name=f"{seed}.zst")
    logs = json.loads(trace.stdout)
    functions = {call["id"]: call["func"] for call in trace.calls}
    assert trace.info["lost"] == 0
    assert Counter((functions.get(call["parent"], "main"), call["func"]) for call in trace.calls) == _calls(logs)
    states = Counter((call["func"], call["state"]) for call in trace.calls)
    for number, ends in enumerate(map(sum, zip(*(log["Ends"] for log in logs), strict=True))):
        if ends:
            assert states[f"main.f{number}", "returned"] == ends
    assert {state for _, state in states} <= ({"returned", "panicked"} if panics else {"returned"})


def _calls(logs: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Calls by caller and callee in all goroutines."""
    found: Counter[tuple[str, str]] = Counter()
    for log in logs:
        callers = [*(f"main.f{number}" for number in range(len(log["Ends"]))), "main"]
        for caller, row in zip(callers, log["Calls"], strict=True):
            found.update({(caller, f"main.f{number}"): count for number, count in enumerate(row) if count})
    return found

"""What is recorded beside losses is true: compared, call by call, with what the program logged about itself."""

import json
import os
import signal
import subprocess
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program, RecordedTrace, Starter, funcrec
from tests.integration.scenarios import patterns, workload
from tests.truth import counts, read_truth

Row = dict[str, Any]


def _stalling(recording: Any, program: Program) -> None:
    """Let the recorder stand still again and again while the program runs."""
    while program.process.poll() is None:
        recording.interrupt(signal.SIGSTOP)
        with suppress(subprocess.TimeoutExpired):
            program.process.wait(0.05)
        recording.interrupt(signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            program.process.wait(0.01)


@pytest.mark.parametrize("scenario", ["many", "recursion", "panics", "goexit"])
def test_no_call_is_wrong_because_of_a_loss(
    start_recording: Starter, start_program: Callable[..., Program], scenario: str
) -> None:
    binary = workload()
    recording = start_recording(binary, patterns(scenario), options=["--buffer", "16K"])
    recording.wait_armed()
    program = start_program(binary, scenario)
    _stalling(recording, program)
    recording.interrupt()
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    logged = read_truth(program.truth_path)
    assert trace.info["lost"] > 0
    true = _match(trace, logged)
    for call, row in true:
        where = f"recorded {call}, in truth {row}"
        if call["state"] != "lost":
            assert call["state"] == row["state"], where
            if call["dur_ns"] is not None:
                end_ns = trace.base_ns + call["start_ns"] + call["dur_ns"]
                assert row["left_ns"] <= end_ns, where
                assert not row["next_ns"] or end_ns <= row["next_ns"], where
        else:
            assert call["dur_ns"] is None, where
    _check_parents(true)


def _match(trace: RecordedTrace, logged: list[Row]) -> list[tuple[Row, Row]]:
    """Each recorded call with the one call of the truth that it can be, by the time at which it began."""
    by_goroutine: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in logged:
        by_goroutine[row["pid"], row["goid"]].append(row)
    pairs = []
    for call in trace.calls:
        rows = by_goroutine[call["pid"], call["goid"]]
        start_ns = trace.base_ns + call["start_ns"]
        at = bisect_left(rows, start_ns, key=lambda row: row["entered_ns"] or row["prev_ns"])
        near = [row for row in rows[max(at - 2, 0) : at + 3] if row["prev_ns"] <= start_ns <= row["entered_ns"]]
        assert near, f"no such call in truth: {call}"
        assert [row["func"] for row in near] == [call["func"]], f"recorded {call}, in truth {near}"
        pairs.append((call, near[0]))
    assert len({(row["goid"], row["seq"]) for _, row in pairs}) == len(pairs), "two calls that are one in truth"
    return pairs


def _check_parents(true: list[tuple[Row, Row]]) -> None:
    """A parent is an ancestor in truth, and no recorded and certain call lies between the two."""
    row_of = {call["id"]: row for call, row in true}
    logged = {(row["goid"], row["seq"]): row for _, row in true}
    for call, row in true:
        ancestors, parent = [], row
        while parent is not None and parent["parent"] >= 0:
            key = (row["goid"], parent["parent"])
            ancestors.append(key)
            parent = logged.get(key)
            if parent is None:
                break  # the chain in truth goes through a call that was not recorded: no more can be said
        complete = parent is not None
        if call["parent"] is None:
            continue
        found = row_of[call["parent"]]
        key = (found["goid"], found["seq"])
        assert key in ancestors or not complete, f"recorded {call} below {found}, in truth {row}"


def test_a_starved_recorder_counts_what_it_misses(require_bpf: None, tmp_path: Path) -> None:
    """Recorder and program share one CPU, a ring holds few events, and the recorder has the lowest priority."""
    count, path, log = 20_011, tmp_path / "trace.zst", tmp_path / "truth"
    program = ["--", "flood", str(count)]
    done = funcrec(
        *("record", "-u", "main.tick", workload(), "--buffer", "16K", "-o", path, *program),
        prefix=["taskset", "-c", "0", "nice", "-n", "19"],
        env=os.environ | {"TRUTH": str(log)},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(funcrec("info", path, "--format", "json").stdout)
    assert told["events"] + told["lost"] == 2 * counts(log)["main.tick"] == 4 * count
    for line in funcrec("report", path, "--format", "jsonl").stdout.splitlines():
        call = json.loads(line)
        assert call["parent"] is None
        assert call["state"] in ("returned", "lost")

"""A recorder that comes in the middle, and goes before the program ends."""

from collections.abc import Callable
from pathlib import Path

from tests import truth
from tests.conftest import Program, Starter, probes
from tests.integration.scenarios import own_workload, patterns, workload


def _without_old_frames(rows: list[truth.Row], attached_ns: int) -> list[truth.Row]:
    """The truth as seen by a recorder that came at a time: frames entered before it are no calls and no parents."""
    kept: dict[tuple[int, int], truth.Row] = {}
    started: dict[int, int] = {}
    for row in rows:
        if row["entered_ns"] < attached_ns:
            continue
        parent = kept.get((row["goid"], row["parent"]))
        seq = started.get(row["goid"], 0)
        started[row["goid"]] = seq + 1
        kept[(row["goid"], row["seq"])] = row | {
            "seq": seq,
            "parent": parent["seq"] if parent else -1,
            "depth": parent["depth"] + 1 if parent else 0,
        }
    return list(kept.values())


def test_frames_entered_before_are_not_calls(start_recording: Starter, start_program: Callable[..., Program]) -> None:
    binary = workload()
    program = start_program(binary, "attach")
    assert program.read_line() == "ready"
    recording = start_recording(binary, patterns("attach"), options=["-p", str(program.pid)])
    recording.wait_armed()
    assert probes(program.pid, binary)
    program.proceed()
    assert program.finish() == 0
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    rows = truth.read_truth(program.truth_path)
    attached_ns = truth.counts(program.truth_path)["attached"]
    expected = _without_old_frames(rows, attached_ns)
    assert any(row["func"] == "main.held" for row in rows)
    assert not any(row["func"] == "main.held" for row in expected)
    truth.check(trace.calls, expected, trace.base_ns)


def test_calls_open_at_the_end_are_open(
    start_recording: Starter, start_program: Callable[..., Program], tmp_path: Path
) -> None:
    binary = own_workload(tmp_path)
    recording = start_recording(binary, patterns("attach"))
    recording.wait_armed()
    program = start_program(binary, "attach")
    assert program.read_line() == "ready"
    recording.interrupt()
    trace = recording.finish()
    assert not probes(program.pid, binary), "probes are left behind"
    program.proceed()
    assert program.finish() == 0
    assert trace.status == 0, trace.stderr
    held = [row for row in truth.read_truth(program.truth_path) if row["func"] == "main.held"]
    expected = [row | {"state": "open"} for row in held]
    truth.check(trace.calls, expected, trace.base_ns)

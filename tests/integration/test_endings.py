"""Every way a recording can end leaves a complete file, or at least a readable one, and no probe."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Program, RecordedTrace, Recorder, Starter, funcrec, probes, wait_until
from tests.integration.scenarios import own_workload, patterns, workload


def _is_complete(trace: RecordedTrace) -> bool:
    checked = funcrec("info", trace.path, "--check", check=False)
    return checked.returncode == 0 and "funcrec report" in trace.stderr


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_the_status_of_the_program_is_returned(record: Recorder, status: int) -> None:
    trace = record(workload(), patterns("status"), launch_args=["status", str(status)])
    assert trace.status == status
    assert _is_complete(trace)
    trace.check()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_a_program_that_dies_of_a_signal(record: Recorder, number: signal.Signals) -> None:
    trace = record(workload(), patterns("status"), launch_args=["status", str(-number)])
    # Go answers SIGABRT itself and exits with 2.
    assert trace.status == (2 if number == signal.SIGABRT else 128 + number)
    assert _is_complete(trace)
    trace.check()


def test_kill_with_calls_open(start_recording: Starter) -> None:
    recording = start_recording(workload(), patterns("killed"), launch_args=["killed"])
    assert recording.process.stdout is not None
    assert recording.process.stdout.readline().strip() == "ready"
    children = Path(f"/proc/{recording.process.pid}/task/{recording.process.pid}/children").read_text().split()
    killed = [pid for pid in children if os.readlink(f"/proc/{pid}/exe") == str(workload())]
    assert len(killed) == 1
    os.kill(int(killed[0]), signal.SIGKILL)
    trace = recording.finish()
    assert trace.status == 128 + signal.SIGKILL
    assert _is_complete(trace)
    trace.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_the_recorder(
    start_recording: Starter, start_program: Callable[..., Program], number: signal.Signals, tmp_path: Path
) -> None:
    binary = own_workload(tmp_path)
    recording = start_recording(binary, patterns("attach"), options=["-v"])
    recording.wait_armed()
    program = start_program(binary, "attach")
    assert program.read_line() == "ready"
    recording.interrupt(number)
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    assert _is_complete(trace)
    assert re.search(r"never left alone for longer than [\d.]+ ms$", trace.stderr, re.MULTILINE)
    assert not probes(program.pid, binary)
    program.proceed()
    assert program.finish() == 0


def test_ctrl_c_is_passed_on_to_a_launched_program(start_recording: Starter) -> None:
    recording = start_recording(workload(), patterns("killed"), launch_args=["killed"])
    assert recording.process.stdout is not None
    assert recording.process.stdout.readline().strip() == "ready"
    recording.interrupt()
    trace = recording.finish()
    assert trace.status in (2, 128 + signal.SIGINT), trace.stderr  # Go exits with 2 on an interrupt
    assert _is_complete(trace)


def test_duration(start_recording: Starter, start_program: Callable[..., Program], tmp_path: Path) -> None:
    binary = own_workload(tmp_path)
    program = start_program(binary, "attach")
    assert program.read_line() == "ready"
    recording = start_recording(binary, patterns("attach"), options=["--duration", "300ms"])
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    assert _is_complete(trace)
    assert not probes(program.pid, binary)
    program.proceed()
    assert program.finish() == 0


def test_max_size(record: Recorder) -> None:
    """The recording ends by itself soon after the size is reached; the program runs on to its own end."""
    trace = record(
        workload(), patterns("flood"), launch_args=["flood", "400009"], options=["--max-size", "64K", "--entry-only"]
    )
    assert _is_complete(trace)
    assert trace.path.stat().st_size >= 64 << 10


def test_sigkill_leaves_a_readable_file_no_probe_and_a_program_unharmed(
    start_recording: Starter, start_program: Callable[..., Program]
) -> None:
    binary = workload()
    program = start_program(binary, "flood", "20011", "wait")
    assert program.read_line() == "ready"
    recording = start_recording(binary, patterns("flood"), options=["-p", str(program.pid)])
    recording.wait_armed()
    assert probes(program.pid, binary)
    program.proceed()
    assert program.read_line() == "done"
    empty_bytes = 4096
    wait_until(lambda: recording.path.stat().st_size > empty_bytes, "events are in the file")
    recording.interrupt(signal.SIGKILL)
    trace = recording.finish()
    wait_until(lambda: not probes(program.pid, binary), "probes are gone")
    program.proceed()
    assert program.finish() == 0
    calls = trace.calls
    assert calls
    assert {call["func"] for call in calls} == {"main.tick"}
    # A file without its end is said to be one.
    for view in ("report", "info"):
        assert "not closed cleanly" in funcrec(view, trace.path).stdout, view


def test_an_existing_file_is_kept_as_old(record: Recorder) -> None:
    for scenario in ("status", "inlining"):
        trace = record(workload(), patterns(scenario), launch_args=[scenario, "0"])
    old = trace.path.with_name(trace.path.name + ".old")
    assert len(trace.calls) == 505
    assert len(funcrec("report", old, "--format", "jsonl").stdout.splitlines()) == 1

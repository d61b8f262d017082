"""A buffer that is too small: what is recorded and what is counted as lost add up to what the program did."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from funcrec.trace.reader import TraceReader
from tests import truth
from tests.conftest import Program, RecordedTrace, Starter, funcrec, probes
from tests.integration.scenarios import patterns, workload

COUNT = 20_011


def _stalled(
    start_recording: Starter, program: Program, binary: Path, names: Sequence[str], options: Sequence[str] = ()
) -> RecordedTrace:
    """Record what a program does while the recorder stands still, so that the buffer overflows on any machine."""
    assert program.read_line() == "ready"
    recording = start_recording(binary, names, options=["-p", str(program.pid), "--buffer", "64K", *options])
    recording.wait_armed()
    assert probes(program.pid, binary)
    recording.interrupt(signal.SIGSTOP)
    program.proceed()
    assert program.read_line() == "done"
    recording.interrupt(signal.SIGCONT)
    program.proceed()
    assert program.finish() == 0
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    assert trace.info["lost"] > 0
    return trace


def _flood(
    start_recording: Starter, start_program: Callable[..., Program], options: Sequence[str] = ()
) -> tuple[RecordedTrace, int]:
    """A flood of calls of one function, and how many they were."""
    binary = workload()
    program = start_program(binary, "flood", str(COUNT), "wait")
    trace = _stalled(start_recording, program, binary, patterns("flood"), options)
    return trace, truth.counts(program.truth_path)["main.tick"]


def test_recorded_and_lost_add_up(start_recording: Starter, start_program: Callable[..., Program]) -> None:
    trace, calls = _flood(start_recording, start_program)
    assert trace.info["events"] + trace.info["lost"] == 2 * calls
    # No wrong tree: a function that calls nothing recorded has no recorded child, whatever is missing.
    assert all(call["parent"] is None and call["depth"] == 0 for call in trace.calls)
    assert {call["state"] for call in trace.calls} <= {"returned", "lost", "open"}


def test_entries_alone_add_up(start_recording: Starter, start_program: Callable[..., Program]) -> None:
    trace, calls = _flood(start_recording, start_program, ["--entry-only"])
    assert len(trace.calls) + trace.info["lost"] == calls
    assert {call["state"] for call in trace.calls} == {"entry"}


def test_every_view_says_what_was_lost(start_recording: Starter, start_program: Callable[..., Program]) -> None:
    trace, _ = _flood(start_recording, start_program)
    lost = trace.info["lost"]
    grouped = f"{lost:,}".replace(",", " ")
    assert f"{grouped} lost" in trace.stderr
    for view in ("report", "info"):
        shown = funcrec(view, trace.path)
        assert grouped in shown.stdout + shown.stderr, view
    strict = funcrec("report", trace.path, "--strict", check=False)
    assert strict.returncode == 3


def test_calls_of_one_event_and_ends_of_goroutines_add_up(
    start_recording: Starter, start_program: Callable[..., Program], hot: Path
) -> None:
    """Leaves begin and end in one event, which counts as both; what tells the end of a goroutine counts as neither."""
    count, goroutines = 503, 24
    program = start_program(hot, str(count), str(goroutines), "wait")
    trace = _stalled(start_recording, program, hot, ["main.hot*", "main.outer"])
    calls = goroutines * (9 * count + 1)  # hot0 twice: hot7 calls it, too
    assert trace.info["events"] + trace.info["lost"] == 2 * calls
    assert sum(loss["count"] for loss in trace.info["losses"]) == trace.info["lost"]
    with trace.path.open("rb") as file:
        reader = TraceReader(file)
    missing = sum(record.count for record in reader.lost)
    assert missing < trace.info["lost"], "most of what is lost are leaves"

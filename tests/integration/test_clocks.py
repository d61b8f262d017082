"""Clocks that are not the kernel's: a trace has the kernel's times, whoever lives in another time."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from funcrec.trace.reader import TraceReader
from tests.conftest import FUNCREC, LIMIT_S, Starter, funcrec

AHEAD = ("unshare", "--time", "--monotonic", "100000", "--boottime", "200000")
CALLS = 101


@pytest.fixture
def ahead(require_bpf: None) -> None:
    """Skips where there are no time namespaces."""
    if subprocess.run([*AHEAD, "true"], capture_output=True).returncode:
        pytest.skip("no time namespaces here")


def calls(path: Path) -> list[dict[str, object]]:
    printed = funcrec("report", path, "--format", "jsonl").stdout
    return [json.loads(line) for line in printed.splitlines()]


def check(path: Path, before_ns: int) -> None:
    """All calls of a recording lie within it, and its clocks are the kernel's."""
    rows = calls(path)
    assert len(rows) == CALLS + 1
    assert all(row["state"] == "returned" for row in rows)
    with path.open("rb") as file:
        reader = TraceReader(file)
    assert reader.closing is not None
    first, last = reader.header.clock, reader.closing.clock
    span = last.monotonic_ns - first.monotonic_ns
    assert before_ns < first.monotonic_ns < last.monotonic_ns < time.monotonic_ns()
    assert abs((last.boottime_ns - first.boottime_ns) - span) < 1_000_000
    assert all(row["start_ns"] >= 0 and row["dur_ns"] >= 0 and row["start_ns"] + row["dur_ns"] <= span for row in rows)
    assert funcrec("info", path, "--check").returncode == 0


def test_a_program_in_another_time(ahead: None, hot: Path, start_recording: Starter, tmp_path: Path) -> None:
    before_ns = time.monotonic_ns()
    program = subprocess.Popen(
        [*AHEAD, hot, str(CALLS), "1", "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdin is not None
    try:
        assert program.stdout.readline() == "ready\n"
        recording = start_recording(hot, ["main.outer", "main.calm"], options=["-p", str(program.pid)])
        recording.wait_armed()
        program.stdin.write("go\n")
        program.stdin.flush()
        assert program.stdout.readline() == "done\n"
        recording.interrupt()
        check(recording.finish().path, before_ns)
    finally:
        program.kill()
        program.communicate()


def test_a_recorder_in_another_time(ahead: None, hot: Path, tmp_path: Path) -> None:
    before_ns = time.monotonic_ns()
    path = tmp_path / "trace.zst"
    options = ["-u", "main.outer", "-u", "main.calm", "--max-overhead", "off", "-o", path, hot]
    subprocess.run(
        [*AHEAD, FUNCREC, "record", *options, "--", str(CALLS), "1"],
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=LIMIT_S,
        env=os.environ,
    )
    check(path, before_ns)

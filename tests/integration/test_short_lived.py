"""Hundreds of processes that are gone in milliseconds, one recorder that follows their file: every call of each."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Starter
from tests.toolchain import PROGRAMS, go_build

COUNT, GOROUTINES = 3, 2


@pytest.mark.parametrize("runs", [40, pytest.param(500, marks=pytest.mark.slow)])
def test_every_call_of_every_process(start_recording: Starter, tmp_path: Path, runs: int) -> None:
    binary = tmp_path / "hot"
    binary.write_bytes(go_build(PROGRAMS / "hot").read_bytes())
    binary.chmod(0o755)
    recording = start_recording(binary, ["main.calm", "main.hot3"], options=["--max-overhead", "off"])
    recording.wait_armed()
    _run(binary, runs // 2)
    before = _resident_kb(recording.process.pid)
    _run(binary, runs - runs // 2)
    grown = _resident_kb(recording.process.pid) - before
    recording.interrupt()
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    assert trace.info["lost"] == 0
    by_process = Counter((call["pid"], call["func"]) for call in trace.calls)
    assert len(by_process) == 2 * runs
    assert set(by_process.values()) == {COUNT * GOROUTINES}
    assert {call["state"] for call in trace.calls} == {"returned"}
    # What a process leaves in the recorder would be seen: a stack, a name and a descriptor are more than that.
    assert grown < 8192 + 4 * runs


def _run(binary: Path, runs: int) -> None:
    for _ in range(runs):
        subprocess.run([binary, str(COUNT), str(GOROUTINES)], check=True, stdout=subprocess.DEVNULL)


def _resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

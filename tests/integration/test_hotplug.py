"""A CPU goes offline and comes back while it records: no event is lost without being counted, the recorder goes on."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import truth
from tests.conftest import Program, Starter
from tests.integration.scenarios import patterns, workload

COUNT = 400_009
ONLINE = Path("/sys/devices/system/cpu/cpu1/online")
_GONE_S = 0.2  # others work on this machine


@pytest.fixture
def take_away(require_bpf: None) -> Iterator[Callable[[], None]]:
    if not ONLINE.exists() or ONLINE.read_text().strip() != "1":
        pytest.skip("CPU 1 cannot be taken away here")

    def away() -> None:
        ONLINE.write_text("0")
        try:
            time.sleep(_GONE_S)
        finally:
            ONLINE.write_text("1")

    yield away
    assert ONLINE.read_text().strip() == "1"


@pytest.mark.slow
def test_a_cpu_goes_and_comes_back(
    start_recording: Starter, start_program: Callable[..., Program], take_away: Callable[[], None]
) -> None:
    binary = workload()
    program = start_program(binary, "flood", str(COUNT), "wait")
    assert program.read_line() == "ready"
    recording = start_recording(binary, patterns("flood"), options=["-p", str(program.pid), "--max-overhead", "off"])
    recording.wait_armed()
    program.proceed()
    for _ in range(3):
        take_away()
        time.sleep(0.1)
    back_ns = time.monotonic_ns()
    assert program.read_line() == "done"
    program.proceed()
    assert program.finish() == 0
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    calls = truth.counts(program.truth_path)["main.tick"]
    assert trace.info["events"] + trace.info["lost"] == 2 * calls
    ends = [trace.base_ns + call["start_ns"] + (call["dur_ns"] or 0) for call in trace.calls]
    assert len(ends) <= calls
    assert max(ends) > back_ns, "the flood was over too soon to tell"
    assert {call["state"] for call in trace.calls} <= ({"returned", "lost"} if trace.info["lost"] else {"returned"})

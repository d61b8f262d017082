"""Tables of the kernel side that can be full: what finds no room is counted, and what is over makes room."""

import json
import mmap
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from funcrec.plan.builder import build_plan
from funcrec.plan.captures import Signatures
from funcrec.plan.conditions import Condition
from funcrec.record import maps
from funcrec.record.codegen import PidFilter
from funcrec.record.conditionmaps import FRAME, FRAME_KEY, FRAMES, STACK, STACK_KEY, THREADS
from funcrec.record.probes import Probes
from funcrec.record.valuemaps import MAX_THREADS
from funcrec.target.executable import Executable
from tests.conftest import LIMIT_S, Starter, funcrec, wait_until
from tests.toolchain import PROGRAMS, go_build

pytestmark = pytest.mark.bpf


def record(path: Path, case: str, number: int, *options: str) -> dict[str, Any]:
    """Record a case of the program; return what info says."""
    binary = go_build(PROGRAMS / "limits")
    arguments = ["-q", "--max-overhead", "off", *options, binary, "-o", path, "--", case, str(number)]
    funcrec("record", *arguments, stdout=None)
    found: dict[str, Any] = json.loads(funcrec("info", path, "--format", "json").stdout)
    return found


@pytest.mark.parametrize("condition", [pytest.param("n >= 0", marks=pytest.mark.slow), "r0 >= 0"])
def test_calls_beyond_the_table_of_frames_are_counted(tmp_path: Path, condition: str) -> None:
    """Whether the entry decides or waits for the exit: each call that finds no room is two lost events."""
    calls = FRAMES + 5_000
    info = record(tmp_path / "trace.zst", "deep", calls - 1, "-u", "main.deep", "--if", condition)
    assert info["calls"] == FRAMES
    assert info["events"] == 2 * FRAMES
    assert info["lost"] == 2 * 5_000


@pytest.mark.parametrize("buffer", ["4K", "64M"])
def test_values_of_calls_that_their_result_rejects(tmp_path: Path, buffer: str) -> None:
    """They take room in the ring until the end decides; what others lose by that is counted call by call."""
    path = tmp_path / "trace.zst"
    options = ["-u", "main.deep(n)", "--if", "r0 >= 100 and r0 < 110", "-b", buffer, "--exits", "ret"]
    info = record(path, "deep", 20_000, *options)
    arguments = [
        json.loads(row)["args"]["n"] for row in funcrec("report", path, "--format", "jsonl").stdout.splitlines()
    ]
    assert info["calls"] == len(arguments) == 10
    assert info["lost_values"] == arguments.count({"$error": "lost"})
    known = [n for n in arguments if n != {"$error": "lost"}]
    assert set(known) <= set(range(100, 110))
    assert len(known) == 10 or buffer == "4K"


@pytest.mark.parametrize("condition", [[], ["--if", "n >= 0"]])
def test_threads_beyond_the_table_are_counted(tmp_path: Path, condition: list[str]) -> None:
    calls = max(MAX_THREADS, THREADS) + 500
    info = record(tmp_path / "trace.zst", "threads", calls, "-u", "main.work(n, name)", *condition)
    if condition:
        assert 2 * info["calls"] + info["lost"] == 2 * calls
        assert info["lost"] >= 2 * 500
        assert info["lost_values"] == 0
    else:
        assert info["calls"] == calls
        rows = funcrec("report", tmp_path / "trace.zst", "--format", "jsonl").stdout.splitlines()
        without = sum(json.loads(row)["args"]["name"] == {"$error": "lost"} for row in rows)
        assert info["lost_values"] == without >= 500


@pytest.mark.parametrize("condition", [pytest.param([], marks=pytest.mark.slow), ["--if", "n >= 0"]])
def test_threads_that_ended_make_room(tmp_path: Path, condition: list[str]) -> None:
    calls = max(MAX_THREADS, THREADS) + 500
    info = record(tmp_path / "trace.zst", "churn", calls, "-u", "main.work(n, name)", *condition)
    assert (info["calls"], info["lost"], info["lost_values"]) == (calls, 0, 0)


def test_a_recorder_takes_little_room_beside_the_program(start_recording: Starter) -> None:
    """A buffer is the kernel's: only what is being read of it is mapped, whatever its size."""
    binary = go_build(PROGRAMS / "limits")
    resident = []
    for buffer in ("4M", "256M"):
        recording = start_recording(binary, ["main.work(n, name)"], options=["-b", buffer])
        recording.wait_armed()
        wait_until(lambda path=recording.path: path.stat().st_size > 0, "the tables are written")
        pages = Path(f"/proc/{recording.process.pid}/statm").read_text().split()[1]
        resident.append(int(pages) * mmap.PAGESIZE)
        recording.interrupt()
        assert recording.finish().status == 0
    assert max(resident) < 120 << 20
    assert max(resident) - min(resident) < 16 << 20


@contextmanager
def condition_on(function: str, text: str) -> Iterator[tuple[Probes, str]]:
    """Probes on a function of the program under a condition, and its path."""
    executable = Executable.open(str(go_build(PROGRAMS / "limits")))
    condition = Condition(text, Signatures(executable))
    plan = build_plan(executable, [function], needs=condition.needs)
    probes = Probes(
        executable.runtime_layout,
        max_sites=len(plan.sites),
        buffer_bytes=1 << 20,
        pid_filter=PidFilter.NONE,
        gated=False,
        condition=condition.lowered,
    )
    try:
        probes.load()
        probes.install_conditions(condition.plan(plan), plan.sites)
        probes.attach(plan, executable.path, [], entry_only=False)
        yield probes, executable.path
    finally:
        probes.close()


def remembered(probes: Probes) -> tuple[int, int]:
    """Frames and stacks that the condition still knows."""
    descriptors = probes._descriptors
    frames = maps.items(descriptors["condition_frames"], FRAME_KEY, FRAME)[0]
    return len(frames), len(maps.items(descriptors["condition_stacks"], STACK_KEY, STACK)[0])


@pytest.mark.parametrize("condition", ["n >= 0", "r0 >= 0", "n % 2 == 1"])
def test_calls_that_never_return_are_forgotten(condition: str) -> None:
    """Panics that were recovered, and goroutines that ended inside them."""
    with condition_on("main.leave", condition) as (probes, binary):
        subprocess.run([binary, "panics", "1000"], check=True, timeout=LIMIT_S)
        assert remembered(probes) == (0, 0)


def test_calls_of_processes_that_ended_are_forgotten() -> None:
    with condition_on("main.deep", "n >= 0") as (probes, binary):
        with subprocess.Popen([binary, "exit", "99"]) as process:
            process.wait(LIMIT_S)
        assert remembered(probes) == (100, 1)
        probes.forget([process.pid + 1])
        assert remembered(probes) == (100, 1)
        probes.forget([process.pid])
        assert remembered(probes) == (0, 0)

"""Several processes, several lives of one process, threads of C: no mixture."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import truth
from tests.conftest import Program, Recorder, Starter, probes
from tests.integration.scenarios import own_workload, patterns, workload
from tests.toolchain import DEFAULT, EVERY_VERSION, PROGRAMS, c_compiler, go_build


def test_children_of_a_launched_program(record: Recorder) -> None:
    trace = record(workload(), patterns("children"), launch_args=["children"])
    assert trace.status == 0, trace.stderr
    trace.check()
    assert len({row["pid"] for row in trace.truth}) == 6


def test_a_program_that_executes_itself(record: Recorder) -> None:
    trace = record(workload(), patterns("reexec"), launch_args=["reexec", "3"])
    assert trace.status == 0, trace.stderr
    trace.check()
    assert len({row["pid"] for row in trace.truth}) == 1


CGO_FLAGS = {
    "internal": (),
    "pie": ("-buildmode=pie",),
    "stripped": ("-ldflags=-s -w",),
    "unoptimised": ("-gcflags=-N -l",),
    "static": ("-ldflags=-linkmode=external -extldflags=-static",),
    "race": ("-race",),
}


@pytest.mark.parametrize(
    ("version", "build"),
    [
        pytest.param(version, build, marks=[] if (version, build) == (DEFAULT, "internal") else pytest.mark.slow)
        for version in EVERY_VERSION
        for build in CGO_FLAGS
        if version in (DEFAULT, EVERY_VERSION[0], EVERY_VERSION[-1]) or build == "internal"
    ],
)
def test_threads_started_from_c(record: Recorder, version: str, build: str) -> None:
    if c_compiler() is None:
        pytest.skip("cgo needs a C compiler")
    binary = go_build(PROGRAMS / "cthreads", version=version, flags=CGO_FLAGS[build], env={"CGO_ENABLED": "1"})
    trace = record(binary, ["main.called", "main.deeper", "main.across"], launch_args=[])
    assert trace.status == 0, trace.stderr
    trace.check()


def test_every_process_of_the_binary_now_and_later(
    start_recording: Starter, start_program: Callable[..., Program], tmp_path: Path
) -> None:
    binary = own_workload(tmp_path)
    early = start_program(binary, "attach")
    assert early.read_line() == "ready"
    recording = start_recording(binary, patterns("attach"))
    recording.wait_armed()
    assert probes(early.pid, binary)
    later = [start_program(binary, "recursion") for _ in range(3)]
    assert [program.finish() for program in later] == [0, 0, 0]
    early.proceed()
    assert early.finish() == 0
    recording.interrupt()
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    assert str(early.pid) in trace.stderr, "the processes found are named"
    for program in later:
        calls = [call for call in trace.calls if call["pid"] == program.pid]
        numbers = {call["id"]: number for number, call in enumerate(calls)}
        assert all(call["parent"] is None or call["parent"] in numbers for call in calls)
        truth.check(calls, truth.read_truth(program.truth_path), trace.base_ns)
    assert {call["pid"] for call in trace.calls} == {early.pid, *(program.pid for program in later)}


def test_pid_restricts(start_recording: Starter, start_program: Callable[..., Program]) -> None:
    binary = workload()
    chosen, other = start_program(binary, "attach"), start_program(binary, "attach")
    assert (chosen.read_line(), other.read_line()) == ("ready", "ready")
    recording = start_recording(binary, patterns("attach"), options=["-p", str(chosen.pid)])
    recording.wait_armed()
    assert probes(chosen.pid, binary)
    for program in (other, chosen):
        program.proceed()
        assert program.finish() == 0
    trace = recording.finish()  # ends with the process
    assert trace.status == 0, trace.stderr
    assert {call["pid"] for call in trace.calls} == {chosen.pid}


def test_a_launched_program_leaves_strangers_out(record: Recorder, start_program: Callable[..., Program]) -> None:
    binary = workload()
    stranger = start_program(binary, "attach")
    assert stranger.read_line() == "ready"
    recorded = record(binary, patterns("children"), launch_args=["children"])
    stranger.proceed()
    assert stranger.finish() == 0
    assert stranger.pid not in {call["pid"] for call in recorded.calls}
    recorded.check()


def test_a_launched_program_keeps_environment_folder_and_standard_streams(start_recording: Starter) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        recording = start_recording(workload(), patterns("flood"), launch_args=["flood", "23", "wait"], stdin=stdin)
        os.write(writing, b"go\n")
        assert recording.process.stdout is not None
        assert [recording.process.stdout.readline().strip() for _ in range(2)] == ["ready", "done"]
        os.write(writing, b"go\n")
        os.close(writing)
        trace = recording.finish()
    assert trace.status == 0, trace.stderr
    assert truth.counts(trace.truth_path) == {"main.tick": 46}  # the environment has its path
    assert len(trace.calls) == 46


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_launched_program_runs_as_the_sudo_caller(record: Recorder) -> None:
    nobody = 65534
    caller = {"SUDO_UID": str(nobody), "SUDO_GID": str(nobody)}
    with tempfile.TemporaryDirectory() as name:  # not pytest's folder, which others cannot enter
        folder = Path(name)
        folder.chmod(0o777)
        log = folder / "truth"
        binary = own_workload(folder)
        trace = record(binary, patterns("status"), launch_args=["status", "0"], env=caller | {"TRUTH": str(log)})
        assert trace.status == 0, trace.stderr
        assert log.stat().st_uid == nobody
        assert len(trace.calls) == 1
    assert (trace.path.stat().st_uid, trace.path.stat().st_mode & 0o777) == (nobody, 0o600)

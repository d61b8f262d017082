"""Privilege: given back once the probes are in place, and never given to the traced program or to the trace file."""

import os
import pwd
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from funcrec.record.privilege import Capability
from tests.conftest import Program, Starter, funcrec, wait_until
from tests.toolchain import PROGRAMS, go_build

CALLER = 65534
UNDER_SUDO = {"SUDO_UID": str(CALLER), "SUDO_GID": str(CALLER)}


def hot() -> Path:
    return go_build(PROGRAMS / "hot")


def threads(pid: int) -> list[dict[str, str]]:
    """The status of every thread of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        found.append(dict(line.split(":\t", 1) for line in lines if ":\t" in line))
    return found


def capabilities(status: dict[str, str]) -> set[int]:
    """All that the thread has or could get."""
    word = int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapInh"], 16) | int(status["CapAmb"], 16)
    return {bit for bit in range(64) if word >> bit & 1}


@pytest.mark.parametrize("sudo", [False, True])
@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--exits", "ret"], {Capability.SYS_PTRACE}),
        ([], {Capability.SYS_PTRACE, Capability.BPF, Capability.PERFMON}),
        (["--max-overhead", "25%"], {Capability.SYS_PTRACE, Capability.BPF, Capability.PERFMON}),
    ],
)
def test_what_is_not_needed_any_more_is_given_back(
    start_recording: Starter,
    start_program: Callable[..., Program],
    sudo: bool,
    options: list[str],
    kept: set[Capability],
) -> None:
    program = start_program(hot(), "11", "2", "wait")
    assert program.read_line() == "ready"
    recording = start_recording(hot(), ["main.calm"], options=options, env=UNDER_SUDO if sudo else {})
    recording.wait_armed()
    program.proceed()
    assert program.read_line() == "done"
    recorder = recording.process.pid
    wait_until(
        lambda: {bit for each in threads(recorder) for bit in capabilities(each)} <= kept, "it has shed the rest"
    )
    running = threads(recorder)
    assert {bit for status in running for bit in capabilities(status)} == kept
    assert {status["NoNewPrivs"] for status in running if capabilities(status)} == {"1"}
    if sudo:
        assert {status["Uid"].split()[1] for status in running} == {str(CALLER)}
        assert {status["Groups"].strip() for status in running} == {str(CALLER)}
    recording.interrupt()
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    mine = [call["state"] for call in trace.calls if call["pid"] == program.pid]  # another test may run the same binary
    assert mine.count("returned") == 22
    program.proceed()
    assert program.finish() == 0


def test_the_guard_still_works_without_root(start_recording: Starter, start_program: Callable[..., Program]) -> None:
    program = start_program(hot(), "60001", "1", "wait")
    assert program.read_line() == "ready"
    recording = start_recording(
        hot(), ["main.outer", "main.hot*"], options=["--max-overhead", "1%", "-p", str(program.pid)], env=UNDER_SUDO
    )
    recording.wait_armed()
    program.proceed()
    assert program.read_line() == "done"
    recording.interrupt()
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    assert "no longer recording" in trace.stderr
    assert sum(call["func"] == "main.outer" for call in trace.calls) == 1
    program.proceed()
    assert program.finish() == 0


def test_a_launched_program_is_the_callers(start_recording: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs as the sudo caller, with nothing of root's, and still gets signals that the recorder passes on."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("KEPT", "as it is")
    recording = start_recording(
        hot(), ["main.outer"], launch_args=["1", "1", "wait"], env=UNDER_SUDO, stdin=subprocess.PIPE
    )
    assert recording.process.stdout is not None
    assert recording.process.stdin is not None
    assert recording.process.stdout.readline() == "ready\n"
    children = Path(f"/proc/{recording.process.pid}/task/{recording.process.pid}/children").read_text().split()
    (program,) = [int(pid) for pid in children if os.path.samefile(f"/proc/{pid}/exe", hot())]
    seen = threads(program)
    environment = Path(f"/proc/{program}/environ").read_bytes()
    recording.interrupt()
    trace = recording.finish()
    recording.process.stdin.close()
    assert trace.status in (2, 128 + signal.SIGINT), trace.stderr
    for status in seen:
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(CALLER)}
        assert status["Groups"].strip() == str(CALLER)
        assert not capabilities(status)
        assert status["NoNewPrivs"].strip() == "0"
    names = {word.partition(b"=")[0] for word in environment.split(b"\0")}
    assert not [name for name in names if name.startswith(b"SUDO_")]
    assert b"OPENBLAS_NUM_THREADS" not in names
    caller = pwd.getpwuid(CALLER)
    for variable in (f"HOME={caller.pw_dir}", f"USER={caller.pw_name}", f"LOGNAME={caller.pw_name}", "KEPT=as it is"):
        assert variable.encode() in environment.split(b"\0")
    file = trace.path.stat()
    assert (file.st_uid, file.st_gid, stat.S_IMODE(file.st_mode)) == (CALLER, CALLER, 0o600)


@pytest.mark.parametrize("what", ["link", "dangling", "folder", "pipe"])
def test_the_output_is_a_file_of_our_own(require_bpf: None, tmp_path: Path, what: str) -> None:
    path, victim = tmp_path / "trace.zst", tmp_path / "victim"
    if what == "link":
        victim.write_text("precious")
    if what in ("link", "dangling"):
        path.symlink_to(victim)
    elif what == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    done = funcrec("record", "-u", "main.outer", hot(), "-o", path, "--", "1", "1", check=False)
    assert done.returncode == 1
    assert "is not a regular file" in done.stderr
    assert victim.exists() == (what == "link")
    assert what != "link" or victim.read_text() == "precious"
    assert not path.with_name("trace.zst.old").exists()

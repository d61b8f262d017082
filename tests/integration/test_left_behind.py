"""However a recording ends, it leaves no probe, stops nobody, and what it wrote can be read."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from funcrec.record.strays import breakpoints
from tests.conftest import FUNCREC, LIMIT_S, Program, Starter, funcrec, probes, wait_until
from tests.soak import kills


def test_random_kills(require_bpf: None) -> None:
    """A little of `make soak`."""
    kills.run(3, seed=20)


@pytest.mark.slow
def test_many_random_kills(require_bpf: None) -> None:
    kills.run(25, seed=21)


def test_ctrl_c_twice_ends_the_recording_and_not_the_program(start_recording: Starter, hot: Path) -> None:
    recording = start_recording(hot, ["main.outer"], launch_args=["1", "1", "stubborn"], stdin=subprocess.PIPE)
    assert recording.process.stdout is not None
    assert recording.process.stdin is not None
    assert recording.process.stdout.readline() == "ready\n"
    children = Path(f"/proc/{recording.process.pid}/task/{recording.process.pid}/children").read_text().split()
    (program,) = [int(pid) for pid in children if os.path.samefile(f"/proc/{pid}/exe", hot)]
    try:
        recording.interrupt()
        wait_until(lambda: not _signals_pending(recording.process.pid), "the first is answered")
        recording.interrupt()
        wait_until(lambda: not probes(program, hot), "the probes are gone")
        wait_until(lambda: _orphaned(program, recording.process.pid), "the recorder has ended")
        assert not _stopped(program)
        assert funcrec("info", recording.path, "--check").returncode == 0
    finally:
        os.kill(program, signal.SIGKILL)
        recording.process.stdin.close()
    trace = recording.finish()
    assert "Traceback" not in trace.stderr
    assert "funcrec report" in trace.stderr


@pytest.mark.parametrize("ending", [False, True], ids=["arming", "disarming"])
def test_killed_while_probes_come_and_go(
    start_recording: Starter, start_program: Callable[..., Program], hot: Path, ending: bool
) -> None:
    """The kernel does not take back what a task does that is being killed."""
    program = start_program(hot, "20", "2", "forever")
    assert program.read_line() == "ready"
    program.proceed()
    for number in range(2):
        recording = start_recording(hot, ["*"], options=["--max-overhead", "off"], name=f"{number}.zst")
        while not probes(program.pid, hot):
            assert recording.process.poll() is None
        if ending:
            recording.wait_armed()
            armed = len(probes(program.pid, hot))
            recording.interrupt()
            while len(probes(program.pid, hot)) == armed:
                assert recording.process.poll() is None
        recording.interrupt(signal.SIGKILL)
        recording.process.communicate()
        wait_until(lambda: not probes(program.pid, hot), "the probes are gone")
    program.process.kill()


def test_breakpoints_of_a_recorder_that_was_killed_as_a_group_go_with_the_next_one(
    start_recording: Starter, start_program: Callable[..., Program], hot: Path
) -> None:
    """All of its processes at one moment of arming, as a control group is killed: the kernel may leave breakpoints."""
    program = start_program(hot, "20", "2", "forever")
    assert program.read_line() == "ready"
    program.proceed()
    for number in range(3):
        mark = f"{hot}-{number}"
        name = f"{number}.zst"
        recording = start_recording(hot, ["*"], options=["-p", str(program.pid)], env={kills.MARK: mark}, name=name)
        while not probes(program.pid, hot):
            assert recording.process.poll() is None
        kills.kill_all(mark)
        recording.process.communicate()
        wait_until(lambda mark=mark: not kills.marked(mark), "all are gone")
        if breakpoints(program.pid, str(hot)):
            break
    left = len(breakpoints(program.pid, str(hot)))
    assert left == len(probes(program.pid, hot))
    after = start_recording(hot, ["main.outer"], options=["-p", str(program.pid), "--duration", "1ms"]).finish()
    assert after.status == 0, after.stderr
    assert not probes(program.pid, hot)
    assert (f"{left} breakpoints in pid {program.pid} that nobody held are gone" in after.stderr) == (left > 0)
    assert program.process.poll() is None
    program.process.kill()


def test_breakpoints_of_others_stay(start_recording: Starter, start_program: Callable[..., Program], hot: Path) -> None:
    program = start_program(hot, "20", "2", "forever")
    assert program.read_line() == "ready"
    first = start_recording(hot, ["main.*"], options=["-p", str(program.pid)], name="first.zst")
    first.wait_armed()
    held = probes(program.pid, hot)
    assert set(breakpoints(program.pid, str(hot))) == held
    options = ["-p", str(program.pid), "--duration", "1ms"]
    second = start_recording(hot, ["main.outer"], options=options, name="second.zst").finish()
    assert "that nobody held" not in second.stderr
    assert probes(program.pid, hot) == held
    first.interrupt()
    assert first.finish().status == 0
    assert not probes(program.pid, hot)
    program.process.kill()


def test_a_launched_program_outlives_its_recorder(start_recording: Starter, hot: Path) -> None:
    recording = start_recording(hot, ["main.outer"], launch_args=["1", "1", "wait"], stdin=subprocess.PIPE)
    assert recording.process.stdout is not None
    assert recording.process.stdin is not None
    assert recording.process.stdout.readline() == "ready\n"
    children = Path(f"/proc/{recording.process.pid}/task/{recording.process.pid}/children").read_text().split()
    (program,) = [int(pid) for pid in children if os.path.samefile(f"/proc/{pid}/exe", hot)]
    recording.interrupt(signal.SIGKILL)
    wait_until(lambda: not probes(program, hot), "the probes are gone")
    recording.process.stdin.write("go\n")
    recording.process.stdin.flush()
    assert recording.process.stdout.readline() == "done\n"
    recording.process.stdin.close()
    recording.finish()


def test_a_full_disk(require_bpf: None, start_program: Callable[..., Program], tmp_path: Path, hot: Path) -> None:
    """A file size limit stands for it: the write that does not fit fails after a part of it was written."""
    program = start_program(hot, "20", "2", "forever")
    assert program.read_line() == "ready"
    program.proceed()
    path = tmp_path / "trace.zst"
    recorder = ["record", "-u", "main.*", "-p", str(program.pid), "--max-overhead", "off", "-o", path, hot]
    done = funcrec(*recorder, check=False, prefix=["prlimit", "--fsize=400000"], stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert f"writing {path} failed" in done.stderr
    assert "make room" in done.stderr
    assert not probes(program.pid, hot)
    assert program.process.poll() is None
    told = funcrec("report", path, "--format", "jsonl", check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("\n") > 100
    program.process.kill()


def test_the_next_recording_after_a_kill_is_whole(
    start_recording: Starter, start_program: Callable[..., Program], hot: Path
) -> None:
    program = start_program(hot, "20", "2", "forever")
    assert program.read_line() == "ready"
    program.proceed()
    first = start_recording(hot, ["main.*"], name="first.zst")
    wait_until(lambda: bool(probes(program.pid, hot)), "probes are in place")
    first.interrupt(signal.SIGKILL)
    second = start_recording(hot, ["main.*"], options=["--duration", "300ms"], name="second.zst").finish()
    assert second.status == 0, second.stderr
    assert funcrec("info", second.path, "--check").returncode == 0
    assert second.info["calls"] > 0
    assert {call["state"] for call in second.calls} <= {"returned", "open"}
    wait_until(lambda: not probes(program.pid, hot), "the probes are gone")
    program.process.kill()


def test_two_recorders_on_one_binary(
    start_recording: Starter, start_program: Callable[..., Program], hot: Path
) -> None:
    """Each has its own sites, sees every call of them, and goes without the other."""
    program = start_program(hot, "307", "2", "wait")
    assert program.read_line() == "ready"
    pid = ["-p", str(program.pid)]
    both = [
        start_recording(hot, patterns, options=pid, name=f"{number}.zst")
        for number, patterns in enumerate([["main.outer", "main.calm", "main.hot7"], ["main.calm", "main.within"]])
    ]
    for recording in both:
        wait_until(lambda recording=recording: "recording" in recording.said, "it records")
    program.proceed()
    assert program.read_line() == "done"
    both[0].interrupt()
    first = both[0].finish()
    wait_until(lambda: bool(probes(program.pid, hot)), "the other's probes are still there")
    both[1].interrupt()
    second = both[1].finish()
    assert not probes(program.pid, hot)
    program.proceed()
    assert program.finish() == 0
    for trace, expected in [
        (first, {"main.outer": 2, "main.calm": 614, "main.hot7": 614}),
        (second, {"main.calm": 614, "main.within": 614}),
    ]:
        found: dict[str, int] = {}
        for call in trace.calls:
            assert call["state"] == "returned"
            found[call["func"]] = found.get(call["func"], 0) + 1
        assert found == expected


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"


def _signals_pending(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return any(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("ShdPnd:"))


def _orphaned(pid: int, parent: int) -> bool:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) != parent


def test_a_kill_before_the_program_was_started_ends_what_waits(require_bpf: None, tmp_path: Path, hot: Path) -> None:
    """The child that waits to become the program must not wait for ever."""
    recorder = subprocess.Popen(
        [FUNCREC, "record", "-u", "main.*", hot, "-o", tmp_path / "trace.zst", "--", "1", "1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {kills.MARK: str(tmp_path)},
    )
    wait_until(lambda: len(kills.marked(str(tmp_path))) > 1, "it has children")
    recorder.kill()
    recorder.wait(LIMIT_S)
    wait_until(lambda: not kills.marked(str(tmp_path)), "nothing is left")


def test_under_nohup_a_hangup_ends_nothing(
    require_bpf: None, start_program: Callable[..., Program], tmp_path: Path, hot: Path
) -> None:
    program = start_program(hot, "20", "2", "forever")
    assert program.read_line() == "ready"
    path = tmp_path / "trace.zst"
    command = ["nohup", FUNCREC, "record", "-u", "main.outer", "-p", str(program.pid), "-o", path, hot]
    with (tmp_path / "said").open("w") as said:
        recorder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
    wait_until(lambda: "recording" in (tmp_path / "said").read_text(), "it records")
    recorder.send_signal(signal.SIGHUP)
    program.proceed()
    wait_until(lambda: path.stat().st_size > 4096 or recorder.poll() is not None, "it has written")
    assert recorder.poll() is None
    recorder.terminate()
    assert recorder.wait(LIMIT_S) == 0
    assert funcrec("info", path, "--check").returncode == 0
    program.process.kill()

"""Processes that the recorder sees from outside: other roots, other namespaces, files that are gone or replaced."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from funcrec.record.attach import Way
from tests import truth
from tests.conftest import Program, RecordedTrace, Starter, force_way, funcrec, probes, wait_until
from tests.integration.scenarios import own_workload, patterns, workload

CONTAINER = "0123456789abcdef" * 4
WAYS = [Way.MULTI, Way.TRACEFS, pytest.param(Way.PERF, marks=pytest.mark.slow)]


class Contained(Program):
    """A program in a root of its own; its log lies there, too."""


@pytest.fixture
def contain(require_bpf: None) -> Iterator[Callable[..., Contained]]:
    """Start the workload as `/srv/app` of a root, behind a command such as `unshare ...`."""
    started: list[Contained] = []

    def start(root: Path, command: list[str]) -> Contained:
        name = f"truth{len(started)}"
        process = subprocess.Popen(
            [*command, "/srv/app", "attach"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"TRUTH": f"/{name}"},
        )
        started.append(Contained(process, root / name))
        assert started[-1].read_line() == "ready"
        return started[-1]

    yield start
    for program in started:
        program.process.kill()
        program.process.communicate()


def image(folder: Path) -> Path:
    """A root with nothing but the program."""
    (folder / "srv").mkdir(parents=True)
    shutil.copy(workload(), folder / "srv" / "app")
    return folder


def inner_pid(program: Program) -> int:
    """The program's pid as we see it: its own, or that of the last child of what started it."""
    pid = program.pid
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid


def finish(recording_of: list[Program], trace: RecordedTrace, pids: list[int]) -> None:
    """Each program's calls are those of its own log, and there are no others."""
    assert trace.status == 0, trace.stderr
    assert {call["pid"] for call in trace.calls} == set(pids)
    for program, pid in zip(recording_of, pids, strict=True):
        rows = [row for row in truth.read_truth(program.truth_path) if row["func"] != "main.held"]
        mine = [call for call in trace.calls if call["pid"] == pid]
        assert sorted(call["func"] for call in mine) == sorted(row["func"] for row in rows)
        assert {call["state"] for call in mine} == {"returned"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("namespaces", [[], ["--mount", "--pid", "--fork"]])
def test_a_root_of_its_own(
    start_recording: Starter,
    contain: Callable[..., Contained],
    tmp_path: Path,
    namespaces: list[str],
    way: Way,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    force_way(way, monkeypatch)
    root = image(tmp_path / "root")
    program = contain(root, ["unshare", *namespaces, f"--root={root}"])
    pid = inner_pid(program)
    # The path as the container has it: nothing is there outside.
    recording = start_recording(Path("/srv/app"), patterns("attach"), options=["-p", str(pid)])
    recording.wait_armed()
    program.proceed()
    assert program.finish() == 0
    trace = recording.finish()
    assert f"as pid {pid} has it, in a root of its own" in trace.stderr
    finish([program], trace, [pid])


@pytest.mark.parametrize("way", WAYS)
def test_two_containers_of_one_image(
    start_recording: Starter,
    contain: Callable[..., Contained],
    tmp_path: Path,
    way: Way,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each has an overlay of its own over the same lower folder; a third one is not recorded."""
    force_way(way, monkeypatch)
    lower = image(tmp_path / "image")
    programs = []
    for name in ("one", "two", "three"):
        folder = tmp_path / name
        for part in ("upper", "work", "merged"):
            (folder / part).mkdir(parents=True)
        options = f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work"
        mount = f'mount -t overlay overlay -o {options} {folder}/merged && exec chroot {folder}/merged "$@"'
        try:
            programs.append(
                contain(folder / "upper", ["unshare", "--mount", "--pid", "--fork", "sh", "-c", mount, "sh"])
            )
        except AssertionError:
            pytest.skip("no overlay can be mounted here")
    pids = [inner_pid(program) for program in programs]
    recording = start_recording(Path("/srv/app"), patterns("attach"), options=["-p", str(pids[0]), "-p", str(pids[1])])
    recording.wait_armed()
    for program in programs:
        program.proceed()
        assert program.finish() == 0
    finish(programs[:2], recording.finish(), pids[:2])


@pytest.mark.parametrize("became", ["deleted", "replaced"])
def test_a_file_that_is_not_there_any_more(
    start_recording: Starter, start_program: Callable[..., Program], tmp_path: Path, became: str
) -> None:
    binary = own_workload(tmp_path)
    program = start_program(binary, "attach")
    assert program.read_line() == "ready"
    if became == "replaced":
        new = binary.with_name("new")
        shutil.copy(workload(variant="unoptimised"), new)
        new.rename(binary)
    else:
        binary.unlink()
    recording = start_recording(binary, patterns("attach"), options=["-p", str(program.pid)])
    recording.wait_armed()
    program.proceed()
    assert program.finish() == 0
    trace = recording.finish()
    assert f"as it was before it was {became}: that is recorded" in trace.stderr
    finish([program], trace, [program.pid])
    assert str(binary) in funcrec("info", trace.path).stdout


def test_a_deploy_while_recording_is_said_and_not_mixed_in(
    start_recording: Starter, start_program: Callable[..., Program], tmp_path: Path
) -> None:
    binary = own_workload(tmp_path)
    old = start_program(binary, "attach")
    assert old.read_line() == "ready"
    recording = start_recording(binary, patterns("attach"))
    recording.wait_armed()
    shutil.copy(workload(variant="unoptimised"), tmp_path / "new")
    (tmp_path / "new").rename(binary)
    wait_until(lambda: "the executable was replaced" in recording.said, "it is said")
    new = start_program(binary, "attach")
    assert new.read_line() == "ready"
    assert not probes(new.pid, binary)
    for program in (new, old):
        program.proceed()
        assert program.finish() == 0
    recording.interrupt()
    trace = recording.finish()
    finish([old], trace, [old.pid])
    assert "the executable was replaced" in funcrec("info", trace.path).stdout


@pytest.fixture
def cgroup() -> Iterator[Callable[[str], Path]]:
    """Make a control group of a path, in whichever hierarchy can be written."""
    made: list[Path] = []

    def make(name: str) -> Path:
        roots = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*")]
        for root in roots:
            if not (root / "cgroup.procs").exists():
                continue
            folder = root
            try:
                for part in name.split("/"):
                    folder /= part
                    folder.mkdir()
                    made.append(folder)
            except OSError:
                continue
            return folder
        pytest.skip("no control group can be made here")

    yield make
    for folder in reversed(made):
        wait_until(lambda folder=folder: not (folder / "cgroup.procs").read_text(), "the group is empty")
        folder.rmdir()


@pytest.mark.parametrize(
    ("group", "word"),
    [
        ("funcrec-test.service", "funcrec-test.service"),
        ("funcrec-test.service", "funcrec-test"),
        (f"docker-{CONTAINER}.scope", CONTAINER[:12]),
        (f"funcrec-pod/cri-containerd-{CONTAINER}.scope", CONTAINER),
        (f"funcrec-docker/{CONTAINER}", CONTAINER[:20]),
    ],
)
def test_a_unit_or_container(
    start_recording: Starter,
    start_program: Callable[..., Program],
    cgroup: Callable[[str], Path],
    tmp_path: Path,
    group: str,
    word: str,
) -> None:
    binary = own_workload(tmp_path)
    inside, outside = (start_program(binary, "attach") for _ in range(2))
    sidecar = subprocess.Popen(["sleep", "60"])  # of the same unit, but another program
    try:
        folder = cgroup(group)
        for pid in (inside.pid, sidecar.pid):
            (folder / "cgroup.procs").write_text(str(pid))
        assert inside.read_line() == outside.read_line() == "ready"
        recording = start_recording(binary, patterns("attach"), options=["-p", word])
        recording.wait_armed()
        for program in (inside, outside):
            program.proceed()
            assert program.finish() == 0
        finish([inside], recording.finish(), [inside.pid])
    finally:
        sidecar.kill()
        sidecar.wait()


def test_a_process_name(start_recording: Starter, start_program: Callable[..., Program], tmp_path: Path) -> None:
    binary = own_workload(tmp_path).rename(tmp_path / "a-name-of-its-own")
    programs = [start_program(binary, "attach") for _ in range(2)]
    assert {program.read_line() for program in programs} == {"ready"}
    recording = start_recording(binary, patterns("attach"), options=["-p", binary.name])
    recording.wait_armed()
    for program in programs:
        program.proceed()
        assert program.finish() == 0
    finish(programs, recording.finish(), [program.pid for program in programs])


@pytest.mark.parametrize(
    ("word", "status", "says"),
    [
        ("no-such-process-anywhere", 4, "no process, systemd unit or container is called 'no-such-process-anywhere'"),
        ("0", 2, "'0' is not a pid"),
        ("999999999", 4, "no process has pid 999999999"),
        ("sleep-of-the-test", 4, "no process of 'sleep-of-the-test' runs"),
        ("1", 4, "process 1 "),
    ],
)
def test_what_cannot_be_recorded(require_bpf: None, tmp_path: Path, word: str, status: int, says: str) -> None:
    other = Path(shutil.copy("/bin/sleep", tmp_path / "sleep-of-the-test"))
    sleeping = subprocess.Popen([other, "60"])
    try:
        done = funcrec("record", "-u", "main.*", own_workload(tmp_path), "-p", word, check=False, cwd=tmp_path)
    finally:
        sleeping.kill()
        sleeping.wait()
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "try: " in done.stderr


def test_a_recorder_in_a_pid_namespace(require_bpf: None, tmp_path: Path) -> None:
    """It knows processes by the numbers of its own namespace, as the log does, and records nothing from outside."""
    path, log = tmp_path / "trace.zst", tmp_path / "log"
    outside = subprocess.Popen([workload(), "attach"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    done = funcrec(
        *(
            "record",
            *(word for name in patterns("recursion") for word in ("-u", name)),
            "-o",
            path,
            workload(),
            "--",
            "recursion",
        ),
        prefix=["unshare", "--pid", "--fork", "--mount-proc"],
        env=os.environ | {"TRUTH": str(log)},
    )
    outside.communicate("\n")
    trace = RecordedTrace(path, 0, done.stdout, done.stderr, log)
    truth.check(trace.calls, trace.truth, trace.base_ns)
    assert {call["pid"] for call in trace.calls} == {row["pid"] for row in trace.truth} < set(range(2, 100))


def test_a_pid_namespace_with_the_processes_of_another(tmp_path: Path) -> None:
    done = funcrec(
        *("record", "-u", "main.*", "-o", tmp_path / "trace.zst", workload(), "--", "recursion"),
        check=False,
        prefix=["unshare", "--pid", "--fork"],
    )
    assert done.returncode == 3
    assert "mount -t proc proc /proc" in done.stderr

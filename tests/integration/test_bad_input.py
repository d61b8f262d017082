"""What goes wrong is told in two lines, with the documented exit code, before anything is touched."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import FUNCREC, Recorder, Starter, funcrec, wait_until
from tests.integration.scenarios import own_workload, patterns, workload


def _fails(code: int, *arguments: str | Path, word: str = "", **options: object) -> str:
    done = funcrec(*arguments, check=False, **options)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("funcrec: ")
    assert lines[1].startswith("  try: ")
    assert word in done.stderr
    return done.stderr


@pytest.fixture(params=["list", "record"])
def command(request: pytest.FixtureRequest) -> str:
    if request.param == "record":
        request.getfixturevalue("require_bpf")
    return str(request.param)


def test_no_match_shows_near_names(command: str, tmp_path: Path) -> None:
    said = _fails(4, command, "-u", "main.descnd", workload(), word="main.descnd", cwd=tmp_path)
    assert "main.descend" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\nexit 0\n", b"\x7fELF", b"\x7fELF" + bytes(1000)])
def test_not_elf(command: str, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    file.chmod(0o755)
    _fails(4, command, "-u", "main.*", file, word=str(file))


def test_not_go(command: str) -> None:
    _fails(4, command, "-u", "main.*", "/bin/ls", word="/bin/ls")


def test_no_such_binary(command: str, tmp_path: Path) -> None:
    _fails(4, command, "-u", "main.*", tmp_path / "missing", word="missing")
    _fails(4, command, "-u", "main.*", tmp_path, word=str(tmp_path))


def test_no_such_pid(require_bpf: None, tmp_path: Path) -> None:
    highest = int(Path("/proc/sys/kernel/pid_max").read_text())
    _fails(4, "record", "-u", "main.*", workload(), "-p", str(highest), word=str(highest), cwd=tmp_path)


def test_pid_of_another_program(require_bpf: None, tmp_path: Path) -> None:
    _fails(4, "record", "-u", "main.*", workload(), "-p", str(os.getpid()), cwd=tmp_path)


@pytest.mark.parametrize("option", [["--duration", "10"], ["--duration", "x"], ["--buffer", "3 apples"]])
def test_bad_units(option: list[str], tmp_path: Path) -> None:
    _fails(2, "record", "-u", "main.*", workload(), *option, cwd=tmp_path)


def test_unwritable_output(require_bpf: None, tmp_path: Path) -> None:
    output = tmp_path / "no" / "such" / "folder.zst"
    _fails(1, "record", "-u", "main.cleanup", workload(), "-o", output, "--", "status", "0", word=str(output))


def test_no_privilege(tmp_path: Path) -> None:
    powerless = ["unshare", "--user", "--map-root-user"] if os.geteuid() == 0 else []
    binary = workload()
    _fails(3, "record", "-u", "main.cleanup", binary, "--", "status", "0", prefix=powerless, cwd=tmp_path)


def test_disk_full(start_recording: Starter, tmp_path: Path) -> None:
    """A limit of the file size stands for a full disk: the same error from the same call."""
    limited = tmp_path / "limited"
    limited.write_text(
        "import os, resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (524288, 524288))\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    output = tmp_path / "trace.zst"
    words = [
        "record",
        "-u",
        "main.tick",
        str(workload()),
        "-o",
        str(output),
        "--max-overhead",
        "off",
        "--",
        "flood",
        "300007",
    ]
    done = subprocess.run(
        [FUNCREC.with_name("python"), limited, FUNCREC, *words],
        capture_output=True,
        text=True,
        env=os.environ | {"TRUTH": os.devnull},
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-2].startswith(f"funcrec: writing {output}")
    assert done.stderr.splitlines()[-1].startswith("  try: ")
    calls = funcrec("report", output, "--format", "jsonl").stdout.splitlines()
    assert calls


@pytest.fixture
def trace(record: Recorder) -> Path:
    return record(workload(), patterns("panics"), launch_args=["panics"]).path


def test_truncated_file_gives_what_is_whole(trace: Path) -> None:
    whole = funcrec("report", trace, "--format", "jsonl").stdout
    content = trace.read_bytes()
    for size in (len(content) - 1, len(content) * 3 // 4, len(content) // 2):
        trace.write_bytes(content[:size])
        done = funcrec("report", trace, "--format", "jsonl", check=False)
        assert done.returncode in (0, 5), done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stdout) <= len(whole)
        assert funcrec("report", trace, "--strict", check=False).returncode in (3, 5)


@pytest.mark.parametrize("content", [b"", b"text\n", b"\x28\xb5\x2f\xfd", bytes(5000), b"\x7fELF" + bytes(100)])
def test_foreign_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "foreign.zst"
    file.write_bytes(content)
    for view in ("report", "info"):
        _fails(5, view, file, word=str(file))


def test_no_such_trace(tmp_path: Path) -> None:
    for view in ("report", "info"):
        _fails(5, view, tmp_path / "missing.zst", word="missing.zst")


@pytest.mark.parametrize(
    "options",
    [
        ["--min", "1"],
        ["--min", "fast"],
        ["-G", "x"],
        ["-F", "main.nosuch*"],
        ["-N", "main.nosuch*"],
        ["-H", "main.nosuch*"],
        ["-C", "main.nosuch*"],
        ["-D", "x"],
        ["-r", "yesterday"],
        ["--where", "dur >"],
        ["--where", "nosuch > 1"],
        ["--where", "func > 1"],
        ["-f", "nosuch"],
    ],
    ids=" ".join,
)
def test_unusable_filters(trace: Path, options: list[str]) -> None:
    done = funcrec("report", trace, *options, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_filter_that_matches_nothing_says_so(trace: Path) -> None:
    done = funcrec("report", trace, "--min", "1h")
    assert "0 of " in done.stderr


def test_a_closed_pipe_is_no_failure(trace: Path) -> None:
    report = subprocess.Popen([FUNCREC, "report", trace], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert report.stdout is not None
    report.stdout.close()
    _, stderr = report.communicate(timeout=60)
    assert stderr == b"" or b"Traceback" not in stderr
    assert report.returncode == 0


@pytest.mark.parametrize("background", [False, True])
def test_ctrl_c_during_set_up_leaves_nothing(start_recording: Starter, tmp_path: Path, background: bool) -> None:
    """Also when a shell has put the recorder into the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if background else signal.SIG_DFL)
    recording = start_recording(own_workload(tmp_path), ["main.*", "runtime.*"])
    signal.signal(signal.SIGINT, before)
    children = Path(f"/proc/{recording.process.pid}/task/{recording.process.pid}/children")
    wait_until(lambda: bool(children.read_text().split()), "the set-up has begun")
    compiler = children.read_text().split()
    recording.interrupt(signal.SIGINT)
    trace = recording.finish()
    assert trace.status in (0, 130), trace.stderr
    assert "Traceback" not in trace.stderr
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in compiler), "the compiler is gone")

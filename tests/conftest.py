"""Fixtures of all tests: a recording of a real program, made by the command line as a user would."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import IO, Any

import pytest

from tests import consumers, truth
from tests.toolchain import PROGRAMS, go_build

FUNCREC = Path(sys.executable).with_name("funcrec")
# Programs that nobody here wrote take minutes to build: `make test-real` has them.
collect_ignore = [] if os.environ.get("FUNCREC_REAL") == "1" else ["real"]
LIMIT_S = 120  # no single recording or view takes longer, short of a hang


def funcrec(
    *arguments: str | Path, check: bool = True, prefix: Sequence[str] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end.

    Args:
        arguments: of the command.
        check: fail the test when the exit status is not 0.
        prefix: a command that runs it, such as `setpriv ...`.
        options: for `subprocess.run`.
    """
    command = [*prefix, str(FUNCREC), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, **options)
    if check:
        assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def force_way(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have recordings attach in one way; skip the test where this kernel or mount does not have it."""
    from funcrec.record.attach import Way
    from funcrec.record.ways import FORCE, attempt

    if attempt(Way(way)):
        pytest.skip(f"no {way} here")
    monkeypatch.setenv(FORCE, way)


@dataclass(frozen=True)
class RecordedTrace:
    """One finished recording: the file, what the recorder said, and what the program logged."""

    path: Path
    status: int
    stdout: str
    stderr: str
    truth_path: Path

    @cached_property
    def calls(self) -> list[dict[str, Any]]:
        """Every call, as `report --format jsonl` prints it."""
        return self.report()

    @cached_property
    def info(self) -> dict[str, Any]:
        """What `info --format json` prints."""
        return json.loads(funcrec("info", self.path, "--format", "json").stdout)

    @cached_property
    def truth(self) -> list[dict[str, Any]]:
        """What the program logged about its calls."""
        return truth.read_truth(self.truth_path)

    @cached_property
    def base_ns(self) -> int:
        """The monotonic time from which `start_ns` counts."""
        from funcrec.trace.reader import TraceReader

        with self.path.open("rb") as file:
            return TraceReader(file).header.clock.monotonic_ns

    def report(self, *options: str) -> list[dict[str, Any]]:
        """Calls under filters, as `report --format jsonl` prints them."""
        printed = funcrec("report", self.path, "--format", "jsonl", *options).stdout
        return [json.loads(line) for line in printed.splitlines()]

    def check(self, rows: list[dict[str, Any]] | None = None) -> None:
        """Compare all calls with the program's own log, or with those rows of it."""
        truth.check(self.calls, self.truth if rows is None else rows, self.base_ns)


@dataclass
class Recording:
    """A recorder that is running; `finish` gives the trace."""

    process: subprocess.Popen[str]
    path: Path
    truth_path: Path
    listener: threading.Thread = field(init=False)
    _said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    @property
    def said(self) -> str:
        """What the recorder has said so far."""
        return "".join(self._said)

    def wait_armed(self) -> None:
        """Wait until the recorder says that the probes are in place."""
        wait_until(lambda: "funcrec: recording " in self.said or self.process.poll() is not None, "it records")
        assert self.process.poll() is None, f"the recorder ended: {self.said}"

    def _listen(self) -> None:
        """Collect what the recorder says while it runs."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said.append(line)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal to the recorder alone."""
        self.process.send_signal(number)

    def finish(self) -> RecordedTrace:
        """Wait for the recorder's end."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        killer = threading.Timer(LIMIT_S, self.process.kill)
        killer.start()
        stdout = self.process.stdout.read() if not self.process.stdout.closed else ""
        self.listener.join()
        self.process.wait()
        killer.cancel()
        self.process.stdout.close()
        self.process.stderr.close()
        return RecordedTrace(self.path, self.process.returncode, stdout, self.said, self.truth_path)


Starter = Callable[..., Recording]
Recorder = Callable[..., RecordedTrace]


@pytest.fixture
def start_recording(require_bpf: None, tmp_path: Path) -> Iterator[Starter]:
    """Start `funcrec record` in the background; see `record` for the arguments."""
    started: list[Recording] = []

    def start(
        binary: Path,
        patterns: Sequence[str],
        *,
        launch_args: Sequence[str] | None = None,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        stdin: int | IO[str] = subprocess.DEVNULL,
        name: str = "trace.zst",
    ) -> Recording:
        path, truth_path = tmp_path / name, tmp_path / f"{name}.truth"
        wildcards = [part for pattern in patterns for part in ("-u", pattern)]
        command = [str(FUNCREC), "record", *wildcards, str(binary), "-o", str(path)]
        # Floods are meant here: no guard unless a test asks for it.
        command += ["--max-overhead", "off", *options]
        if launch_args is not None:
            command += ["--", *launch_args]
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TRUTH": str(truth_path)} | dict(env or {}),
            cwd=tmp_path,
        )
        started.append(Recording(process, path, truth_path))
        return started[-1]

    yield start
    for recording in started:
        if recording.process.poll() is None:
            recording.process.send_signal(signal.SIGCONT)
            recording.process.kill()
        recording.finish()


@pytest.fixture
def record(start_recording: Starter) -> Recorder:
    """Record a program to its end.

    The function takes: binary, patterns (each for one -u), launch_args (what stands after `--`; None launches nothing),
    options (more words for `record`), env (for recorder and program), stdin, name (of the trace file).
    """

    def run(binary: Path, patterns: Sequence[str], **arguments: Any) -> RecordedTrace:
        return start_recording(binary, patterns, **arguments).finish()

    return run


@dataclass
class Program:
    """A program that a test started by itself, to be recorded from outside."""

    process: subprocess.Popen[str]
    truth_path: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def read_line(self) -> str:
        """Wait for a line of its standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def proceed(self) -> None:
        """Give it the line that it waits for."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def finish(self) -> int:
        """Wait for its end and return its exit status."""
        self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode


@pytest.fixture
def start_program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start a program without a recorder: binary, then its arguments."""
    started: list[Program] = []

    def start(binary: Path, *arguments: str) -> Program:
        truth_path = tmp_path / f"program{len(started)}.truth"
        process = subprocess.Popen(
            [binary, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TRUTH": str(truth_path)},
        )
        started.append(Program(process, truth_path))
        return started[-1]

    yield start
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
        program.process.communicate()


@pytest.fixture
def hot(tmp_path: Path) -> Path:
    """The program `hot` for one test alone: no other test records it, or sees probes in it."""
    return Path(shutil.copy(go_build(PROGRAMS / "hot"), tmp_path / "hot"))


def probes(pid: int, binary: Path) -> set[int]:
    """Return the file offsets at which the text of a process differs from its file: the breakpoints in it."""
    text = binary.read_bytes()
    found: set[int] = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, permissions, offset, _, inode, *_ = line.split()
            if "x" not in permissions or int(inode) != binary.stat().st_ino:
                continue
            low, high = (int(address, 16) for address in span.split("-"))
            start = int(offset, 16)
            memory.seek(low)
            now = memory.read(high - low)
            before = text[start : start + len(now)]
            if now[: len(before)] != before:
                found |= {start + i for i, (a, b) in enumerate(zip(now, before, strict=False)) if a != b}
    return found


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll a condition of another process that announces itself in no other way."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.005)


@cache
def _bpf_obstacle() -> str:
    """Why this machine cannot record, "" when it can."""
    done = funcrec("doctor", check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(scope="session")
def require_bpf() -> None:
    """Skip where nothing can be recorded; FUNCREC_REQUIRE_BPF=1 makes that a failure."""
    obstacle = _bpf_obstacle()
    if not obstacle:
        return
    if os.environ.get("FUNCREC_REQUIRE_BPF") == "1":
        pytest.fail(f"FUNCREC_REQUIRE_BPF is set, but this machine cannot record:\n{obstacle}")
    pytest.skip("this machine cannot record: see `funcrec doctor`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that record, so that `make test-bpf` finds them."""
    for item in items:
        if "require_bpf" in getattr(item, "fixturenames", ()):
            item.add_marker("bpf")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=consumers.chromium(), args=list(consumers.CHROMIUM_FLAGS))
        yield running
        running.close()

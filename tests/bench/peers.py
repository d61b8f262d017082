"""Other tools on the same work in the same run: what a traced call costs, how soon they trace, how fast they replay.

A tool that is not installed, or that cannot trace here, is left out and named with its reason.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from funcrec.target.executable import Executable
from tests.bench.large import write_large
from tests.bench.recording import FUNCREC
from tests.bench.reporting import cpu_of
from tests.bench.target import HotProgram
from tests.toolchain import CACHE, DEFAULT, go_environment, go_tool

Row = tuple[str, float, str]
_DELVE = "github.com/go-delve/delve/cmd/dlv@v1.27.2"
_FUNCTION = "main.framed"
_CALLS = 2000
_ROUNDS = 3
_PATIENCE_S = 10.0
_REPLAYED = 1_200_000  # calls


@dataclass(frozen=True)
class _Peer:
    """A tool that traces `_FUNCTION`: its command line, and what of a call it sees."""

    name: str
    command: list[str]
    sees: str


class _UnableError(Exception):
    """A tool does not do this here; the text says why."""


def measure() -> list[Row]:
    """Return rows (what, figure, goal)."""
    with tempfile.TemporaryDirectory() as folder:
        return [*_cost(Path(folder)), *_replay(Path(folder))]


def _peers(hot: HotProgram, folder: Path) -> list[_Peer]:
    binary, pid = str(hot.binary), str(hot.pid)
    probe = f'uprobe:{binary}:"{_FUNCTION}"'
    record = [str(FUNCREC), "record", "-u", _FUNCTION, "--max-overhead", "off", "-p", pid, binary]
    return [
        _Peer("funcrec", [*record, "-o", str(folder / "peer.zst")], "entry and exit"),
        _Peer("funcrec --entry-only", [*record, "--entry-only", "-o", str(folder / "entries.zst")], "entry"),
        _Peer("bpftrace, counting", ["bpftrace", "-p", pid, "-e", f"{probe} {{ @ = count(); }}"], "entry"),
        _Peer(
            "bpftrace, printing",
            ["bpftrace", "-p", pid, "-e", f'{probe} {{ printf("%lu %d\\n", nsecs, tid); }}'],
            "entry",
        ),
        _Peer("BCC trace", ["trace-bpfcc", "-p", pid, "-t", f"{binary}:{_FUNCTION}"], "entry"),
        _Peer("BCC funccount", ["funccount-bpfcc", "-p", pid, f"{binary}:{_FUNCTION}"], "entry"),
        _Peer("dlv trace", [str(_delve()), "trace", "-p", pid, _FUNCTION], "entry and exit"),
    ]


def _delve() -> Path:
    """The Delve debugger, built on first use."""
    folder = CACHE / "peers"
    if not (folder / "dlv").exists():
        subprocess.run(
            [go_tool(), "install", _DELVE],
            env=go_environment() | {"GOBIN": str(folder)},
            check=True,
            capture_output=True,
        )
    return folder / "dlv"


def _cost(folder: Path) -> Iterator[Row]:
    """What a call costs with each tool as a multiple of funcrec's cost, and how soon the tool is there and gone."""
    with HotProgram() as hot:
        bare = min(_wall_ns(hot) for _ in range(_ROUNDS))
        mine = 0.0
        for peer in _peers(hot, folder):
            try:
                with _tracing(peer, hot, folder) as times:
                    cost = min(_wall_ns(hot) for _ in range(_ROUNDS)) - bare
            except _UnableError as reason:
                print(f"peers   left out: {peer.name}: {reason}", flush=True)
                continue
            if not mine:
                mine = cost
                yield f"ns a call of a function with a frame, traced by {peer.name} ({peer.sees})", cost, ""
            else:
                yield f"cost of a call with {peer.name} ({peer.sees}) / with funcrec (entry and exit)", cost / mine, ""
            yield f"seconds until {peer.name} traces one function of a running program", times[0], ""
            yield f"seconds until its probes are gone after {peer.name} is interrupted", times[1], ""


def _wall_ns(hot: HotProgram) -> float:
    """Wall time of a call: a tool that stops the program costs no CPU time of the program's thread."""
    started = time.perf_counter_ns()
    hot.ask(f"framed {_CALLS}")
    return (time.perf_counter_ns() - started) / _CALLS


@contextmanager
def _tracing(peer: _Peer, hot: HotProgram, folder: Path) -> Iterator[list[float]]:
    """Run a tool while it traces; the list gets the seconds until the first breakpoint is in the program's text, and
    until the last one is out of it."""
    text = _Text(hot)
    said = folder / "said"
    times: list[float] = []
    started = time.perf_counter()
    with said.open("wb") as output:
        try:
            process = subprocess.Popen(peer.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        except FileNotFoundError as error:
            raise _UnableError(f"{error.filename} is not installed") from error
    try:
        text.wait(changed=True, process=process)
        times.append(time.perf_counter() - started)
        if not text.changed:
            lines = said.read_text(errors="replace").split("\n")
            raise _UnableError(next((line for line in reversed(lines) if line.strip()), "says nothing")[:120])
        time.sleep(0.3)  # until all that belongs to it is in place
        yield times
        started = time.perf_counter()
        process.send_signal(signal.SIGINT)
        text.wait(changed=False)
        times.append(time.perf_counter() - started)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        text.close()


class _Text:
    """The instructions of `_FUNCTION` in a running program: whether somebody has put breakpoints there."""

    def __init__(self, hot: HotProgram) -> None:
        functions = Executable.open(str(hot.binary)).functions
        function = next(each for each in functions if each.name == _FUNCTION)
        self._memory = os.open(f"/proc/{hot.pid}/mem", os.O_RDONLY)
        self._address, self._size = function.address, function.end - function.address
        self._clean = self._now()

    def _now(self) -> bytes:
        return os.pread(self._memory, self._size, self._address)

    @property
    def changed(self) -> bool:
        return self._now() != self._clean

    def wait(self, *, changed: bool, process: subprocess.Popen[bytes] | None = None) -> None:
        """Return when it is so, when the process has ended, or after `_PATIENCE_S`."""
        until = time.perf_counter() + _PATIENCE_S
        while self.changed != changed and time.perf_counter() < until and (process is None or process.poll() is None):
            time.sleep(0.002)

    def close(self) -> None:
        os.close(self._memory)


def _replay(folder: Path) -> Iterator[Row]:
    """CPU seconds for a million events, an entry and an exit each being one."""
    trace = folder / "replay.zst"
    write_large(trace, _REPLAYED, 300)
    for view in (["stat"], ["graph"], ["report", "--no-pager"]):
        yield _replayed(f"funcrec {view[0]}", [str(FUNCREC), *view, str(trace)], 2 * _REPLAYED)
    try:
        data = _uftrace_data(folder)
    except _UnableError as reason:
        print(f"peers   left out: uftrace: {reason}", flush=True)
        return
    for view in (["report"], ["graph"], ["replay", "--no-pager"]):
        yield _replayed(f"uftrace {view[0]} (C)", ["uftrace", *view, "-d", str(data)], 2 * _REPLAYED)


def _replayed(name: str, command: Sequence[str], events: int) -> Row:
    return f"CPU seconds for a million events: {name}", min(cpu_of(*command) for _ in range(2)) / events * 1e6, ""


def _uftrace_data(folder: Path) -> Path:
    """A recording of as many calls of an equivalent C program."""
    for tool in ("uftrace", "gcc"):
        if shutil.which(tool) is None:
            raise _UnableError(f"{tool} is not installed")
    program, data = folder / "calls", folder / "calls.data"
    subprocess.run(["gcc", "-O1", "-pg", "-o", program, Path(__file__).parent / "calls" / "calls.c"], check=True)
    trees = str(_REPLAYED // 3)
    command = ["uftrace", "record", "--no-event", "--no-libcall", "-b", "64m", "-d", data, program, trees]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or re.search("lost|LOST", done.stderr):
        raise _UnableError(done.stderr.strip().split("\n")[-1])
    return data


def versions() -> dict[str, str]:
    """What the tools say of themselves, by tool."""
    asked = {"bpftrace": ["bpftrace", "--version"], "uftrace": ["uftrace", "--version"]}
    found = {"delve": _DELVE.rpartition("@")[2], "go": DEFAULT}
    for tool, command in asked.items():
        if shutil.which(tool):
            found[tool] = subprocess.run(command, capture_output=True, text=True).stdout.strip().split("\n")[0]
    return found

"""Kill recorders at random moments, in every way, and look what they leave behind.

    python -m tests.soak.kills COUNT [SEED]

After each: no breakpoint in the traced process, which runs on; no process of the recorder; a trace that is whole after
a polite end, and after SIGKILL readable and at most a second short, but for what recorder and program had to wait for a
CPU. The next recorder starts from there. Where all processes of a recorder are killed at one moment, as a control group
is, the kernel may leave breakpoints: the next recording takes them away.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from funcrec.errors import TraceError
from funcrec.record.strays import breakpoints
from funcrec.trace.reader import TraceReader
from tests.conftest import FUNCREC, funcrec, probes, wait_until
from tests.toolchain import PROGRAMS, go_build

MARK = "FUNCREC_SOAK"
POLITE = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_MOMENTS, _WEIGHTS = ("start", "arming", "running", "ending"), (2, 2, 5, 1)
_LONGEST_RUN_S = 4.0
_PROMISE_S = 1.0
# Arguments of the program: thousands of events a second, ten thousands, as many as there can be.
# Calls of a function in a call of outer; with ROOT nothing is recorded until the next one begins, so it must be short.
_RATES = {"1": 1, "20": 2, "2000": 1}
_BATCH = 10


@dataclass
class Findings:
    """What the kills came to."""

    endings: Counter[str] = field(default_factory=Counter)
    missing_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        worst = f"{max(self.missing_s):.2f}" if self.missing_s else "-"
        late = sum(missing > _PROMISE_S for missing in self.missing_s)
        return f"{dict(self.endings)}; after SIGKILL at most {worst} s missing, more than 1 s in {late}"


class Watcher:
    """A recorder, looked at several times a second: since when it records, and how long it has waited for a CPU.

    The latter is the second field of /proc/PID/task/TID/schedstat (Linux 5.15 Documentation/scheduler/sched-stats.rst).
    """

    def __init__(self, pid: int, said: Path) -> None:
        self._pid = pid
        self._said = said
        self._seen: list[tuple[int, int]] = [(time.monotonic_ns(), 0)]
        self.armed_ns = 0  # when it was first seen to record, 0: not yet

    def look(self) -> None:
        """Note what is the case by now."""
        waited_ns = 0
        for path in Path(f"/proc/{self._pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                waited_ns += int(path.read_text().split()[1])
        self._seen.append((time.monotonic_ns(), waited_ns))
        if not self.armed_ns and "funcrec: recording" in self._said.read_text():
            self.armed_ns = time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        """Sleep, and look."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
            self.look()

    def waited_since(self, time_ns: int) -> float:
        """Seconds that all threads together waited, from the last look before a time until the last one."""
        before = [waited for at, waited in self._seen if at <= time_ns]
        return (self._seen[-1][1] - (before[-1] if before else 0)) / 1e9


def run(count: int, seed: int) -> Findings:
    """Kill `count` recorders one after the other.

    Raises:
        AssertionError: something was left behind or is missing; the message has the seed.
    """
    rng = random.Random(seed)
    findings = Findings()
    binary = go_build(PROGRAMS / "hot")
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, count, _BATCH):
            # A few kills for each program: what one of them leaves behind, the next one meets.
            with _running(binary, rng.choices(list(_RATES), list(_RATES.values()))[0]) as target:
                for number in range(first, min(first + _BATCH, count)):
                    try:
                        _one(rng, binary, target, Path(folder), findings)
                    except AssertionError as error:
                        raise AssertionError(f"kill {number} of seed {seed}: {error}") from error
                    if number % 50 == 49:
                        print(f"{number + 1} of {count}: {findings}", flush=True)
    return findings


@contextlib.contextmanager
def _running(binary: Path, calls: str) -> Iterator["subprocess.Popen[str]"]:
    target = subprocess.Popen([binary, calls, "2", "forever"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert target.stdin is not None
    assert target.stdout is not None
    try:
        target.stdout.readline()
        target.stdin.write("go\n")
        target.stdin.flush()
        yield target
    finally:
        target.kill()
        target.communicate()


def _one(rng: random.Random, binary: Path, target: "subprocess.Popen[str]", folder: Path, findings: Findings) -> None:
    path, said = folder / "trace.zst", folder / "said"
    # Each way of having the kernel list processes, gates and links, few or many sites, few or many events.
    scope = rng.choice([[], ["-p", str(target.pid)]])
    roots = rng.choice([[], ["main.outer"]])
    pattern = rng.choice(["main.outer", "main.*", "*"])
    moment = rng.choices(_MOMENTS, _WEIGHTS)[0]
    mark = f"{os.getpid()}-{rng.random()}"
    with said.open("w") as errors:
        recorder = subprocess.Popen(
            [FUNCREC, "record", "-u", pattern, *scope, "--max-overhead", "off", "-o", path, binary, *roots],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | {MARK: mark},
        )
    watcher = Watcher(recorder.pid, said)
    while moment != "start" and not probes(target.pid, binary) and recorder.poll() is None:
        time.sleep(0.001)
    if moment != "arming":
        watcher.sleep(rng.random() ** 2 * _LONGEST_RUN_S)
    if moment == "ending":
        recorder.terminate()
        time.sleep(rng.random() * 0.05)
    number = rng.choice([signal.SIGKILL, signal.SIGKILL, *sorted(POLITE)])
    everyone = number == signal.SIGKILL and rng.random() < 0.3
    watcher.look()
    killed_ns = time.monotonic_ns()
    if everyone:
        kill_all(mark)
    else:
        recorder.send_signal(number)
    if number in POLITE and rng.random() < 0.3:
        time.sleep(rng.random() * 0.02)
        recorder.send_signal(number)
    recorder.wait()
    findings.endings[number.name] += 1
    wait_until(lambda: not marked(mark), "no process of the recorder is left")
    if everyone and probes(target.pid, binary):
        _take_away(target, binary, folder, findings)
    wait_until(lambda: not probes(target.pid, binary), "no probe is left")
    assert target.poll() is None, f"the traced process died of {number.name}"
    text = said.read_text()
    # Python says it so when it is interrupted before our main() is called.
    assert "Traceback" not in text or ", in main\n" not in text, text
    _look_at(path, number, killed_ns, watcher, findings)


def _take_away(target: "subprocess.Popen[str]", binary: Path, folder: Path, findings: Findings) -> None:
    """Let another recording take away what the kernel has left, if it has."""
    findings.endings["strays"] += bool(breakpoints(target.pid, str(binary)))
    options = ["-p", str(target.pid), "--duration", "1ms", "-o", str(folder / "next.zst")]
    funcrec("record", "-u", "main.outer", *options, binary)


def _look_at(path: Path, number: signal.Signals, killed_ns: int, watcher: Watcher, findings: Findings) -> None:
    last_ns = 0
    if path.exists() and not (path.stat().st_size < 4096 and not _readable(path)):  # no more than its first bytes yet
        with path.open("rb") as file:
            reader = TraceReader(file)
            last_ns = max((block.t_max for block in reader.blocks), default=0)
            for block in range(len(reader.blocks)):
                reader.events(block)
        assert reader.damage is None or number == signal.SIGKILL, reader.damage
        if number in POLITE and reader.closing is not None:
            findings.endings["complete"] += 1
            last_ns = killed_ns
    path.unlink(missing_ok=True)
    last_ns = last_ns or watcher.armed_ns  # what is recorded begins a moment before it says so
    if last_ns and last_ns < killed_ns:
        missing_s = (killed_ns - last_ns) / 1e9
        findings.missing_s.append(missing_s)
        waited_s = watcher.waited_since(last_ns)
        if missing_s > _PROMISE_S:
            print(f"{missing_s:.2f} s are missing, {waited_s:.2f} s without a CPU", flush=True)
        assert missing_s - waited_s <= _PROMISE_S, f"{missing_s:.2f} s are missing, {waited_s:.2f} s without a CPU"


def _readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            TraceReader(file)
    except TraceError:
        return False
    return True


def marked(mark: str) -> list[int]:
    """Processes that carry the mark in their environment."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                environment = Path(entry.path, "environ").read_bytes()
            except OSError:
                continue
            if f"{MARK}={mark}\0".encode() in environment:
                found.append(int(entry.name))
    return found


def kill_all(mark: str) -> None:
    """Kill all processes that carry a mark, one right after the other."""
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _count = int(sys.argv[1])
    _seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"{_count} kills, seed {_seed}", flush=True)
    print(run(_count, _seed))

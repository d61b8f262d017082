"""Kill recorders at random moments, in every way, and look what they leave behind.

    python -m tests.soak.kills COUNT [SEED]

After each: no breakpoint in the traced process, which runs on; no process of the recorder; a trace that is whole after
a polite end, and after SIGKILL readable and at most about a second short. The next recorder starts from there.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from funcrec.errors import TraceError
from funcrec.trace.reader import TraceReader
from tests.conftest import FUNCREC, probes, wait_until
from tests.toolchain import PROGRAMS, ROOT, go_build

MARK = "FUNCREC_SOAK"
POLITE = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_MOMENTS, _WEIGHTS = ("start", "arming", "running", "ending"), (2, 2, 5, 1)
_LONGEST_RUN_S = 4.0
_PROMISE_S = 1.0
# The recorder may not get the CPU on a busy machine; what is beyond this is no matter of scheduling.
_TOLERANCE_S = 4.0


@dataclass
class Findings:
    """What the kills came to."""

    endings: Counter[str] = field(default_factory=Counter)
    missing_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        worst = f"{max(self.missing_s):.2f}" if self.missing_s else "-"
        late = sum(missing > _PROMISE_S for missing in self.missing_s)
        return f"{dict(self.endings)}; after SIGKILL at most {worst} s missing, more than 1 s in {late}"


def run(count: int, seed: int) -> Findings:
    """Kill `count` recorders one after the other.

    Raises:
        AssertionError: something was left behind; the message has the seed.
    """
    rng = random.Random(seed)
    findings = Findings()
    binary = go_build(PROGRAMS / "hot")
    with tempfile.TemporaryDirectory() as folder:
        target = subprocess.Popen(
            [binary, "20", "2", "forever"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert target.stdin is not None
        assert target.stdout is not None
        try:
            target.stdout.readline()
            target.stdin.write("go\n")
            target.stdin.flush()
            for number in range(count):
                try:
                    _one(rng, binary, target, Path(folder), findings)
                except AssertionError as error:
                    raise AssertionError(f"kill {number} of seed {seed}: {error}") from error
                if number % 50 == 49:
                    print(f"{number + 1} of {count}: {findings}", flush=True)
        finally:
            target.kill()
            target.communicate()
    return findings


def _one(rng: random.Random, binary: Path, target: "subprocess.Popen[str]", folder: Path, findings: Findings) -> None:
    path = folder / "trace.zst"
    # Each way of having the kernel list processes, gates and links, and few or many sites.
    scope = rng.choice([[], ["-p", str(target.pid)]])
    roots = rng.choice([[], ["main.outer"]])
    pattern = rng.choice(["main.*", "*"])
    moment = rng.choices(_MOMENTS, _WEIGHTS)[0]
    mark = f"{os.getpid()}-{rng.random()}"
    recorder = subprocess.Popen(
        [FUNCREC, "record", "-u", pattern, *scope, "--max-overhead", "off", "-o", path, binary, *roots],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {MARK: mark},
    )
    assert recorder.stderr is not None
    while moment != "start" and not probes(target.pid, binary) and recorder.poll() is None:
        time.sleep(0.001)
    if moment != "arming":
        time.sleep(rng.random() ** 2 * _LONGEST_RUN_S)
    if moment == "ending":
        recorder.terminate()
        time.sleep(rng.random() * 0.05)
    number = rng.choice([signal.SIGKILL, signal.SIGKILL, *sorted(POLITE)])
    killed_ns = time.monotonic_ns()
    recorder.send_signal(number)
    if number in POLITE and rng.random() < 0.3:
        time.sleep(rng.random() * 0.02)
        recorder.send_signal(number)
    said = recorder.communicate()[1]
    findings.endings[number.name] += 1
    wait_until(lambda: not probes(target.pid, binary), "no probe is left")
    wait_until(lambda: not marked(mark), "no process of the recorder is left")
    assert target.poll() is None, f"the traced process died of {number.name}"
    # Python says it so when it is interrupted before anything of ours has run.
    assert "Traceback" not in said or f"{ROOT / 'funcrec'}/" not in said, said
    _look_at(path, number, killed_ns, findings)


def _look_at(path: Path, number: signal.Signals, killed_ns: int, findings: Findings) -> None:
    if not path.exists():
        return  # ended before it began to write
    if path.stat().st_size < 4096 and not _readable(path):
        path.unlink()  # no more than its first bytes yet
        return
    with path.open("rb") as file:
        reader = TraceReader(file)
        last_ns = max((block.t_max for block in reader.blocks), default=0)
        for block in range(len(reader.blocks)):
            reader.events(block)
    if number in POLITE and reader.closing is not None:
        findings.endings["complete"] += 1
    elif last_ns:
        findings.missing_s.append((killed_ns - last_ns) / 1e9)
        assert findings.missing_s[-1] < _PROMISE_S + _TOLERANCE_S, f"{findings.missing_s[-1]:.1f} s are missing"
    assert reader.damage is None or number == signal.SIGKILL, reader.damage
    path.unlink()


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


if __name__ == "__main__":
    _count = int(sys.argv[1])
    _seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"{_count} kills, seed {_seed}", flush=True)
    print(run(_count, _seed))

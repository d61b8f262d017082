"""What a web server's clients see of a recording: latencies without it, while it begins, goes on and ends.

Caddy serves a file at a steady rate, and a request counts from when it was due. Recorders come and go, with the guard
on as it is by default, and between them there is as long a time without. What was due in a phase counts for it. A
figure is that of the middle round, since others use the machine in bursts. Attaching is all from the start of the
command to its first line, planning and compiling included.
"""

import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.bench.recording import FUNCREC
from tests.bench.web import WebServer
from tests.toolchain import go_build

RATE, CONNECTIONS = 400, 8
ROUNDS, STEADY_S = 6, 10.0
_FIRST_S, _CALM_S = 4.0, 0.5  # the guard bears three seconds of too much; what a round left to do is soon done
QUANTILES = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))
SELECTIONS = {
    "Caddy's HTTP handlers": ["github.com/caddyserver/caddy/v2/modules/caddyhttp*"],
    "all but the runtime": ["*", "!runtime*", "!internal/runtime*", "!reflect*"],
}


class _Phases:
    """Named spans of the wall clock's time in ns, one after the other."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, int, int]] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begin = time.time_ns()
        yield
        self.spans.append((name, begin, time.time_ns()))


def _recorded(command: list[str | Path], phases: _Phases) -> None:
    """One recorder comes and goes."""
    time.sleep(_CALM_S)
    with phases.phase("without"):
        time.sleep(STEADY_S)
    with phases.phase("attaching"):
        recorder = _started(command)
    with phases.phase(f"the first {_FIRST_S:g} s attached"):
        time.sleep(_FIRST_S)
    with phases.phase("attached"):
        time.sleep(STEADY_S)
    with phases.phase("detaching"):
        recorder.send_signal(signal.SIGINT)
        recorder.communicate()


def _started(command: list[str | Path]) -> "subprocess.Popen[str]":
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    said = []
    for line in process.stderr or ():
        said.append(line)
        if "recording" in line:
            return process
    raise RuntimeError("".join(said))


def latencies(patterns: list[str], rounds: int = ROUNDS) -> dict[str, list[NDArray[np.int64]]]:
    """Phase -> i64[n] for each round, ns of each request that was due in it."""
    load = go_build(Path(__file__).parent / "load")
    with WebServer() as server, tempfile.TemporaryDirectory() as folder:
        wanted = [option for pattern in patterns for option in ("-u", pattern)]
        generator = subprocess.Popen(
            [load, server.url, str(RATE), str(CONNECTIONS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        time.sleep(1)
        command = [FUNCREC, "record", *wanted, "-p", str(server.pid), "-o", Path(folder, "trace.zst"), server.binary]
        phases = _Phases()
        for _ in range(rounds):
            _recorded(command, phases)
        answers, _ = generator.communicate()
    due, took = np.array(answers.split(), dtype=np.int64).reshape(-1, 2).T
    found = defaultdict(list)
    for name, begin, end in phases.spans:
        found[name].append(took[(due >= begin) & (due < end)])
    return found


def middle_us(took: list[NDArray[np.int64]], quantile: float) -> float:
    """The middle of the rounds' quantiles, in microseconds."""
    return float(np.median([np.quantile(each, quantile) for each in took])) / 1e3


def measure() -> list[tuple[str, float, str]]:
    """Return rows (what, microseconds, goal)."""
    rows = []
    for selection, patterns in SELECTIONS.items():
        for phase, took in latencies(patterns).items():
            rows += [
                (f"us {name} of {sum(map(len, took))} requests, {phase}: {selection}", middle_us(took, at), "")
                for name, at in QUANTILES
            ]
    return rows

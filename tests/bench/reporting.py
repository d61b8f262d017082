"""How fast a trace becomes calls and text, and how much memory that takes."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.large import write_large

FUNCREC = Path(sys.executable).with_name("funcrec")
_CALLS = 5_000_000
_FUNCTIONS = 300
_SERVER_CALLS = 50_000_000
# Small, because a process counts as its own peak what its parent had when it began (Linux, ru_maxrss).
_LAUNCHER = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
_TO_CALLS = "import sys, funcrec; len(funcrec.open(sys.argv[1]).table())"


def cpu_of(*command: str | Path) -> float:
    """CPU seconds of a command whose output is thrown away."""
    return run(*command)[0]


def run(*command: str | Path) -> tuple[float, int]:
    """CPU seconds and peak bytes of a command whose output is thrown away."""
    launcher = [sys.executable, "-c", _LAUNCHER, *map(str, command)]
    status, cpu_s, peak = subprocess.run(launcher, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    if int(status):
        raise RuntimeError(f"{command[:3]} failed")
    return float(cpu_s), int(peak) * 1024


def wall_of(command: str) -> float:
    """Seconds of a shell command whose output is thrown away; the best of some."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(["bash", "-c", command], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - started)
    return best


def measure_parts() -> list[tuple[str, float, str]]:
    """Rows (what, figure, goal) of a server's trace of 100 million events in 98 seconds, of which little is read."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "server.zst"
        write_large(trace, _SERVER_CALLS, _FUNCTIONS, rest_ns=290_000)
        start_s = wall_of(f"{sys.executable} -c 'import funcrec, numpy'")
        second = f"{trace} -r 50s~51s"
        head_s = wall_of(f"{FUNCREC} report {trace} | head")
        return [
            ("seconds to the first lines of report, 100 M events", head_s, "<= 0.5"),
            ("seconds for stat of one second of them", wall_of(f"{FUNCREC} stat {second}") - start_s, "<= 1"),
            ("seconds for report of it, 1 M events", wall_of(f"{FUNCREC} report {second}") - start_s, "<= 1"),
            ("seconds for report of it as jsonl", wall_of(f"{FUNCREC} report --format jsonl {second}") - start_s, ""),
            ("seconds for stat of one goroutine of 50", wall_of(f"{FUNCREC} stat {trace} -G 7") - start_s, ""),
        ]


def measure() -> list[tuple[str, float, str]]:
    """Return rows (what, figure, goal); speeds are per second of CPU, start-up of Python taken out."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "large.zst"
        write_large(trace, _CALLS, _FUNCTIONS)
        events = 2 * _CALLS
        empty_s, empty_bytes = run(sys.executable, "-c", "import funcrec, numpy")
        # The better of some: what the machine adds is page faults that others have made dear.
        calls_s, calls_bytes = min(run(sys.executable, "-c", _TO_CALLS, trace) for _ in range(3))
        text_s, _ = run(FUNCREC, "report", "--no-pager", trace)
        started = time.perf_counter()
        helps = 5
        for _ in range(helps):
            run(FUNCREC, "--help")
        return [
            ("bytes an event on disk (generated, nested calls)", trace.stat().st_size / events, ""),
            ("million events/s from file to calls", events / (calls_s - empty_s) / 1e6, ">= 6"),
            ("bytes of memory an event for them", (calls_bytes - empty_bytes) / events, "<= 64"),
            ("million lines/s of the text call graph, calls made", events / (text_s - calls_s) / 1e6, ">= 1"),
            ("seconds for funcrec --help", (time.perf_counter() - started) / helps, "<= 0.2"),
        ]

"""How long a recording takes to begin and end, how much it drains, what it writes."""

import mmap
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from funcrec.plan.builder import build_plan
from funcrec.record.codegen import PidFilter
from funcrec.record.probes import Probes
from funcrec.target.executable import Executable
from tests.bench.target import HotProgram
from tests.toolchain import ROOT, go_build, go_tool

FUNCREC = Path(sys.executable).with_name("funcrec")
_MANY = 10_000


def compiler() -> Path:
    """The Go compiler of the default toolchain: a large Go program that everybody has here."""
    return next((go_tool().parent.parent / "pkg" / "tool").glob("*/compile"))


def large() -> Path:
    """Hugo: 70 MB with debug information, 29,000 functions."""
    return go_build(ROOT / "tests" / "real" / "hugo", package="github.com/gohugoio/hugo", name="hugo")


def measure_start(output: Path) -> list[tuple[str, float, str]]:
    """Seconds until functions of a large binary are armed and until they are gone; memory meanwhile."""
    rows = []
    for patterns, ready, gone in (
        (["main.main"], "<= 0.8", "<= 0.3"),
        (["net/http.*", "encoding/*"], "<= 1.0", "<= 0.3"),
        (["*"], "<= 3", "<= 0.7"),
    ):
        functions, ready_s, cpu_s, gone_s, resident = _start_and_stop(large(), patterns, output)
        what = f"{functions} functions of hugo (70 MB)" if functions > 1 else "one function of hugo (70 MB)"
        rows += [
            (f"seconds to a recording of {what}", ready_s, ready),
            ("the recorder's CPU seconds until then", cpu_s, ""),
            (f"seconds to the end of a recording of {what}", gone_s, gone),
            (f"MB that the recorder keeps for {what}", resident / (1 << 20), "< 120"),
        ]
    binary = compiler()
    executable = Executable.open(str(binary))
    started = time.perf_counter()
    plan = build_plan(executable, ["*"], max_probes=1 << 20)
    planned = time.perf_counter() - started
    functions = plan.functions[:_MANY]
    sites = tuple(site for site in plan.sites if site.function < len(functions))
    plan = type(plan)(plan.binary, functions, sites)
    probes = Probes(
        executable.runtime_layout,
        max_sites=len(sites),
        buffer_bytes=64 << 20,
        pid_filter=PidFilter.NONE,
        gated=False,
    )
    try:
        probes.load()
        started = time.perf_counter()
        probes.attach(plan, executable.path, [], entry_only=False, idle=True)
        attached = time.perf_counter()
        probes.detach()
        detached = time.perf_counter()
    finally:
        probes.close()
    return [
        *rows,
        (f"seconds to plan all {len(executable.functions)} functions", planned, ""),
        (f"seconds to attach {len(functions)} functions ({len(sites)} sites)", attached - started, "< 0.5"),
        ("seconds to detach them", detached - attached, "< 0.5"),
    ]


def _start_and_stop(binary: Path, patterns: Sequence[str], output: Path) -> tuple[int, float, float, float, float]:
    """Functions, seconds and CPU seconds to the recording, seconds to its end, bytes resident; the best of a few."""
    ready_s = cpu_s = gone_s = resident = float("inf")
    functions = 0
    for _ in range(5):
        started = time.perf_counter()
        wanted = [option for pattern in patterns for option in ("-u", pattern)]
        process = subprocess.Popen(
            [FUNCREC, "record", *wanted, binary, "-o", output], stderr=subprocess.PIPE, text=True
        )
        for line in process.stderr or []:
            if found := re.search(r"recording (\d+) functions", line):
                functions = int(found.group(1))
                break
        ready_s, cpu_s = min(ready_s, time.perf_counter() - started), min(cpu_s, _cpu_s(process.pid))
        time.sleep(1)  # the tables are written
        resident = min(resident, int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * mmap.PAGESIZE)
        started = time.perf_counter()
        process.terminate()
        process.communicate()
        gone_s = min(gone_s, time.perf_counter() - started)
    return functions, ready_s, cpu_s, gone_s, resident


def _cpu_s(pid: int) -> float:
    """CPU time of a process so far, that of its children left out."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_drain(output: Path) -> list[tuple[str, float, str]]:
    """A flood at emulated sites from two producers: rate, loss, and what the recorder needs for it."""
    with HotProgram() as hot:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(
            [
                FUNCREC,
                "record",
                "-u",
                "main.small",
                "--entry-only",
                "-v",
                "--max-overhead",
                "off",
                str(hot.binary),
                "-p",
                str(hot.pid),
                "-o",
                output,
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in process.stderr or []:
            if "recording" in line:
                break
        calls = 3_000_000
        wall_s = hot.ask(f"flood {calls} 2") / 1e9
        process.terminate()
        _, closing = process.communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = re.search(r"([\d ]+) lost", closing)
    gap = re.search(r"longer than ([\d.]+) ms", closing)
    if found is None or gap is None:
        raise RuntimeError(f"no closing lines in {closing!r}")
    lost = int(found.group(1).replace(" ", ""))
    events = 2 * calls
    return [
        ("million events/s from two producers on all CPUs", events / wall_s / 1e6, ">= 1.5"),
        ("share of them lost", lost / events, "0"),
        ("share of a core for drain, encode and write, at 2 million events/s", cpu_s / events * 2e6, "< 0.6"),
        ("recorder's ns per event", cpu_s / events * 1e9, ""),
        ("ms between two drains, the longest", float(gap.group(1)), ""),
        ("bytes an event on disk (entries only)", output.stat().st_size / events, "<= 2"),
    ]

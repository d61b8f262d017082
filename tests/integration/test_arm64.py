"""arm64 without such a kernel: probe sites under qemu against the program's own log; the BPF program compiled."""

import os
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from funcrec.plan.builder import build_plan
from funcrec.plan.programs import ValueLimits
from funcrec.plan.sites import Edge, ProbePlan, Role
from funcrec.record.codegen import PidFilter, ProgramRequest, generate
from funcrec.record.machine import ARM64
from funcrec.resources import data_path
from funcrec.target.executable import Executable
from funcrec.target.runtime_layout import runtime_layout
from tests.emulated import QEMU, Hit, passes
from tests.toolchain import DEFAULT, PROGRAMS, go_build
from tests.truth import generic, read_truth

needs_qemu = pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"needs {QEMU}")
BUILD = {"GOARCH": "arm64"}


class Replay:
    """Makes calls of passes as a recording does: by goroutine, an entry where the stack check passes.

    Attributes:
        entered, returned: function -> calls.
        callers: (function, caller) -> calls.
    """

    def __init__(self, executable: Executable, plan: ProbePlan) -> None:
        self._executable, self._plan = executable, plan
        self.sites = {site.address: site for site in plan.sites if not plan.functions[site.function].hidden}
        self.entered: Counter[str] = Counter()
        self.returned: Counter[str] = Counter()
        self.callers: Counter[tuple[str, str]] = Counter()
        self._open: dict[int, list[tuple[str, int]]] = defaultdict(list)

    def pass_(self, hit: Hit) -> None:
        """One pass, as a hit of the probe there would be taken."""
        site = self.sites[hit.pc]
        name = generic(self._plan.functions[site.function].name)
        frames = self._open[hit.g]
        if site.role != Role.EXIT and (site.edge is Edge.ALWAYS or not hit.lower_or_same):
            self.entered[name] += 1
            self.callers[name, generic(self._executable.describe(hit.back)[0])] += 1
            frames.append((name, hit.back))
        if site.role != Role.ENTRY:
            self.returned[name] += 1
            while frames and frames[-1] != (name, hit.back):
                frames.pop()  # left by a panic
            assert frames, f"a return of {name} to {hit.back:#x} that no call of it began"
            frames.pop()


def run(binary: Path, patterns: list[str], *arguments: str, truth: Path | None = None) -> Replay:
    executable = Executable.open(str(binary))
    replay = Replay(executable, build_plan(executable, patterns))
    env = {"GOMAXPROCS": "1", "GODEBUG": "asyncpreemptoff=1"} | ({"TRUTH": str(truth)} if truth else {})
    passes([binary, *arguments], sorted(replay.sites), env, replay.pass_)
    return replay


@needs_qemu
def test_small_functions_are_entered_as_often_as_left() -> None:
    small = [f"main.{name}" for name in ("add", "pick", "sum", "choose", "outer", "where", "bytesOf", "empty")]
    replay = run(go_build(PROGRAMS / "shapes", env=BUILD), small, "all")
    assert replay.entered == replay.returned == dict.fromkeys(small, 1) | {"main.where": 2}
    assert replay.callers["main.where", "main.outer"] == 2


@needs_qemu
@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.21.13", DEFAULT, "1.27.3"])
@pytest.mark.parametrize("scenario", ["methods", "goexit", "panics"])
def test_every_call_of_the_log_is_seen_once(scenario: str, version: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    replay = run(go_build(PROGRAMS / "workload", version=version, env=BUILD), ["main.*"], scenario, truth=log)
    calls = [row | {"func": generic(row["func"])} for row in read_truth(log)]
    known = {row["func"] for row in calls}
    assert Counter(row["func"] for row in calls) == {name: replay.entered[name] for name in known}
    returned = Counter(row["func"] for row in calls if row["state"] == "returned")
    assert returned == {name: replay.returned[name] for name in known if replay.returned[name]}
    callers = Counter((row["func"], row["caller"]) for row in calls)
    assert callers == {pair: count for pair, count in replay.callers.items() if pair[0] in known}


def test_the_program_compiles(require_bpf: None, tmp_path: Path) -> None:
    """By the interpreter that has BCC: funcrec itself would load it too, which only an arm64 kernel does."""
    request = ProgramRequest(
        layout=runtime_layout("", (1, 26, 0)),
        rings=2,
        event_slots=64,
        sites=8,
        pid_filter=PidFilter.LISTED,
        gated=True,
        min_ns=1,
        values=ValueLimits(),
        machine=ARM64,
    )
    program = generate(request)
    text = tmp_path / "program.c"
    text.write_text(program.text)
    script = "import sys, bcc; bcc.BPF(src_file=sys.argv[1], cflags=sys.argv[2:])"
    flags = [*program.flags, "-DSLEEPABLE=0", "-DMAY_GOTO=0"]
    done = subprocess.run(
        ["/usr/bin/python3", "-c", script, text, *flags],
        env=os.environ | {"BCC_KERNEL_SOURCE": str(data_path("bpf/stubs"))},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")

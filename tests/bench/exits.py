"""What exits at emulated instructions save, as ratios to an empty program at the first instruction and every RET.

One hot function that leaves after a branch; whole runs of the Go compiler and of a web server under load, with all
functions but the runtime's.
Rounds of all configurations take turns, and each keeps its best: the machine's noise only ever adds.
"""

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from subprocess import DEVNULL, PIPE, run

from funcrec.plan.builder import build_plan
from funcrec.plan.sites import ExitMode, ProbePlan, Role
from funcrec.target.executable import Executable
from tests.bench.attached import empty_at, empty_program, recording
from tests.bench.target import HotProgram
from tests.bench.web import WebServer
from tests.toolchain import ROOT, go_build, go_tool

_MAX_PROBES = 400_000
_CALLS = 3000
_WARMING, _REQUESTS = 200, 200
_FUNCTION = "main.small"
_USER = ["*", "!runtime*", "!internal/runtime*", "!reflect*"]
_PACKAGE = "container/ring"

Configurations = dict[str, Callable[[], AbstractContextManager[None]]]


def _everywhere(executable: Executable, plan: ProbePlan) -> list[int]:
    """The first instruction and every RET of every function of a plan."""
    offsets = {site.offset for site in plan.sites if site.role in (Role.EXIT, Role.POINT)}
    for function in plan.functions:
        offset = executable.offset_of(function.address)
        if offset is not None and not function.hidden:
            offsets.add(offset)
    return sorted(offsets)


def _plans(executable: Executable, patterns: Sequence[str]) -> tuple[ProbePlan, ProbePlan]:
    """The plan with RETs and the one with cheap exits."""
    plain = build_plan(executable, patterns, max_probes=_MAX_PROBES)
    return plain, build_plan(
        executable, patterns, max_probes=_MAX_PROBES, exits=ExitMode.AUTO, takes_back=True, adaptive=True
    )


def _configurations(executable: Executable, patterns: Sequence[str]) -> Configurations:
    plain, cheap = _plans(executable, patterns)
    program, everywhere = empty_program(), _everywhere(executable, plain)
    return {
        "bare": nullcontext,
        "first+ret": lambda: empty_at(program, executable.path, everywhere),
        "ret": lambda: recording(executable, plain),
        "auto": lambda: recording(executable, cheap),
    }


def _best(configurations: Configurations, once: Callable[[], float], rounds: int) -> dict[str, float]:
    """Cost above bare of each configuration."""
    best = dict.fromkeys(configurations, float("inf"))
    for _ in range(rounds):
        for name, configuration in configurations.items():
            with configuration():
                best[name] = min(best[name], once())
    return {name: value - best["bare"] for name, value in best.items()}


def _hot() -> dict[str, float]:
    with HotProgram() as hot:
        configurations = _configurations(Executable.open(str(hot.binary)), [_FUNCTION])
        return _best(configurations, lambda: hot.ask(f"small {_CALLS}"), 7)


def _compiler(rounds: int) -> dict[str, float]:
    root = go_tool().parent.parent
    binary = root / "pkg" / "tool" / "linux_amd64" / "compile"
    sources = [path for path in (root / "src" / _PACKAGE).glob("*.go") if not path.name.endswith("_test.go")]
    with tempfile.TemporaryDirectory() as folder:

        def compile_once() -> float:
            before = os.times()
            run([binary, "-p", _PACKAGE, "-complete", "-o", Path(folder) / "out.a", *sources], check=True)
            after = os.times()
            return after.children_user + after.children_system - before.children_user - before.children_system

        return _best(_configurations(Executable.open(str(binary)), _USER), compile_once, rounds)


def _server(rounds: int, *, makes_pages: bool) -> dict[str, float]:
    """CPU a request of caddy."""
    with WebServer(makes_pages=makes_pages) as server:
        server.request(_WARMING)
        return _best(
            _configurations(Executable.open(str(server.binary)), _USER), lambda: server.request(_REQUESTS), rounds
        )


def _shop(rounds: int) -> dict[str, float]:
    """CPU a request of a small web shop and its clients; two fifths of its exits are behind calls of the runtime."""
    binary = go_build(ROOT / "demo" / "shop")

    def serve_once() -> float:
        before = os.times()
        done = run([binary, "-for", "3s", "-clients", "2"], check=True, stdout=PIPE, stderr=DEVNULL, text=True)
        after = os.times()
        answered = sum(map(int, re.findall(r":(\d+)", done.stdout.partition("map[")[2])))
        return (after.children_user + after.children_system - before.children_user - before.children_system) / answered

    return _best(_configurations(Executable.open(str(binary)), _USER), serve_once, rounds)


def measure(rounds: int = 2) -> list[tuple[str, float, str]]:
    """Return rows (what, ratio, goal)."""
    rows = []
    for name, cost, goal in (
        ("hot function that leaves after a branch", _hot(), "<= 0.10"),
        ("whole run of the Go compiler", _compiler(rounds), "<= 0.22"),
        ("web server under load (caddy: templates, gzip, log)", _server(rounds, makes_pages=True), "<= 0.22"),
        ("the same when it only sends a file", _server(rounds, makes_pages=False), ""),
        ("web shop that sorts and hashes", _shop(rounds), ""),
    ):
        rows.append((f"{name} / empty program at first instruction and RET", cost["auto"] / cost["first+ret"], goal))
        rows.append((f"{name}, --exits ret / the same", cost["ret"] / cost["first+ret"], ""))
    return rows


def main() -> None:
    for what, ratio, goal in measure():
        print(f"{ratio:6.3f}  {goal:8}  {what}", flush=True)


if __name__ == "__main__":
    main()

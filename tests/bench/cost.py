"""What a traced call costs the target, as ratios to an empty program within one run.

Rounds of all configurations take turns, and each keeps its best: the machine's noise only ever adds.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from funcrec.plan.builder import build_plan
from funcrec.plan.sites import ProbePlan, Role
from funcrec.record.attach import attach_multi
from funcrec.record.codegen import PidFilter
from funcrec.record.compile import Compiler, Program
from funcrec.record.drain import Drain
from funcrec.record.probes import Probes
from funcrec.target.executable import Executable
from tests.bench.target import HotProgram

_EMPTY = "#include <uapi/linux/ptrace.h>\nint empty(struct pt_regs *ctx) { return 0; }\n"
_CALLS = 3000
_ROUNDS = 9
_FUNCTION = "main.framed"


def empty_program() -> int:
    """Descriptor of a program that does nothing."""
    compiler = Compiler()
    compiler.submit(Program(_EMPTY, (), ("empty",), ()))
    return compiler.result()["empty"]


@contextmanager
def _empty_at(program: int, path: str, offsets: list[int]) -> Iterator[None]:
    link = attach_multi(program, path, offsets, [0] * len(offsets))
    try:
        yield
    finally:
        os.close(link)


@contextmanager
def _recording(executable: Executable, plan: ProbePlan) -> Iterator[None]:
    probes = Probes(
        executable.runtime_layout,
        max_sites=len(plan.sites),
        buffer_bytes=64 << 20,
        pid_filter=PidFilter.NONE,
        gated=False,
    )
    drain = Drain(probes.load())
    drain.start()
    try:
        probes.attach(plan, executable.path, [], entry_only=False)
        yield
    finally:
        probes.detach()
        drain.stop()
        probes.close()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def measure() -> list[tuple[str, float, str]]:
    """Return rows (what, ratio, goal)."""
    with HotProgram() as hot:
        path = str(hot.binary)
        executable = Executable.open(path)
        plan = build_plan(executable, [_FUNCTION])
        function = next(one for one in plan.functions if one.name == _FUNCTION)
        number = plan.functions.index(function)
        sites = [site for site in plan.sites if site.function == number]
        first = executable.offset_of(function.address)
        if first is None:
            raise RuntimeError(f"{_FUNCTION} is not in the file")
        rets = [site.offset for site in sites if site.role == Role.EXIT]
        empty = empty_program()
        configurations: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "bare": _nothing,
            "first+ret": lambda: _empty_at(empty, path, [first, *rets]),
            "same": lambda: _empty_at(empty, path, [site.offset for site in sites]),
            "funcrec": lambda: _recording(executable, plan),
        }
        best = dict.fromkeys(configurations, float("inf"))
        for _ in range(_ROUNDS):
            for name, configuration in configurations.items():
                with configuration():
                    best[name] = min(best[name], hot.ask(f"framed {_CALLS}"))
        cost = {name: value - best["bare"] for name, value in best.items()}
        return [
            (
                "traced call / empty program at first instruction and RET",
                cost["funcrec"] / cost["first+ret"],
                "<= 0.55",
            ),
            ("traced call / empty program at the same sites", cost["funcrec"] / cost["same"], "<= 1.15"),
        ]

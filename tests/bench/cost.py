"""What a traced call costs the target, as ratios to an empty program within one run.

Rounds of all configurations take turns, and each keeps its best: the machine's noise only ever adds.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from funcrec.plan.builder import build_plan
from funcrec.plan.sites import Role
from funcrec.target.executable import Executable
from tests.bench.attached import empty_at, empty_program, recording
from tests.bench.target import HotProgram

_CALLS = 3000
_ROUNDS = 9
_FUNCTION = "main.framed"


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
            "bare": nullcontext,
            "first+ret": lambda: empty_at(empty, path, [first, *rets]),
            "same": lambda: empty_at(empty, path, [site.offset for site in sites]),
            "funcrec": lambda: recording(executable, plan),
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

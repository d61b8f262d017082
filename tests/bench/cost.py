"""What a traced call costs the target, as ratios to an empty program within one run.

One function that ends right after a call, so that its RET is probed, and one whose sites are all emulated: a trap hides
what an event costs, an emulated instruction shows it. Rounds of all configurations take turns, and each keeps its best:
the machine's noise only ever adds.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from funcrec.plan.builder import build_plan
from funcrec.plan.sites import ExitMode, Role, SiteKind
from funcrec.target.executable import Executable
from tests.bench.attached import empty_at, empty_program, recording
from tests.bench.target import HotProgram

Row = tuple[str, float, str]
AT_SAME_SITES = "traced call / empty program at the same sites"
AT_EMULATED_SITES = "traced call at emulated sites only / empty program at the same sites"
_CALLS = 3000
_ROUNDS = 9


def measure() -> list[Row]:
    """Return rows (what, ratio, goal)."""
    with HotProgram() as hot:
        framed = _costs(hot, "framed", ExitMode.RET)
        small = _costs(hot, "small", ExitMode.AUTO)
    return [
        (
            "traced call / empty program at first instruction and RET",
            framed["funcrec"] / framed["first+ret"],
            "<= 0.55",
        ),
        (AT_SAME_SITES, framed["funcrec"] / framed["same"], "<= 1.15"),
        (AT_EMULATED_SITES, small["funcrec"] / small["same"], ""),
    ]


def _costs(hot: HotProgram, command: str, exits: ExitMode) -> dict[str, float]:
    """CPU ns that a call of the function takes longer than bare, by what is at its sites."""
    path = str(hot.binary)
    executable = Executable.open(path)
    plan = build_plan(executable, [f"main.{command}"], exits=exits)
    function = next(one for one in plan.functions if one.name == f"main.{command}")
    number = plan.functions.index(function)
    own = [site for site in plan.sites if site.function == number and site.kind != SiteKind.CHAINED]
    plain = build_plan(executable, [f"main.{command}"])
    rets = [site.offset for site in plain.sites if site.function == number and site.role == Role.EXIT]
    first = executable.offset_of(function.address)
    if first is None:
        raise RuntimeError(f"main.{command} is not in the file")
    empty = empty_program()
    configurations: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "bare": nullcontext,
        "first+ret": lambda: empty_at(empty, path, [first, *rets]),
        "same": lambda: empty_at(empty, path, sorted({site.offset for site in own if not site.spare})),
        "funcrec": lambda: recording(executable, plan),
    }
    best = dict.fromkeys(configurations, float("inf"))
    for _ in range(_ROUNDS):
        for name, configuration in configurations.items():
            with configuration():
                best[name] = min(best[name], hot.ask(f"{command} {_CALLS}"))
    return {name: value - best["bare"] for name, value in best.items()}

"""What values cost: a call with three of them against the same call without, conditions, `--where`, debug information.

Rounds of all configurations take turns, and each keeps its best: the machine's noise only ever adds.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from funcrec.plan.builder import build_plan
from funcrec.plan.captures import ResultReader, Signatures, plan_values
from funcrec.plan.conditions import Condition
from funcrec.plan.programs import ValueLimits
from funcrec.plan.sites import ExitMode
from funcrec.record.codegen import PidFilter
from funcrec.record.drain import Drain
from funcrec.record.losses import event_weights
from funcrec.record.probes import Probes
from funcrec.report.conditions import holds
from funcrec.report.trace import Trace
from funcrec.target.executable import Executable
from tests.bench.target import HotProgram
from tests.conftest import FUNCREC
from tests.toolchain import ROOT, go_build

_SOURCE = Path(__file__).parent / "fetch"
_FUNCTION = "main.handle"
_VALUES = "(id, name, len(body))"
_CALLS = 3000
_ROUNDS = 9
_FILTERED = 1_000_000
_SIGNATURES = 1000


@contextmanager
def _recording(
    executable: Executable, pattern: str, condition: str = "", exits: ExitMode = ExitMode.RET
) -> Iterator[None]:
    signatures = Signatures(executable)
    test = Condition(condition, signatures) if condition else None
    plan = build_plan(
        executable,
        [pattern],
        needs=test.needs if test else None,
        reads=ResultReader(signatures).reads,
        exits=exits,
        takes_back=True,
    )
    values = plan_values(executable, plan, signatures=signatures)
    probes = Probes(
        executable.runtime_layout,
        max_sites=len(plan.sites),
        buffer_bytes=64 << 20,
        pid_filter=PidFilter.NONE,
        gated=False,
        values=ValueLimits() if values else None,
        condition=test.lowered if test else None,
        chained=exits == ExitMode.AUTO,
    )
    drain = Drain(probes.load(), event_weights(plan))
    if values is not None:
        probes.install_values(values, plan.sites)
    if test is not None:
        probes.install_conditions(test.plan(plan), plan.sites)
    if plan.results:
        probes.install_results(plan)
    if exits == ExitMode.AUTO:
        probes.install_chains(plan)
    drain.start()
    try:
        probes.attach(plan, executable.path, [], entry_only=False)
        yield
    finally:
        probes.detach()
        drain.stop()
        probes.close()


def measure_calls() -> list[tuple[str, float, str]]:
    """Rows (what, ratio, goal) about the traced program."""
    configurations = {
        "plain": (_FUNCTION, ""),
        "values": (_FUNCTION + _VALUES, ""),
        "rejected": (_FUNCTION + _VALUES, 'id == 1000 and name == "nobody"'),
    }
    with HotProgram(_SOURCE) as program:
        executable = Executable.open(str(program.binary))
        best = dict.fromkeys(["bare", *configurations], float("inf"))
        # The recordings are set up once each and measured while nothing else is attached.
        for name, (pattern, condition) in configurations.items():
            for _ in range(_ROUNDS):
                best["bare"] = min(best["bare"], program.ask(f"handle {_CALLS}"))
            with _recording(executable, pattern, condition):
                for _ in range(_ROUNDS):
                    best[name] = min(best[name], program.ask(f"handle {_CALLS}"))
    cost = {name: value - best["bare"] for name, value in best.items()}
    return [
        ("a call with three values / the same without", cost["values"] / cost["plain"], "<= 1.4"),
        ("a call that --if rejects / one without values", cost["rejected"] / cost["plain"], "<= 1.2"),
    ]


def measure_results() -> list[tuple[str, float, str]]:
    """A row about a function that leaves after a branch with an int: read before the RET, or at it."""
    best = dict.fromkeys(["bare", *ExitMode], float("inf"))
    with HotProgram() as program:
        executable = Executable.open(str(program.binary))
        for exits in ExitMode:
            for _ in range(_ROUNDS):
                best["bare"] = min(best["bare"], program.ask(f"small {_CALLS}"))
            with _recording(executable, "main.small() -> ($results)", exits=exits):
                for _ in range(_ROUNDS):
                    best[exits] = min(best[exits], program.ask(f"small {_CALLS}"))
    ratio = (best[ExitMode.AUTO] - best["bare"]) / (best[ExitMode.RET] - best["bare"])
    return [("a call with its result, exits before the RET / at it", ratio, "")]


def record_three(path: Path, calls: int) -> None:
    """Record so many calls with three values each, and some more."""
    with HotProgram(_SOURCE) as program:
        command = [FUNCREC, "record", "-q", "--max-overhead", "off", "-b", "512M", "-p", str(program.pid)]
        recorder = subprocess.Popen(
            [*command, "-u", _FUNCTION + _VALUES, program.binary, "-o", path], stderr=subprocess.DEVNULL
        )
        while program.ask(f"handle {_CALLS}") < 500:  # until the probes are in place
            time.sleep(0.1)
        program.ask(f"handle {calls}")
        recorder.terminate()
        recorder.wait()


def measure_where(folder: Path) -> list[tuple[str, float, str]]:
    """Rows about filters on a recording of many calls."""
    path = folder / "values.zst"
    record_three(path, _FILTERED)
    trace = Trace(path)
    calls = trace.table()
    rates = {}
    for name, condition in (("text", 'name == "customer 7 of the shop"'), ("duration", "dur > 1us")):
        took = []
        for _ in range(3):
            began = time.perf_counter()
            found = int(np.count_nonzero(holds(trace, calls, condition)))
            took.append(time.perf_counter() - began)
            if not found:
                raise RuntimeError(f"{condition} finds nothing")
        rates[name] = len(calls) / min(took) / 1e6
    return [("million calls/s, --where on a text", rates["text"], ">= 2")]


def measure_types(binary: Path) -> list[tuple[str, float, str]]:
    """Rows about debug information, in processor time: the first function with all its values, then others."""
    executable = Executable.open(str(binary))
    signatures = Signatures(executable)
    plan = build_plan(executable, ["net/http.(*conn).serve"], arguments=True, results=True)
    began = time.process_time()
    plan_values(executable, plan, arguments=True, results=True, signatures=signatures)
    first = time.process_time() - began
    functions = executable.functions
    others = [at for at in range(len(functions)) if not functions.assembly[at] and not functions.foreign[at]]
    took = []
    for index in others[:: max(len(others) // _SIGNATURES, 1)]:
        began = time.process_time()
        signatures.of(index)
        took.append(time.process_time() - began)
    return [
        ("s, the first function with all its values", first, "< 1.5"),
        ("ms, the signature of the dearest of 1,000 others", 1000 * max(took), "< 10"),
    ]


def measure() -> list[tuple[str, float, str]]:
    """Return rows (what, figure, goal)."""
    with tempfile.TemporaryDirectory() as folder:
        return (
            measure_calls()
            + measure_results()
            + measure_where(Path(folder))
            + measure_types(go_build(ROOT / "demo" / "shop"))
        )


def main() -> None:
    """Print all rows."""
    for what, figure, goal in measure():
        print(f"{figure:8.3f}  {goal:8} {what}", flush=True)


if __name__ == "__main__":
    main()

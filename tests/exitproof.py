"""Cheap exits and RETs armed at the same time over a real run: both must tell the same returns, one for one.

Every function of a plan gets a shadow, whose exits are the RETs that the plan does without. Then, in the stream of
every goroutine, each cheap exit must be followed by the RET that it foretold, and no RET may come unannounced.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.builder import build_plan
from funcrec.plan.sites import ExitMode, ProbePlan, Role
from funcrec.record.codegen import PidFilter
from funcrec.record.drain import Drain
from funcrec.record.losses import event_weights
from funcrec.record.probes import Probes
from funcrec.record.rings import Rows
from funcrec.target.executable import Executable

OTHER, CHEAP, RET = 0, 1, 2
_MAX_PROBES = 400_000
_LIMIT_S = 600


@dataclass(frozen=True)
class Proof:
    """What a run showed.

    Attributes:
        exits: cheap exits that the RET proved right. chained: how many of these had no probe of their own.
        wrong: descriptions of what did not fit.
        unfinished: cheap exits at the end of a goroutine's stream whose RET was not reached any more.
    """

    exits: int
    chained: int
    wrong: list[str]
    unfinished: int


def shadowed(executable: Executable, patterns: Sequence[str]) -> ProbePlan:
    """The plan with cheap exits, and for each function a shadow with the RETs that are not in it."""
    cheap = build_plan(
        executable, patterns, exits=ExitMode.AUTO, takes_back=True, adaptive=True, max_probes=_MAX_PROBES
    )
    plain = build_plan(executable, patterns, exits=ExitMode.RET, max_probes=_MAX_PROBES)
    count = len(cheap.functions)
    number = {function.index: at for at, function in enumerate(cheap.functions)}
    there = {site.address for site in cheap.sites if site.role in (Role.EXIT, Role.POINT) and not site.spare}
    shadows = tuple(replace(function, ends_callers=False) for function in cheap.functions)
    rets = tuple(
        site._replace(function=count + number[plain.functions[site.function].index])
        for site in plain.sites
        if site.role == Role.EXIT and site.address not in there
    )
    return replace(cheap, functions=cheap.functions + shadows, sites=cheap.sites + rets)


def watch(
    binary: Path, plan: ProbePlan, executable: Executable, commands: Sequence[Sequence[str | Path]], **options: object
) -> Rows:
    """Run commands with the plan armed in every process of the binary; return the events of theirs, in ring order.

    Others may be running the same binary; what probes see of a program depends on when they come and go there.
    """
    probes = Probes(
        executable.runtime_layout,
        max_sites=_MAX_PROBES,
        buffer_bytes=256 << 20,
        pid_filter=PidFilter.NONE,
        gated=False,
        chained=True,
    )
    try:
        sources = probes.load()
        drain = Drain(sources, event_weights(plan))
        probes.install_chains(plan)
        drain.start()
        probes.attach(plan, str(binary), [], entry_only=False)
        rows, pids = [], []
        for command in commands:
            process = Popen(command, **options)  # type: ignore[call-overload]
            pids.append(process.pid)
            deadline = time.monotonic() + _LIMIT_S
            while process.poll() is None:
                assert time.monotonic() < deadline, "the program does not end"
                rows += [batch.events for batch in drain.take()]
                time.sleep(0.05)
            assert process.returncode == 0, f"{command} ended with {process.returncode}"
        probes.detach()
        drain.stop()
        rows += [batch.events for batch in drain.take()]
        unread = int(sources.states["no_goroutine"].sum())
        assert unread == 0, f"the goroutine of {unread} hits could not be read"
        assert drain.lost == 0, f"{drain.lost} events lost: the proof needs all of them"
        found = np.concatenate(rows)
        return found[np.isin(found["pid"], pids)]
    finally:
        probes.close()


def prove(plan: ProbePlan, rows: Rows) -> Proof:
    """Compare every cheap exit with the RETs."""
    real = next((site.function for site in plan.sites[::-1] if site.role == Role.EXIT), 0)
    count = len(plan.functions) // 2
    assert real >= count, "there is no RET to compare with"
    site_kind, site_function = _kinds(plan, count)
    order = np.lexsort((np.arange(len(rows)), rows["time_ns"], _streams(rows)))
    rows = rows[order]
    stream, site, depth = _streams(rows), rows["site"], rows["depth"] & np.uint32(0xFFFFFFF8)
    kind, function = site_kind[site], site_function[site]
    # Stretches of one kind in one goroutine: cheap exits, then as many RETs.
    begins = np.flatnonzero(np.append(True, (kind[1:] != kind[:-1]) | (stream[1:] != stream[:-1])))
    ends = np.append(begins[1:], len(rows))
    wrong: list[str] = []
    proven = unfinished = 0
    chained = np.array([site.kind == "chained" for site in plan.sites])[site]
    chains = 0
    stretch_kind = kind[begins]
    for at in np.flatnonzero(stretch_kind != OTHER).tolist():
        begin, end = begins[at], ends[at]
        if stretch_kind[at] == RET:
            if at == 0 or stretch_kind[at - 1] != CHEAP or stream[begins[at - 1]] != stream[begin]:
                wrong.append(_describe(plan, rows, begin, "a RET that was not foretold"))
            continue
        following = at + 1
        if following == len(begins) or stream[begins[following]] != stream[begin]:
            unfinished += end - begin
            continue
        first, last = begins[following], ends[following]
        same = stretch_kind[following] == RET and last - first == end - begin
        if (
            same
            and (function[begin:end] == function[first:last]).all()
            and (depth[begin:end] == depth[first:last]).all()
        ):
            proven += end - begin
            chains += int(np.count_nonzero(chained[begin:end]))
        else:
            wrong.append(_describe(plan, rows, begin, "an exit that its RET does not follow"))
    return Proof(int(proven), chains, wrong, int(unfinished))


def _kinds(plan: ProbePlan, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """What each site is to the comparison, and its function without distinguishing shadows."""
    kind = np.zeros(len(plan.sites), dtype=np.uint8)
    compared = {site.function - count for site in plan.sites if site.function >= count}
    for number, site in enumerate(plan.sites):
        if site.function >= count:
            kind[number] = RET
        elif site.role in (Role.EXIT, Role.POINT) and site.function in compared and _is_early(site.why):
            kind[number] = CHEAP
    function = np.array([site.function % count for site in plan.sites], dtype=np.uint32)
    return kind, function


def _is_early(why: str) -> bool:
    return not why.startswith("return")


def _streams(rows: Rows) -> NDArray[np.uint64]:
    """A number for each goroutine, or thread on a system stack."""
    system = rows["depth"] & np.uint32(3)
    who = np.where(system == 0, rows["goid"], np.uint64(1) << np.uint64(63) | rows["tid"].astype(np.uint64))
    keys = np.stack((rows["pid"].astype(np.uint64), who, system.astype(np.uint64)))
    return np.unique(keys, axis=1, return_inverse=True)[1].astype(np.uint64)


def _describe(plan: ProbePlan, rows: Rows, at: int, what: str) -> str:
    count = len(plan.functions) // 2
    around = []
    for row in rows[max(at - 3, 0) : at + 5]:
        site = plan.sites[row["site"]]
        shadow = "RET of " if site.function >= count else f"{site.role.name} at {site.address:#x} of "
        around.append(f"{shadow}{plan.functions[site.function].name} depth {int(row['depth']) & ~7}")
    return f"{what}: " + "; ".join(around)

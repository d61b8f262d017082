"""A machine with more CPUs than this one: the program loads, and what it loses is counted, ring by ring."""

from collections.abc import Callable

import numpy as np
import pytest

from funcrec.plan.builder import build_plan
from funcrec.plan.programs import ValueLimits
from funcrec.record.codegen import PidFilter
from funcrec.record.drain import Drain
from funcrec.record.losses import event_weights
from funcrec.record.probes import Probes
from funcrec.target.executable import Executable
from tests.conftest import Program
from tests.toolchain import PROGRAMS, go_build

COUNT, GOROUTINES = 20_011, 2


@pytest.mark.parametrize("rings", [pytest.param(64, marks=pytest.mark.slow), 512])
def test_as_many_rings_as_cpus(require_bpf: None, start_program: Callable[..., Program], rings: int) -> None:
    """Rings of one page each, and nobody drains them before the flood is over."""
    binary = go_build(PROGRAMS / "hot")
    executable = Executable.open(str(binary))
    subject = Probes(
        executable.runtime_layout,
        max_sites=200,
        buffer_bytes=rings * 4096,
        pid_filter=PidFilter.LISTED,
        gated=False,
        values=ValueLimits(),
        rings=rings,
    )
    try:
        plan = build_plan(executable, ["main.calm", "main.hot*"], [], max_probes=200)
        sources = subject.load()
        assert len(sources.rings) == len(sources.values) == len(sources.states) == rings
        program = start_program(binary, str(COUNT), str(GOROUTINES), "wait")
        assert program.read_line() == "ready"
        subject.list_pid(program.pid)
        drain = Drain(sources, event_weights(plan))
        subject.attach(plan, str(binary), [], entry_only=False)
        program.proceed()
        assert program.read_line() == "done"
        drain.start()
        drain.stop()
        batches = drain.take()
    finally:
        subject.close()
    weights = event_weights(plan)
    placed = sum(record.lost for batch in batches for record in batch.lost)
    sites = np.concatenate([batch.events["site"] for batch in batches])
    by_site = np.bincount(sites, minlength=len(plan.sites)) + drain.site_lost(len(plan.sites))
    hits = np.array([0 if site.spare else GOROUTINES * COUNT for site in plan.sites])
    assert drain.lost == placed > 0
    assert weights[sites].sum() + drain.lost == (weights * by_site).sum()
    names = {function.name: number for number, function in enumerate(plan.functions)}
    for name in ("main.calm", "main.hot1"):
        of_it = [number for number, site in enumerate(plan.sites) if site.function == names[name] and hits[number]]
        assert (by_site[of_it] == hits[of_it]).all(), name
    program.proceed()
    assert program.finish() == 0

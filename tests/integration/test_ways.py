"""The ways of attaching for kernels below 6.6, forced here: the same truth, nothing left behind."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from funcrec.errors import HostError
from funcrec.plan.builder import build_plan
from funcrec.plan.sites import Role
from funcrec.record import attach_perf, attach_tracefs
from funcrec.record.attach import Way, attacher
from funcrec.record.attach_tracefs import tracefs
from funcrec.record.codegen import PidFilter
from funcrec.record.machine import machine
from funcrec.record.places import Places, image_facts
from funcrec.record.probes import Probes
from funcrec.record.ways import FORCE
from funcrec.target.executable import Executable
from tests import truth
from tests.conftest import Program, Recorder, Starter, force_way, funcrec, probes, wait_until
from tests.integration.scenarios import own_workload, patterns, workload
from tests.toolchain import DEFAULT, EVERY_VERSION, PROGRAMS, c_compiler, go_build

FALLBACKS = [Way.TRACEFS, Way.PERF]
BUILDS = ["default", "pie", "unoptimised", "external-pie", "static-pie", "race"]


@pytest.fixture(params=FALLBACKS)
def way(request: pytest.FixtureRequest, require_bpf: None, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Force a way; skip what this kernel or mount does not have."""
    force_way(request.param, monkeypatch)
    return Way(request.param)


def own_hot(folder: Path, *flags: str) -> Path:
    """A copy: tests that run in parallel share the file, and with it the probes, otherwise."""
    return Path(shutil.copy(go_build(PROGRAMS / "hot", flags=flags), folder / "hot"))


def _options(path: Path) -> str:
    from funcrec.trace.reader import TraceReader

    with path.open("rb") as file:
        return str(TraceReader(file).header.options["attach"])


@pytest.mark.parametrize(
    ("variant", "scenario"),
    [
        ("default", "panics"),
        ("pie", "goexit"),
        *[
            pytest.param(variant, scenario, marks=pytest.mark.slow)
            for variant in BUILDS
            for scenario in ("basics", "threads", "exit", "fatal", "children", "reexec", "preemption")
        ],
    ],
)
def test_the_same_truth(way: Way, record: Recorder, variant: str, scenario: str) -> None:
    if variant not in ("default", "pie", "unoptimised") and c_compiler() is None:
        pytest.skip("this build needs a C compiler")
    arguments = [scenario, "3"] if scenario == "reexec" else [scenario]
    trace = record(workload(DEFAULT, variant), patterns(scenario), launch_args=arguments)
    assert trace.status == {"exit": 23, "fatal": 2}.get(scenario, 0), trace.stderr
    assert _options(trace.path) == way
    assert "left out: no goroutine" not in trace.stderr
    trace.check()
    assert trace.info["lost"] == 0
    assert trace.info["calls"] == len(trace.truth)


@pytest.mark.slow
@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("variant", ["default", "pie"])
def test_every_go_version(way: Way, record: Recorder, version: str, variant: str) -> None:
    trace = record(workload(version, variant), patterns("panics"), launch_args=["panics"])
    assert trace.status == 0, trace.stderr
    trace.check()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("-buildmode=pie",)])
def test_threads_started_from_c(way: Way, record: Recorder, flags: tuple[str, ...]) -> None:
    if c_compiler() is None:
        pytest.skip("cgo needs a C compiler")
    binary = go_build(PROGRAMS / "cthreads", flags=flags, env={"CGO_ENABLED": "1"})
    trace = record(binary, ["main.called", "main.deeper", "main.across"], launch_args=[])
    assert trace.status == 0, trace.stderr
    trace.check()


def test_some_of_several_processes(
    way: Way, start_recording: Starter, start_program: Callable[..., Program], tmp_path: Path
) -> None:
    binary = own_workload(tmp_path)
    programs = [start_program(binary, "attach") for _ in range(3)]
    assert {program.read_line() for program in programs} == {"ready"}
    chosen = [str(program.pid) for program in programs[:2]]
    recording = start_recording(binary, patterns("attach"), options=["-p", chosen[0], "-p", chosen[1]])
    recording.wait_armed()
    assert [bool(probes(program.pid, binary)) for program in programs] == [True, True, False]
    for program in programs:
        program.proceed()
        assert program.finish() == 0
    trace = recording.finish()  # ends with the processes
    assert trace.status == 0, trace.stderr
    assert {str(call["pid"]) for call in trace.calls} == set(chosen)
    for program in programs[:2]:
        rows = [row for row in truth.read_truth(program.truth_path) if row["func"] != "main.held"]
        calls = [call for call in trace.calls if call["pid"] == program.pid]
        assert len(calls) == len(rows)


@pytest.mark.parametrize("variant", [(), ("-buildmode=pie",)])
def test_no_hit_is_missed_or_comes_twice_when_sites_go(
    way: Way, start_program: Callable[..., Program], variant: tuple[str, ...], tmp_path: Path
) -> None:
    count, goroutines = 20_011, 2
    binary = own_hot(tmp_path, *variant)
    executable = Executable.open(str(binary))
    subject = Probes(
        executable.runtime_layout,
        max_sites=200,
        buffer_bytes=256 << 20,
        pid_filter=PidFilter.NONE,
        gated=False,
        way=way,
        image=image_facts(executable, machine()),
    )
    try:
        plan = build_plan(executable, ["main.calm", "main.hot*"], [], max_probes=200)
        sources = subject.load()
        subject.calibrate()
        for ring in sources.rings:
            ring.drain()
        program = start_program(binary, str(count), str(goroutines), "wait")
        assert program.read_line() == "ready"
        subject.attach(plan, str(binary), [program.pid], entry_only=False)
        program.proceed()
        numbers = {function.name: number for number, function in enumerate(plan.functions)}
        for name in (f"main.hot{number}" for number in range(8)):
            subject.drop([number for number, site in enumerate(plan.sites) if site.function == numbers[name]])
        assert program.read_line() == "done"
        rows = np.concatenate([ring.drain() for ring in sources.rings])
        roles = np.array([site.role for site in plan.sites])[rows["site"]]
        calm = np.array([site.function for site in plan.sites])[rows["site"]] == numbers["main.calm"]
        assert int(sources.states["lost_events"].sum()) == 0
        found = {role: int(np.count_nonzero(calm & (roles == role))) for role in (Role.ENTRY, Role.EXIT)}
        assert found == dict.fromkeys((Role.ENTRY, Role.EXIT), goroutines * count)
    finally:
        subject.close()
    assert not probes(program.pid, binary)
    program.proceed()
    assert program.finish() == 0


def test_after_a_kill_no_probe_is_left_and_the_next_recorder_sweeps_up(
    way: Way, start_recording: Starter, start_program: Callable[..., Program], tmp_path: Path
) -> None:
    hot = own_hot(tmp_path)
    program = start_program(hot, "20", "2", "forever")
    assert program.read_line() == "ready"
    program.proceed()
    first = start_recording(hot, ["main.outer"], name="first.zst")
    first.wait_armed()
    assert probes(program.pid, hot)
    first.interrupt(signal.SIGKILL)
    first.finish()
    wait_until(lambda: not probes(program.pid, hot), "the probes are gone")
    second = start_recording(hot, ["main.outer"], options=["--duration", "300ms"], name="second.zst")
    trace = second.finish()
    assert trace.status == 0, trace.stderr
    assert not probes(program.pid, hot)
    assert not _events(first.process.pid), "what a dead recorder left is still there"
    assert not _events(second.process.pid), "it has not swept up behind itself"
    program.process.kill()


@pytest.mark.parametrize("sudo", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_guard_works_and_sweeps_up_without_root(
    way: Way, start_recording: Starter, start_program: Callable[..., Program], sudo: bool, tmp_path: Path
) -> None:
    hot = own_hot(tmp_path)
    program = start_program(hot, "200001", "1", "wait")
    assert program.read_line() == "ready"
    nobody = {"SUDO_UID": "65534", "SUDO_GID": "65534"}
    recording = start_recording(
        hot,
        ["main.outer", "main.hot*"],
        options=["--max-overhead", "10%", "-p", str(program.pid)],
        env=nobody if sudo else {},
    )
    recording.wait_armed()
    program.proceed()
    assert program.read_line() == "done"
    recording.interrupt()
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    assert "no longer recording" in trace.stderr
    assert sum(call["func"] == "main.outer" for call in trace.calls) == 1
    assert not probes(program.pid, hot)
    assert not _events(recording.process.pid)
    program.proceed()
    assert program.finish() == 0


def _events(recorder: int) -> list[str]:
    """Events that a recorder has defined in tracefs and that are still there."""
    root = tracefs()
    if root is None:
        return []
    lines = (root / "uprobe_events").read_text().splitlines()
    return [line for line in lines if f"_{recorder}_" in line]


def test_too_many_for_the_way(way: Way, tmp_path: Path) -> None:
    most = {Way.TRACEFS: attach_tracefs.MOST, Way.PERF: attach_perf.MOST}[way]
    subject = attacher(way, -1, str(own_hot(tmp_path)), Places(-1))
    sites = range(most + 1)
    with pytest.raises(HostError, match=str(most + 1)) as error:
        subject.attach(sites, sites, [])
    assert str(most) in error.value.remedy
    subject.close()


def test_a_way_that_does_not_exist(tmp_path: Path) -> None:
    environment = os.environ | {FORCE: "magic"}
    done = funcrec(
        "record", "-u", "main.*", own_hot(tmp_path), "--", "1", "1", check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 2
    assert "FUNCREC_ATTACH='magic' is no way to attach" in done.stderr

"""The guard lets functions go while the rest is recorded on: exact to the call, and told in the trace."""

import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funcrec.plan.builder import build_plan
from funcrec.plan.sites import Role
from funcrec.record.codegen import PidFilter
from funcrec.record.ended import EndedError
from funcrec.record.probes import Probes
from funcrec.target.executable import Executable
from funcrec.trace.reader import TraceReader
from tests.conftest import Program, RecordedTrace, Recorder, Starter, funcrec, probes

HOT = [f"main.hot{number}" for number in range(8)]
GOROUTINES = 2


@pytest.mark.parametrize("by_pid", [False, True])
def test_no_hit_is_missed_or_comes_twice_when_links_follow_one_another(
    require_bpf: None, start_program: Callable[..., Program], hot: Path, by_pid: bool
) -> None:
    """Eight links in a row take over from one another in the middle of a flood; the function that stays has it all."""
    count = 30_011
    executable = Executable.open(str(hot))
    subject = Probes(
        executable.runtime_layout,
        max_sites=200,
        buffer_bytes=256 << 20,
        pid_filter=PidFilter.NONE,
        gated=False,
    )
    try:
        plan = build_plan(executable, ["main.calm", "main.hot*"], [], max_probes=200)
        sources = subject.load()
        program = start_program(hot, str(count), str(GOROUTINES), "wait")
        assert program.read_line() == "ready"
        subject.attach(plan, str(hot), [program.pid] if by_pid else [], entry_only=False)
        program.proceed()
        numbers = {function.name: number for number, function in enumerate(plan.functions)}
        for name in HOT:
            sites = [number for number, site in enumerate(plan.sites) if site.function == numbers[name]]
            subject.drop(sites)
        assert program.read_line() == "done"
        rows = np.concatenate([ring.drain() for ring in sources.rings])
        roles = np.array([site.role for site in plan.sites])[rows["site"]]
        calm = np.array([site.function for site in plan.sites])[rows["site"]] == numbers["main.calm"]
        found = {role: int(np.count_nonzero(calm & (roles == role))) for role in (Role.ENTRY, Role.EXIT)}
        lost = int(sources.states["lost_events"].sum())
        assert lost == 0
        assert found == {Role.ENTRY: GOROUTINES * count, Role.EXIT: GOROUTINES * count}
    finally:
        subject.close()
    assert not probes(program.pid, hot)
    program.proceed()
    assert program.finish() == 0


def test_the_order_of_links_is_tried_before_anything_relies_on_it(require_bpf: None, hot: Path) -> None:
    """Twice on this kernel: with the newer link called the newer one, and with the older one called so."""
    executable = Executable.open(str(hot))
    subject = Probes(
        executable.runtime_layout, max_sites=10, buffer_bytes=1 << 20, pid_filter=PidFilter.NONE, gated=False
    )
    try:
        sources = subject.load()
        subject.calibrate()
        assert subject.hands_over
        before = sources.states["sequence"].sum()
        assert subject.try_order(young=1)
        assert not subject.try_order(young=0)
        assert sources.states["sequence"].sum() == before, "what is tried leaves no events"
    finally:
        subject.close()


def test_what_is_let_go_while_probes_are_set_is_not_armed(
    require_bpf: None, start_program: Callable[..., Program], hot: Path
) -> None:
    executable = Executable.open(str(hot))
    subject = Probes(
        executable.runtime_layout, max_sites=200, buffer_bytes=8 << 20, pid_filter=PidFilter.NONE, gated=False
    )
    try:
        plan = build_plan(executable, ["main.calm", "main.outer"], [], max_probes=200)
        sources = subject.load()
        program = start_program(hot, "101", "1", "wait")
        assert program.read_line() == "ready"
        name = {number: plan.functions[site.function].name for number, site in enumerate(plan.sites)}
        calm = [number for number in name if name[number] == "main.calm"]
        subject.attach(plan, str(hot), [program.pid], entry_only=False, leave_out=lambda: calm)
        program.proceed()
        assert program.read_line() == "done"
        rows = np.concatenate([ring.drain() for ring in sources.rings])
        told = [(name[row["site"]], plan.sites[row["site"]].role) for row in rows if row["pid"] == program.pid]
        assert ("main.outer", Role.ENTRY) in told
        assert ("main.calm", Role.ENTRY) not in told
    finally:
        subject.close()


def test_a_process_that_ends_while_probes_are_set_does_not_end_the_recording_of_others(
    require_bpf: None, start_program: Callable[..., Program], hot: Path
) -> None:
    executable = Executable.open(str(hot))
    ended = subprocess.Popen(["true"])
    ended.wait()
    plan = build_plan(executable, ["main.calm", "main.outer"], [], max_probes=200)
    numbers = {plan.functions[site.function].name: number for number, site in enumerate(plan.sites)}
    subject = Probes(
        executable.runtime_layout, max_sites=200, buffer_bytes=8 << 20, pid_filter=PidFilter.NONE, gated=False
    )
    try:
        sources = subject.load()
        program = start_program(hot, "101", "1", "wait")
        assert program.read_line() == "ready"
        with pytest.raises(EndedError, match=str(ended.pid)):
            subject.attach(plan, str(hot), [ended.pid], entry_only=False)
        subject.detach()
        subject.attach(plan, str(hot), [program.pid, ended.pid], entry_only=False)
        subject.drop([numbers["main.calm"]])
        program.proceed()
        assert program.read_line() == "done"
        sites = np.concatenate([ring.drain() for ring in sources.rings])["site"]
        assert numbers["main.outer"] in sites
        assert numbers["main.calm"] not in sites
    finally:
        subject.close()


def _guarded(record: Recorder, hot: Path, limit: str, *patterns: str) -> RecordedTrace:
    options = ["--max-overhead", limit, "-b", "256M"]
    return record(hot, patterns, launch_args=["60001", str(GOROUTINES)], options=options)


def test_the_hottest_go_and_the_rest_is_whole(record: Recorder, hot: Path) -> None:
    """Above the limit hot7 with its callees and others go; what is called once a loop like calm may go as well."""
    trace = _guarded(record, hot, "1%", "main.outer", "main.hot*", "main.within", "main.main")
    assert trace.status == 0, trace.stderr
    with trace.path.open("rb") as file:
        reader = TraceReader(file)
    notes = [note for note in reader.notes if note.what == "guard"]
    assert notes
    assert "--max-overhead 1%" in trace.stderr
    gone = {reader.functions[number].name: note.time_ns - trace.base_ns for note in notes for number in note.functions}
    assert gone
    assert "main.outer" not in gone
    by_name = Counter(call["func"] for call in trace.calls)
    assert by_name["main.outer"] == GOROUTINES
    calls = {call["id"]: call for call in trace.calls}
    for call in trace.calls:
        if call["func"] in gone:
            assert call["start_ns"] < gone[call["func"]], "an event after its function was let go"
        if call["func"] == "main.within":
            parent = calls[call["parent"]]["func"]
            let_go = gone.get("main.hot7", 1 << 62) <= call["start_ns"]
            assert parent == ("main.outer" if let_go else "main.hot7")
    assert {call["state"] for call in trace.calls} <= {"returned", "open"}
    assert all(call["state"] == "returned" for call in trace.calls if call["func"] not in gone)
    for view in ("report", "info"):
        assert "no longer recording main." in funcrec(view, trace.path).stdout


def test_a_recording_that_is_all_too_dear_ends(
    start_recording: Starter, start_program: Callable[..., Program], hot: Path
) -> None:
    program = start_program(hot, "400000000", "1", "wait")
    assert program.read_line() == "ready"
    recording = start_recording(hot, ["main.calm"], options=["-p", str(program.pid), "--max-overhead", "1%"])
    recording.wait_armed()
    program.proceed()
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    assert "the recording ends" in trace.stderr
    assert not probes(program.pid, hot)
    assert funcrec("info", trace.path, "--check").returncode == 0
    program.process.send_signal(signal.SIGKILL)


def test_a_running_process_is_guarded_by_default_and_a_launched_one_is_not(
    require_bpf: None, start_program: Callable[..., Program], hot: Path, tmp_path: Path
) -> None:
    program = start_program(hot, "1", "1", "wait")
    assert program.read_line() == "ready"
    for name, where, limit in [
        ("launched", ["--", "1", "1"], None),
        ("attached", ["-p", str(program.pid), "--duration", "100ms"], 25),
        ("anyone", ["--duration", "100ms"], 25),
    ]:
        path = tmp_path / name
        funcrec("record", "-u", "main.outer", hot, "-o", path, *where)
        assert _header_limit(path) == limit, name


def _header_limit(path: Path) -> Any:
    with path.open("rb") as file:
        return TraceReader(file).header.options["max_overhead"]


@pytest.mark.parametrize("limit", ["0%", "-1", "fast", ""])
def test_a_limit_that_is_none(limit: str) -> None:
    done = funcrec("record", "-u", "x", "x", "--max-overhead", limit, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "percentage" in done.stderr

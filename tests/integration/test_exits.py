"""Exits at emulated instructions: the same returns as RETs tell, in real programs, and the same calls in traces."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL

import pytest

from funcrec.target.executable import Executable
from funcrec.trace.reader import TraceReader
from funcrec.trace.records import SiteRole
from tests import exitproof
from tests.conftest import RecordedTrace, Recorder
from tests.toolchain import DEFAULT, PROGRAMS, ROOT, VERSIONS, go_build, go_tool

# Functions of the compiler itself and of its libraries; the runtime's run on the stacks of others at any time.
COMPILER = ["*", "!runtime*", "!internal/runtime*", "!reflect*"]
# Packages that import nothing are compiled by a single command.
PACKAGES = ["container/ring", "container/list", "unicode/utf8", "image/color"]


def _prove_compiler(version: str, folder: Path, packages: Sequence[str]) -> exitproof.Proof:
    root = go_tool(version).parent.parent
    binary = root / "pkg" / "tool" / "linux_amd64" / "compile"
    executable = Executable.open(str(binary))
    plan = exitproof.shadowed(executable, COMPILER)
    commands = []
    for package in packages:
        sources = sorted(path for path in (root / "src" / package).glob("*.go") if not path.name.endswith("_test.go"))
        commands.append([binary, "-p", package, "-complete", "-o", folder / "out.a", *sources])
    rows = exitproof.watch(binary, plan, executable, commands, env=os.environ | {"GOGC": "20"})
    return exitproof.prove(plan, rows)


def _check(proof: exitproof.Proof, at_least: int) -> None:
    assert not proof.wrong, "\n".join(proof.wrong[:5])
    assert proof.exits > at_least
    assert proof.chained > at_least // 20
    assert proof.unfinished < 50


@pytest.mark.usefixtures("require_bpf")
def test_every_exit_of_the_compiler_is_followed_by_its_ret(tmp_path: Path) -> None:
    _check(_prove_compiler(DEFAULT, tmp_path, PACKAGES[:1]), 50_000)


@pytest.mark.slow
@pytest.mark.usefixtures("require_bpf")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_exit_of_every_compiler_is_followed_by_its_ret(version: str, tmp_path: Path) -> None:
    _check(_prove_compiler(version, tmp_path, PACKAGES), 100_000)


def _prove_server(version: str, length: str, flags: Sequence[str] = ()) -> exitproof.Proof:
    """A web server and its clients in one process: goroutines that wait, panic, recover, end by the clock."""
    env = {"CGO_ENABLED": "1"} if "-race" in flags else {}
    binary = go_build(ROOT / "demo" / "shop", version=version, flags=flags, env=env)
    executable = Executable.open(str(binary))
    plan = exitproof.shadowed(executable, COMPILER)
    command = [binary, "-for", length, "-clients", "8"]
    rows = exitproof.watch(
        binary, plan, executable, [command], env=os.environ | {"GOGC": "20"}, stderr=DEVNULL, stdout=DEVNULL
    )
    return exitproof.prove(plan, rows)


@pytest.mark.usefixtures("require_bpf")
def test_every_exit_of_a_web_server_is_followed_by_its_ret() -> None:
    _check(_prove_server(DEFAULT, "500ms"), 50_000)


@pytest.mark.slow
@pytest.mark.usefixtures("require_bpf")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_exit_of_every_web_server_is_followed_by_its_ret(version: str) -> None:
    _check(_prove_server(version, "5s"), 100_000)


@pytest.mark.slow
@pytest.mark.usefixtures("require_bpf")
@pytest.mark.parametrize("flags", [("-buildmode=pie",), ("-gcflags=all=-N -l",), ("-race",)])
def test_every_exit_of_other_builds_is_followed_by_its_ret(flags: Sequence[str]) -> None:
    _check(_prove_server(DEFAULT, "3s", flags), 50_000)


TAILS = [
    f"main.{name}"
    for name in (
        "leaf",
        "store",
        "divide",
        "first",
        "touch",
        "after",
        "above",
        "thenQuiet",
        "search",
        "searchBy",
        "deep",
        "tries",
        "round",
    )
]


def _shape(trace: RecordedTrace) -> list[tuple[object, ...]]:
    """Everything about the calls but times and numbers, goroutine by goroutine, which are all alike here."""
    calls = trace.calls
    rows: dict[int, list[tuple[object, ...]]] = {}
    for call in calls:
        parent = None if call["parent"] is None else calls[call["parent"]]["func"]
        row = (call["func"], call["state"], call["depth"], parent, call["caller"], call["caller_offset"])
        rows.setdefault(call["goid"], []).append(row)
    return sorted(rows.values(), key=repr)


@pytest.mark.usefixtures("require_bpf")
@pytest.mark.parametrize("options", [[], ["--min", "1ns"]])
def test_sites_that_are_hit_in_vain_give_way_to_rets(record: Recorder, options: list[str]) -> None:
    program = go_build(PROGRAMS / "tails")
    trace = record(program, ["main.searchSilently", "main.long", "main.touch"], launch_args=["long"], options=options)
    assert trace.status == 0
    states = Counter((call["func"], call["state"]) for call in trace.calls)
    assert states == {("main.searchSilently", "returned"): 300, ("main.long", "returned"): 1}
    reader = TraceReader(trace.path)
    assert [note.what for note in reader.notes] == ["exits"]
    hits = reader.closing.site_hits if reader.closing else {}
    stepped = [n for n, site in enumerate(reader.sites) if site.role == SiteRole.EXIT and site.stepped and hits.get(n)]
    assert stepped, "the RET took over"
    assert max(hits.values()) < 300 * 150_000
    # One return may be on its way from the one site to the other when the other takes over.
    assert reader.closing
    assert reader.closing.events in (2 * 301, 2 * 301 + 1)


@pytest.mark.usefixtures("require_bpf")
@pytest.mark.parametrize("options", [["--min", "1h"], ["--if", "n == -1"], ["--if", "n == 8"]])
def test_returns_of_calls_that_are_not_wanted_are_not_in_vain(record: Recorder, options: list[str]) -> None:
    """They would cost as much at the RETs, and more."""
    trace = record(go_build(PROGRAMS / "tails"), ["main.unlikely"], launch_args=["often"], options=options)
    assert trace.status == 0
    assert not trace.calls
    reader = TraceReader(trace.path)
    assert not reader.notes
    assert reader.closing
    assert sum(reader.closing.site_hits.values()) >= 600_000


@pytest.mark.usefixtures("require_bpf")
@pytest.mark.parametrize("flags", [(), ("-gcflags=-N -l",), ("-buildmode=pie",)])
def test_a_fault_takes_back_the_exits_that_it_overtakes(record: Recorder, flags: tuple[str, ...]) -> None:
    program = go_build(PROGRAMS / "tails", flags=flags)
    cheap, plain = (
        record(program, TAILS, launch_args=[], options=["--exits", mode], name=f"{mode}.zst")
        for mode in ("auto", "ret")
    )
    assert cheap.status == plain.status == 0
    assert cheap.info["lost"] == plain.info["lost"] == 0
    assert _shape(cheap) == _shape(plain)
    states = Counter(call["state"] for call in cheap.calls)
    assert states["panicked"] >= 4 * 50 * 9


@pytest.mark.usefixtures("require_bpf")
@pytest.mark.parametrize("options", [["--min", "1ns"], ["main.round"]])
def test_faults_under_filters_of_the_kernel(record: Recorder, options: list[str]) -> None:
    """What the kernel has dropped cannot be taken back, so no tail may fault there.

    Calls that begin and end with the same hit last no time, which is below any --min.
    """
    program = go_build(PROGRAMS / "tails")
    cheap, plain = (
        record(program, TAILS, launch_args=[], options=[*options, "--exits", mode], name=f"{mode}.zst")
        for mode in ("auto", "ret")
    )
    assert _counts(cheap) == _counts(plain)


def _counts(trace: RecordedTrace) -> Counter[tuple[str, str]]:
    short = ("main.leaf", "main.store", "main.divide", "main.touch")
    calls = [(call["func"], call["state"]) for call in trace.calls]
    return Counter(call for call in calls if call[0] not in short or call[1] != "returned")

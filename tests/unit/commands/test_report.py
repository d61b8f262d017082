"""`report` and `info` as a user runs them, on traces made in memory."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

import funcrec as library
from funcrec.trace.records import CallSite, LostRecord
from tests.calltrees import make_trace, random_tree_events
from tests.conftest import funcrec
from tests.files import write_trace

SITES = (CallSite(0x5000, "main.main", 16, "/src/main.go", 7), CallSite(0x6000, "main.a", 32, "/src/a.go", 9))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    trace = make_trace([random_tree_events(random.Random(1), 300)], call_sites=SITES)
    return write_trace(tmp_path_factory.mktemp("traces") / "whole.zst", trace)


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lost = [LostRecord(0, 1100, 1200, 5)]
    trace = make_trace([random_tree_events(random.Random(2), 300)], call_sites=SITES, lost=lost)
    return write_trace(tmp_path_factory.mktemp("traces") / "lossy.zst", trace)


@pytest.fixture(scope="module")
def damaged(whole: Path) -> Path:
    """One bit of the block of events is wrong."""
    content = bytearray(whole.read_bytes())
    with library.open(whole).reader as reader:
        content[reader.blocks[0].offset + 60] ^= 1
    path = whole.with_name("damaged.zst")
    path.write_bytes(content)
    return path


def test_the_same_trace_gives_the_same_bytes(whole: Path) -> None:
    first = funcrec("report", whole)
    assert first.stdout == funcrec("report", "-i", whole).stdout
    assert "# lost: 0" in first.stdout
    assert first.stderr == ""


def test_jsonl_has_exactly_the_matching_calls(whole: Path) -> None:
    everything = [json.loads(line) for line in funcrec("report", whole, "--format", "jsonl").stdout.splitlines()]
    assert [call["id"] for call in everything] == list(range(len(everything)))
    some = funcrec("report", whole, "--min", "10ns", "-G", "1,3", "--format", "jsonl").stdout.splitlines()
    wanted = [c["id"] for c in everything if c["dur_ns"] is not None and c["dur_ns"] >= 10 and c["goid"] in (1, 3)]
    assert [json.loads(line)["id"] for line in some] == wanted


def test_several_files_come_one_after_the_other(whole: Path, lossy: Path) -> None:
    done = funcrec("report", whole, lossy)
    assert done.stdout.count("# lost: ") == 2
    assert "# lost: 5 events" in done.stdout
    assert "5 events were lost" in done.stderr


def test_a_filter_that_matches_nothing_says_so(whole: Path) -> None:
    done = funcrec("report", whole, "--min", "1h", "--format", "jsonl")
    assert done.stdout == ""
    assert "0 of" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--min", "5"),
        ("--min", "1parsec"),
        ("-G", "77"),
        ("--pid", "1"),
        ("-F", "nothing.*"),
        ("--where", "dur >"),
        ("--where", "dur > 'x'"),
        ("-r", "1s"),
        ("-D", "0"),
        ("-n", "0"),
        ("--overhead", "subtract"),
        ("-s", "dur_ns"),
        ("--format", "xml"),
        ("--frobnicate",),
    ],
)
def test_unusable_options_end_with_2_and_print_nothing(whole: Path, arguments: tuple[str, ...]) -> None:
    done = funcrec("report", whole, *arguments, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["report", "info"])
def test_no_trace_is_5_and_no_file_is_2(command: str, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"not a trace at all" * 10)
    assert funcrec(command, foreign, check=False).returncode == 5
    assert funcrec(command, tmp_path / "missing", check=False).returncode == 5
    assert funcrec(command, "--no-pager", check=False).returncode == 2


def test_strict_refuses_loss_and_damage(whole: Path, lossy: Path, damaged: Path) -> None:
    assert funcrec("report", whole, "--strict").returncode == 0
    assert funcrec("report", lossy, "--strict", check=False).returncode == 3
    assert funcrec("report", damaged, "--strict", check=False).returncode == 3
    assert funcrec("info", lossy, "--strict", check=False).returncode == 3


def test_damage_is_told_and_what_is_intact_is_shown(damaged: Path) -> None:
    done = funcrec("report", damaged)
    assert "damaged, what is intact" in done.stderr
    assert "# damaged: " in done.stdout
    checked = funcrec("info", damaged, "--check", check=False)
    assert checked.returncode == 5
    assert "damaged, what is intact" in checked.stderr
    assert json.loads(funcrec("info", damaged, "--format", "json").stdout)["damage"]


def test_info_for_programs(whole: Path, lossy: Path) -> None:
    facts = json.loads(funcrec("info", whole, "--check", "--format", "json").stdout)
    calls = funcrec("report", whole, "--format", "jsonl").stdout.splitlines()
    assert facts["version"] == 1
    assert facts["lost"] == 0
    assert facts["calls"] == len(calls) == sum(function["calls"] for function in facts["functions"])
    assert facts["events"] > facts["calls"]
    assert facts["go_version"] == "go1.26.0"
    assert facts["build_id"] == "abc"
    assert {function["name"] for function in facts["functions"]} == {"main.a", "main.b", "main.c"}
    assert all(function["sites"] == 3 for function in facts["functions"])
    assert facts["skipped"] == []
    assert json.loads(funcrec("info", lossy, "--format", "json").stdout)["lost"] == 5
    both = json.loads(funcrec("info", whole, lossy, "--format", "json").stdout)
    assert [each["lost"] for each in both] == [0, 5]


def test_info_for_people(whole: Path) -> None:
    lines = funcrec("info", whole).stdout.splitlines()
    assert "# lost: 0" in lines
    assert any(line.startswith("# program: /srv/svc, go1.26.0") for line in lines)
    assert any(line.endswith("  main.a") for line in lines)


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    trace = make_trace([random_tree_events(random.Random(3), 20_000)], call_sites=SITES)
    path = write_trace(tmp_path / "long.zst", trace)
    command = f"'{sys.executable}' -m funcrec report '{path}' | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_the_library_is_what_the_commands_use(whole: Path) -> None:
    with library.open(whole) as trace:
        trace.table()
    assert len(trace.calls(where="func == 'main.a'")) == sum(
        '"func":"main.a"' in line for line in funcrec("report", whole, "--format", "jsonl").stdout.splitlines()
    )
    assert [call["id"] for call in trace.calls(min_ns=10)] == trace.calls(where="dur >= 10").rows.tolist()
    with pytest.raises(library.UsageError):
        trace.calls(where="what")
    with pytest.raises(library.TraceError):
        library.open(Path(__file__))


def test_importing_the_library_loads_nothing_heavy() -> None:
    script = "import sys, funcrec; print([m for m in ('numpy', 'typer', 'msgpack', 'zstandard') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"

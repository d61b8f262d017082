import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from funcrec.trace.records import CallSite, LostRecord, SiteRole
from tests.calltrees import Event, function_site, make_trace
from tests.conftest import funcrec
from tests.files import write_trace

NAMES = ("main.handle", "main.add", "example.com/db.(*Pool).Get")
SITES = [CallSite(0x10, "main.main", 4, "/src/main.go", 7), CallSite(0x20, "main.handle", 9, "/src/main.go", 12)]
CONTRACT = ["func", "calls", "total_ns", "self_ns", "min_ns", "avg_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns"]


def call(function: int, start_ns: int, end_ns: int | None, depth: int, goid: int = 1, caller: int = 2) -> list[Event]:
    entry = Event(start_ns, function_site(function, SiteRole.ENTRY), depth, goid, caller=caller)
    return [entry] if end_ns is None else [entry, Event(end_ns, function_site(function, SiteRole.EXIT), depth, goid)]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """handle (1000 ns) calls add three times (100, 200, 300 ns); another goroutine's handle calls Get, both open."""
    events = [
        *call(0, 1000, 2000, 64, caller=1),
        *call(1, 1100, 1200, 128),
        *call(1, 1300, 1500, 128),
        *call(1, 1600, 1900, 128),
        *call(0, 1000, None, 64, goid=2, caller=1),
        *call(2, 1500, None, 128, goid=2),
    ]
    lost = [LostRecord(0, 10, 20, 7)]
    events.sort(key=lambda event: event.time_ns)
    return write_trace(
        tmp_path_factory.mktemp("stat") / "trace.zst", make_trace([events], NAMES, call_sites=SITES, lost=lost)
    )


def stat(*arguments: str | Path) -> list[dict[str, Any]]:
    return json.loads(funcrec("stat", *arguments, "--format", "json").stdout)


def test_the_machine_contract(trace: Path) -> None:
    rows = stat(trace)
    assert [list(row) for row in rows] == [CONTRACT] * 3
    by_name = {row["func"]: list(row.values())[1:] for row in rows}
    assert by_name["main.add"] == [3, 600, 600, 100, 200, 200, 300, 300, 300]
    assert by_name["main.handle"] == [2, 1000, 400, *[1000] * 6]
    assert by_name["example.com/db.(*Pool).Get"] == [1, *[None] * 8]
    assert [row["func"] for row in rows][:2] == ["main.handle", "main.add"]


def test_text_has_head_and_aligned_columns(trace: Path) -> None:
    head, endings, cost, losses, titles, *rows = funcrec("stat", trace).stdout.splitlines()
    assert "6 calls of 3 functions in 2 goroutines" in head
    assert (endings, losses) == ("# 4 returned, 2 open", "# lost: 7 events")
    assert "not measured" in cost
    assert titles.split() == ["total", "self", "calls", "avg", "p50", "p99", "max", "function"]
    assert " ".join(rows[0].split()) == "1.000 us 400 ns 2 1.000 us 1.000 us 1.000 us 1.000 us main.handle"
    assert {row.index(row.split()[-1]) for row in rows} == {titles.index("function")}


@pytest.mark.parametrize(
    ("by", "calls"),
    [
        ("goroutine", {1: 4, 2: 2}),
        ("package", {"main": 5, "example.com/db": 1}),
        ("caller", {"main.main": 2, "main.handle": 4}),
        ("line", {"/src/main.go:7": 2, "/src/main.go:12": 4}),
        ("state", {"returned": 4, "open": 2}),
        ("pid", {100: 6}),
        ("depth", {0: 2, 1: 4}),
        ("creator", {None: 6}),
        ("dur/200ns", {0: 1, 1: 2, 5: 1}),
        ('func =~ "main.*"', {True: 5, False: 1}),
    ],
)
def test_groupings(trace: Path, by: str, calls: dict[Any, int]) -> None:
    assert {row[by]: row["calls"] for row in stat(trace, "--by", by)} == calls


def test_groupings_combine_and_several_traces_merge(trace: Path) -> None:
    assert len(stat(trace, "--by", "func", "--by", "state")) == 4
    once, twice = stat(trace), stat(trace, trace)
    assert [row["calls"] for row in twice] == [2 * row["calls"] for row in once]
    assert [row["p99_ns"] for row in twice] == [row["p99_ns"] for row in once]
    copy = trace.with_name("copy.zst")
    copy.write_bytes(trace.read_bytes())
    assert {row["file"]: row["calls"] for row in stat(trace, copy, "--by", "file")} == {str(trace): 6, str(copy): 6}


def test_fields_sort_and_top(trace: Path) -> None:
    rows = stat(trace, "-f", "func,calls,open,stddev_ns,panics", "-s", "-calls,func", "-n", "2")
    assert rows == [
        {"func": "example.com/db.(*Pool).Get", "calls": 1, "open": 1, "stddev_ns": None, "panics": 0},
        {"func": "main.handle", "calls": 2, "open": 1, "stddev_ns": None, "panics": 0},
    ]
    assert stat(trace, "-f", "stddev_ns", "-F", "main.add") == [{"stddev_ns": 100}]


def test_filters(trace: Path) -> None:
    assert [row["func"] for row in stat(trace, "-t", "200ns")] == ["main.handle", "main.add"]
    assert "2 of 6 calls" in funcrec("stat", trace, "--where", "dur < 300ns").stdout
    nothing = funcrec("stat", trace, "--min", "1h", "--format", "json")
    assert (json.loads(nothing.stdout), "0 of 6 calls" in nothing.stderr) == ([], True)


def test_short_names_and_source_lines(trace: Path) -> None:
    rows = stat(trace, "--names", "short", "--srcline")
    assert {row["func"]: row["source"] for row in rows}["db.(*Pool).Get"] == "/src/example.com/db.(*Pool).Get.go:12"
    assert "/src/main.add.go:11" in funcrec("stat", trace, "--srcline").stdout


def test_csv_and_jsonl(trace: Path) -> None:
    table = list(csv.DictReader(io.StringIO(funcrec("stat", trace, "--format", "csv").stdout)))
    assert [row["func"] for row in table] == [row["func"] for row in stat(trace)]
    assert table[0]["total_ns"] == "1000"
    lines = funcrec("stat", trace, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == stat(trace)


def test_strict_refuses_losses_after_answering(trace: Path) -> None:
    done = funcrec("stat", trace, "--strict", check=False)
    assert done.returncode == 3
    assert "main.add" in done.stdout


@pytest.mark.parametrize("arguments", [["-f", "nothing"], ["-s", "nothing"], ["--by", "nothing"], ["--by", "dur >"]])
def test_what_makes_no_sense_is_refused(trace: Path, arguments: list[str]) -> None:
    done = funcrec("stat", trace, *arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("funcrec: ")
    assert "try: " in done.stderr

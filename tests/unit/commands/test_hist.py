import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from funcrec.trace.records import SiteRole
from tests.calltrees import Event, function_site, make_trace
from tests.conftest import funcrec
from tests.files import write_trace

DURATIONS = [600, 700, 800, 1_500, 1_600, 600_000, 999_999]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calls of main.a by DURATIONS, one every millisecond; the last, of main.b, stays open."""
    events = []
    for at, ns in enumerate(DURATIONS):
        start_ns = at * 10**6
        events.append(Event(start_ns, function_site(0, SiteRole.ENTRY), 64))
        events.append(Event(start_ns + ns, function_site(0, SiteRole.EXIT), 64))
    events.append(Event(10**7, function_site(1, SiteRole.ENTRY), 64))
    return write_trace(tmp_path_factory.mktemp("hist") / "trace.zst", make_trace([events]))


def hist(*arguments: str | Path) -> list[dict[str, Any]]:
    return json.loads(funcrec("hist", *arguments, "--format", "json").stdout)


def test_the_machine_contract(trace: Path) -> None:
    (row,) = hist(trace)
    assert (row["key"], row["n"]) == (None, 7)
    assert row["p50_ns"] == pytest.approx(1_500, rel=0.01)
    assert row["p99_ns"] == pytest.approx(999_999, rel=0.01)
    assert [each for each in row["buckets"] if each["count"]] == [
        {"min": 512, "max": 1000, "count": 3},
        {"min": 1000, "max": 2000, "count": 2},
        {"min": 512_000, "max": 1_000_000, "count": 2},
    ]
    for low, high in zip(row["buckets"], row["buckets"][1:], strict=False):
        assert low["max"] == high["min"]


def test_text_has_intervals_and_bars(trace: Path) -> None:
    lines = funcrec("hist", trace).stdout.splitlines()
    assert "8 calls" in lines[0]
    assert "7 returned, 1 open" in lines[1]
    assert lines[3] == "# lost: 0"
    assert "1 call left out" in lines[4]
    assert "n=7" in lines[6]
    assert lines[7] == f"  [512ns, 1us)    3  {'█' * 40}"
    assert lines[-1].startswith("  [512us, 1ms)    2  ███")


def test_plain_characters_where_the_reader_has_no_others(trace: Path) -> None:
    lines = funcrec("hist", trace, prefix=["env", "PYTHONIOENCODING=ascii"]).stdout.splitlines()
    assert lines[7] == f"  [512ns, 1us)    3  {'#' * 40}"


def test_linear_bins(trace: Path) -> None:
    (row,) = hist(trace, "--linear", "0,2us,500ns")
    assert [each["count"] for each in row["buckets"]] == [3, 0, 2, 2] or row["buckets"][0]["min"] == 500
    assert row["buckets"][-1] == {"min": 2000, "max": None, "count": 2}


def test_one_distribution_per_bucket_of_an_expression(trace: Path) -> None:
    rows = hist(trace, "--by", "dur/1us")
    assert [(row["key"], row["n"]) for row in rows] == [(0, 3), (1, 2), (600, 1), (999, 1)]
    assert "dur in [1us, 2us)  n=2" in funcrec("hist", trace, "--by", "dur/1us").stdout
    assert [row["key"] for row in hist(trace, "--by", "func")] == ["main.a"]
    assert [row["key"] for row in hist(trace, "--by", "func", "--by", "depth")] == [["main.a", 0]]


def test_other_numbers_have_no_unit(trace: Path) -> None:
    (row,) = hist(trace, "--of", "depth + 5")
    assert (row["n"], row["p50"], row["buckets"]) == (8, 5, [{"min": 4, "max": 8, "count": 8}])
    assert "(..., 0)" in funcrec("hist", trace, "--of", "0 - dur/1ns - 1").stdout


def test_over_time(trace: Path) -> None:
    rows = hist(trace, "--over", "time")
    assert [row["start_ns"] for row in rows] == [at * 10**6 for at in range(7)]
    assert {row["end_ns"] - row["start_ns"] for row in rows} == {200_000}
    text = funcrec("hist", trace, "--over", "time").stdout
    assert "one column is 200.000 us" in text


def test_bins_of_several_traces_add_up(trace: Path) -> None:
    (once,), (twice,) = hist(trace), hist(trace, trace)
    assert [each["count"] for each in twice["buckets"]] == [2 * each["count"] for each in once["buckets"]]


def test_csv_has_a_line_per_bin(trace: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(funcrec("hist", trace, "--format", "csv").stdout)))
    assert rows[0] == {"key": "", "min": "512", "max": "1000", "count": "3"}
    assert sum(int(row["count"]) for row in rows) == 7


@pytest.mark.parametrize(
    "arguments",
    [["--of", "func"], ["--linear", "1,2"], ["--linear", "0,x,1"], ["--over", "space"], ["--linear", "5,1,1"]],
)
def test_what_makes_no_sense_is_refused(trace: Path, arguments: list[str]) -> None:
    done = funcrec("hist", trace, *arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "try: " in done.stderr

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

GOLDEN = sorted((Path(__file__).parents[3] / "formats" / "golden").glob("v*/*.zst"))


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """main.a (1000 ns) calls main.b (300 ns); main.c stays open; five events were lost."""
    events = [
        Event(1_000, function_site(0, SiteRole.ENTRY), 64, caller=1),
        Event(1_200, function_site(1, SiteRole.ENTRY), 128, caller=2),
        Event(1_500, function_site(1, SiteRole.EXIT), 128),
        Event(2_000, function_site(0, SiteRole.EXIT), 64),
        Event(3_000, function_site(2, SiteRole.ENTRY), 64, goid=2, caller=1),
    ]
    sites = [CallSite(0x10, "main.main", 4, "/src/main.go", 7), CallSite(0x20, "main.a", 9, "/src/main.go", 12)]
    lost = [LostRecord(0, 10, 20, 5)]
    path = tmp_path_factory.mktemp("sql") / "it's a trace.zst"
    return write_trace(path, make_trace([events], call_sites=sites, lost=lost))


def sql(*arguments: str | Path) -> list[dict[str, Any]]:
    return json.loads(funcrec("sql", *arguments, "--format", "json").stdout)


def test_calls_are_those_of_the_report(trace: Path) -> None:
    rows = sql(trace, "select * from calls order by id")
    reported = json.loads(funcrec("report", trace, "--format", "json").stdout)
    kept = [{key: row[key] for key in row if key != "trace"} for row in rows]
    assert kept == [{key: call[key] for key in kept[0]} for call in reported]
    assert {row["trace"] for row in rows} == {str(trace)}


def test_every_table(trace: Path) -> None:
    assert sql(trace, "select name, package, calls from functions order by id") == [
        {"name": f"main.{letter}", "package": "main", "calls": 1} for letter in "abc"
    ]
    assert sql(trace, "select goid, calls, busy_ns, ended from goroutines") == [
        {"goid": 1, "calls": 2, "busy_ns": 1_000, "ended": "unknown"},
        {"goid": 2, "calls": 1, "busy_ns": 0, "ended": "open"},
    ]
    assert sql(trace, "select ring, kind, first_ns, last_ns, count from losses") == [
        {"ring": 0, "kind": "events", "first_ns": 10, "last_ns": 20, "count": 5}
    ]
    assert sql(trace, "select role, count(*) as n from events group by role order by role") == [
        {"role": "entry", "n": 3},
        {"role": "exit", "n": 2},
    ]
    assert sql(trace, 'select * from "values"') == sql(trace, "select * from call_values") == []


def test_tables_join_and_filters_choose_calls(trace: Path) -> None:
    joined = "select c.func, p.func as parent from calls c join calls p on c.parent = p.id"
    assert sql(trace, joined) == [{"func": "main.b", "parent": "main.a"}]
    assert sql(trace, "select count(*) as n from calls", "--min", "500ns") == [{"n": 1}]
    assert sql(trace, trace, "select count(*) as n from calls") == [{"n": 6}]


def test_forms_of_output(trace: Path) -> None:
    query = "select func, dur_ns, dur_ns / 0.0 as odd, [1, 2] as list from calls order by id"
    text = funcrec("sql", trace, query).stdout.splitlines()
    assert text[0].split() == ["func", "dur_ns", "odd", "list"]
    table = list(csv.DictReader(io.StringIO(funcrec("sql", trace, query, "--format", "csv").stdout)))
    assert [row["dur_ns"] for row in table] == ["1000", "300", ""]
    lines = funcrec("sql", trace, query, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == sql(trace, query)
    assert sql(trace, query, "-s", "dur_ns", "-n", "1", "-f", "func") == [{"func": "main.a"}]
    assert sql(trace, "select 1 as x, 2 as x") == [{"x": 1, "x_2": 2}]


@pytest.mark.parametrize(
    "query", ["select nothing from calls", "insert into calls values (1)", "drop table calls", "x"]
)
def test_what_cannot_be_asked_is_refused(trace: Path, query: str) -> None:
    before = trace.read_bytes()
    done = funcrec("sql", trace, query, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("funcrec: DuckDB: ")
    assert trace.read_bytes() == before


def test_a_query_is_needed(trace: Path) -> None:
    assert funcrec("sql", trace, check=False).returncode == 2


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_recorded_values_are_rows(path: Path) -> None:
    calls = json.loads(funcrec("report", path, "--format", "json").stdout)
    rows = sql(path, "select call, name, number, integer, text, boolean, is_nil from call_values")
    assert {row["name"] for row in rows} <= {name for call in calls for name in {**call["args"], **call["results"]}}
    for row in rows:
        call = calls[row["call"]]
        value = {**call["args"], **call["results"]}[row["name"]]
        if isinstance(value, bool):
            assert row["boolean"] is value
        elif isinstance(value, int) and value < 2**63:
            assert row["integer"] == value
        elif value is None:
            assert row["is_nil"] is True

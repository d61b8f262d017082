import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from funcrec.report.trace import Trace
from funcrec.trace.records import CallSite, GoroutineRecord, SiteRole
from tests.calltrees import Event, function_site, make_trace, standard_sites
from tests.conftest import funcrec
from tests.files import write_trace

NAMES = ("main.serve", "main.work", "main.idle")
SITES = [CallSite(0x10, "main.main", 4, "/src/main.go", 7), CallSite(0x20, "main.serve", 9, "/src/main.go", 12)]
CONTRACT = ["goid", "parent", "created_by", "file", "line", "start_ns", "end_ns", "calls", "busy_ns"]


def story() -> Trace:
    """Main (1) starts serve (7), which starts work (8, returns; 9, Goexit; 10, still open); 11 makes no calls."""
    _, states = standard_sites(len(NAMES))
    entry, exit_ = (
        lambda function, role=role: function_site(function, role) for role in (SiteRole.ENTRY, SiteRole.EXIT)
    )
    events = [
        Event(1_000, entry(0), 64, 7),
        Event(2_000, entry(1), 64, 8),
        Event(2_100, entry(2), 128, 8),
        Event(2_200, exit_(2), 128, 8),
        Event(2_500, exit_(1), 64, 8),
        Event(3_000, entry(1), 64, 9),
        Event(3_400, states[SiteRole.GOEXIT], 64, 9),
        Event(4_000, entry(1), 64, 10),
        Event(5_000, entry(2), 128, 7),
        Event(5_700, exit_(2), 128, 7),
        Event(6_000, exit_(0), 64, 7),
    ]
    trace = make_trace([events], NAMES, call_sites=SITES)
    goroutines = [GoroutineRecord(100, 7, 1, 1, "main.serve", 900)]
    goroutines += [GoroutineRecord(100, goid, 7, 2, "main.work", 1_000 * (goid - 6) - 10) for goid in (8, 9, 10)]
    goroutines += [GoroutineRecord(100, 11, 0, 0, "main.idle", 100)]
    return Trace("x", reader=replace(trace.reader, goroutines=goroutines))


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trace(tmp_path_factory.mktemp("goroutines") / "trace.zst", story())


def goroutines(*arguments: str | Path) -> list[dict[str, Any]]:
    return json.loads(funcrec("goroutines", *arguments, "--format", "json").stdout)


def test_the_machine_contract(trace: Path) -> None:
    rows = goroutines(trace)
    assert list(rows[0])[:9] == CONTRACT
    assert {row["goid"]: list(row.values())[1:9] for row in rows} == {
        11: [None, None, None, None, 100, None, 0, 0],
        7: [1, "main.main", "/src/main.go", 7, 900, 6_000, 2, 5_000],
        8: [7, "main.serve", "/src/main.go", 12, 1_990, 2_500, 2, 500],
        9: [7, "main.serve", "/src/main.go", 12, 2_990, 3_400, 1, 400],
        10: [7, "main.serve", "/src/main.go", 12, 3_990, None, 1, 0],
    }
    assert {row["goid"]: row["ended"] for row in rows} == {
        11: "unknown",
        7: "returned",
        8: "returned",
        9: "goexit",
        10: "open",
    }


def test_text_is_the_tree_of_creation(trace: Path) -> None:
    lines = funcrec("goroutines", trace).stdout.splitlines()[4:]
    assert [line.split()[0:2] for line in lines[2:]] == [["7", "900"], ["├─", "8"], ["├─", "9"], ["└─", "10"]]
    assert lines[2].endswith("main.main   /src/main.go:7")
    assert "510 ns" in lines[3]


def test_filters_sort_and_fields(trace: Path) -> None:
    assert [row["goid"] for row in goroutines(trace, "-F", "main.idle")] == [7, 8]
    rows = goroutines(trace, "-s", "busy", "-n", "2", "-f", "goid,busy_ns,life_ns")
    assert rows == [{"goid": 7, "busy_ns": 5_000, "life_ns": 5_100}, {"goid": 8, "busy_ns": 500, "life_ns": 510}]


def test_several_traces_stay_apart(trace: Path) -> None:
    copy = trace.with_name("copy.zst")
    copy.write_bytes(trace.read_bytes())
    rows = goroutines(trace, copy)
    assert {row["trace"] for row in rows} == {str(trace), str(copy)}
    assert len(rows) == 10

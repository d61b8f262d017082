"""The answers about a real recording with values add up to what the program did."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Recorder, funcrec
from tests.toolchain import PROGRAMS, go_build

WORKERS, CALLS = 3, 2003
SIZES = [1007 if i % 101 == 0 else 2 * (i * 1013 % CALLS) for i in range(CALLS)] * WORKERS
PATTERNS = ["main.serialize(b, len(b)) -> (err)", "main.work"]


@pytest.fixture
def traces(record: Recorder) -> tuple[Path, Path]:
    binary = go_build(PROGRAMS / "answers")
    fast = record(binary, PATTERNS, launch_args=[], name="fast.zst")
    slow = record(binary, PATTERNS, launch_args=[], name="slow.zst", env={"SLOW": "1"})
    assert (fast.status, slow.status) == (0, 0)
    return fast.path, slow.path


def rows(*arguments: str | Path) -> list[dict[str, Any]]:
    return json.loads(funcrec(*arguments, "--format", "json").stdout)


def test_answers_add_up(traces: tuple[Path, Path]) -> None:
    fast, _ = traces
    odd = sum(size == 1007 for size in SIZES)
    by_func = {row["func"]: row for row in rows("stat", fast, "-f", "func,calls,errors")}
    assert by_func["main.serialize"] == {"func": "main.serialize", "calls": len(SIZES), "errors": odd}
    assert by_func["main.work"]["calls"] == WORKERS
    assert {row["creator"]: row["calls"] for row in rows("stat", fast, "--by", "creator")} == {
        "main.main": len(SIZES) + WORKERS
    }
    buckets = Counter(size // 1024 for size in SIZES)
    hist = rows("hist", fast, "--by", "len(b)/1KB", "-F", "main.serialize")
    assert {row["key"]: row["n"] for row in hist} == buckets
    assert all(sum(each["count"] for each in row["buckets"]) == row["n"] for row in hist)
    sizes = rows("hist", fast, "--of", "len(b)", "--linear", "0,5KB,1KB", "-F", "main.serialize")
    assert [each["count"] for each in sizes[0]["buckets"]] == [buckets[at] for at in range(4)]
    failed = "select count(*) as n from call_values where name = 'err' and text = 'odd size'"
    assert rows("sql", fast, failed) == [{"n": odd}]
    working = [row for row in rows("goroutines", fast) if row["calls"]]
    assert [(row["calls"], row["created_by"], row["ended"]) for row in working] == [
        (CALLS + 1, "main.main", "returned")
    ] * WORKERS
    assert [(row["func"], row["calls"]) for row in rows("graph", fast)] == [
        ("main.work", WORKERS),
        ("main.serialize", len(SIZES)),
    ]


def test_a_slower_build_is_called_slower_in_the_buckets_that_are(traces: tuple[Path, Path]) -> None:
    compared = rows("diff", *traces, "--by", "len(b)/1KB", "-F", "main.serialize")
    assert [row["bucket"] for row in compared] == [0, 1, 2, 3]
    assert [row["base"]["n"] for row in compared] == [row["new"]["n"] for row in compared]
    assert [row["verdict"] for row in compared[1:]] == ["slower"] * 3
    again = rows("diff", traces[0], traces[0], "--fail-on", "slower")
    assert {row["verdict"] for row in again} <= {"same", "unsure"}

import json
from pathlib import Path
from typing import Any

import pytest

from funcrec.trace.records import SiteRole
from tests.calltrees import Event, function_site, make_trace
from tests.conftest import funcrec
from tests.files import write_trace

CALLS = ((0, 0, 1000, 64), (1, 100, 400, 128), (2, 200, 300, 192), (2, 500, 700, 128))


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twice a(1000 ns) { b(300 ns) { c(100 ns) } c(200 ns) }, then b alone."""
    events = []
    for start in (0, 2000):
        for function, first, last, depth in (
            (0, 0, 1000, 64),
            (1, 100, 400, 128),
            (2, 200, 300, 192),
            (2, 500, 700, 128),
        ):
            events.append(Event(start + first, function_site(function, SiteRole.ENTRY), depth))
            events.append(Event(start + last, function_site(function, SiteRole.EXIT), depth))
    events.append(Event(5000, function_site(1, SiteRole.ENTRY), 64))
    events.append(Event(5500, function_site(1, SiteRole.EXIT), 64))
    events.sort(key=lambda event: event.time_ns)
    return write_trace(tmp_path_factory.mktemp("graph") / "trace.zst", make_trace([events]))


def graph(*arguments: str | Path) -> list[dict[str, Any]]:
    return json.loads(funcrec("graph", *arguments, "--format", "json").stdout)


def test_merged_tree_with_counts_times_and_shares(trace: Path) -> None:
    rows = graph(trace)
    assert [(row["func"], row["depth"], row["calls"], row["total_ns"], row["self_ns"]) for row in rows] == [
        ("main.a", 0, 2, 2000, 1000),
        ("main.b", 1, 2, 600, 400),
        ("main.c", 2, 2, 200, 200),
        ("main.c", 1, 2, 400, 400),
        ("main.b", 0, 1, 500, 500),
    ]
    assert [row["parent"] for row in rows] == [None, 0, 1, 0, None]
    assert [row["share"] for row in rows] == [0.8, 0.24, 0.08, 0.16, 0.2]


def test_text_draws_the_tree(trace: Path) -> None:
    lines = funcrec("graph", trace).stdout.splitlines()[4:]
    assert lines[0].split() == ["share", "total", "self", "calls", "function"]
    assert [line[lines[0].index("function") :] for line in lines[1:]] == [
        "main.a",
        "├─ main.b",
        "│  └─ main.c",
        "└─ main.c",
        "main.b",
    ]
    assert lines[1].startswith(" 80.0 %  2.000 us")
    plain = funcrec("graph", trace, prefix=["env", "PYTHONIOENCODING=ascii"]).stdout
    assert "`- main.c" in plain


def test_a_function_from_both_sides(trace: Path) -> None:
    rows = graph(trace, "main.b")
    assert [(row["tree"], row["func"], row["depth"], row["calls"], row["total_ns"]) for row in rows] == [
        ("callers", "main.b", 0, 3, 1100),
        ("callers", "main.a", 1, 2, 600),
        ("callees", "main.b", 0, 3, 1100),
        ("callees", "main.c", 1, 2, 200),
    ]
    text = funcrec("graph", trace, "main.b").stdout
    assert text.index("what leads to it") < text.index("what it calls")
    done = funcrec("graph", trace, "main.nothing", check=False)
    assert (done.returncode, "main.nothing" in done.stderr) == (2, True)


def test_what_is_left_out_is_said(trace: Path) -> None:
    assert [row["func"] for row in graph(trace, "-n", "1")] == ["main.a", "main.b", "main.c"]
    assert "(1 more)" in funcrec("graph", trace, "--top", "1").stdout
    assert [row["func"] for row in graph(trace, "--percent-limit", "20")] == ["main.a", "main.b", "main.b"]


def test_several_traces_and_filters(trace: Path) -> None:
    assert [row["calls"] for row in graph(trace, trace)] == [2 * row["calls"] for row in graph(trace)]
    assert [row["func"] for row in graph(trace, "-H", "main.b")] == ["main.a", "main.c"]
    assert [row["func"] for row in graph(trace, "-s", "calls,-func", "-D", "1")] == ["main.a", "main.b"]


def test_traces_are_kept_apart_by_file(trace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zst"
    other.write_bytes(trace.read_bytes())
    one, both = graph(trace), graph(trace, other, "--by", "file")
    roots = [row for row in both if row["parent"] is None]
    assert {row["func"] for row in roots} == {str(trace), str(other)}
    whole = sum(row["total_ns"] for row in one if row["parent"] is None)
    assert [(row["total_ns"], row["self_ns"], row["share"]) for row in roots] == [(whole, 0, 0.5)] * 2
    assert [(row["func"], row["calls"], row["depth"]) for row in both if row["parent"] is not None] == 2 * [
        (row["func"], row["calls"], row["depth"] + 1) for row in one
    ]
    callers = [row for row in graph(trace, other, "main.b", "--by", "file") if row["tree"] == "callers"]
    assert sum(row["parent"] is None for row in callers) == 2
    assert funcrec("graph", trace, "--by", "func", check=False).returncode == 2

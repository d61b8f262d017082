import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funcrec.report.trace import Trace
from funcrec.trace.records import EventColumns, SiteRole
from tests.calltrees import Event, function_site, make_trace
from tests.conftest import funcrec
from tests.files import write_trace

CALLS = 3000


def recording(seed: int, scales: dict[int, float]) -> Trace:
    """Calls of some functions one after the other, lognormal around 3 us times a scale."""
    rng = np.random.default_rng(seed)
    function = np.repeat(list(scales), CALLS).reshape(len(scales), CALLS).T.ravel()
    duration = np.exp(8 + 0.3 * rng.standard_normal(len(function))) * np.array([scales[f] for f in function])
    end = np.cumsum(duration.astype(np.int64) + 10)
    start = np.concatenate([[0], end[:-1] + 10])
    n = 2 * len(function)
    sites = [[function_site(f, SiteRole.ENTRY), function_site(f, SiteRole.EXIT)] for f in function]
    columns = EventColumns(
        time_ns=np.stack([start, end], 1).ravel(),
        pid=np.full(n, 100, np.uint32),
        goid=np.full(n, 1, np.uint64),
        stack=np.zeros(n, np.uint64),
        tid=np.full(n, 100, np.uint32),
        site=np.array(sites, np.uint32).ravel(),
        depth=np.full(n, 64, np.uint32),
        caller=np.zeros(n, np.uint32),
    )
    trace = make_trace([[Event(0, 0, 64)]], ("main.steady", "main.worse", "main.better", "main.gone", "main.fresh"))
    trace.reader.parts[:] = [columns]
    return trace


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("diff")
    base = write_trace(folder / "base.zst", recording(1, {0: 1, 1: 1, 2: 1, 3: 1}))
    new = write_trace(folder / "new.zst", recording(2, {0: 1, 1: 1.2, 2: 0.7, 4: 1}))
    return [base, new]


def diff(*arguments: str | Path) -> list[dict[str, Any]]:
    return json.loads(funcrec("diff", *arguments, "--format", "json").stdout)


def test_the_machine_contract(traces: list[Path]) -> None:
    rows = diff(*traces)
    contract = ["func", "bucket", "base", "new", "p50_ratio", "p50_low", "p50_high", "verdict"]
    assert all([key for key in row if key in contract] == contract for row in rows)
    verdicts = {row["func"]: row["verdict"] for row in rows}
    assert verdicts == {
        "main.worse": "slower",
        "main.better": "faster",
        "main.fresh": "only-new",
        "main.gone": "only-base",
        "main.steady": "same",
    }
    assert list(verdicts)[:2] == ["main.worse", "main.better"]
    worse = rows[0]
    assert (worse["bucket"], worse["base"]["n"], worse["new"]["n"]) == (None, CALLS, CALLS)
    assert worse["p50_low"] < 1.2 < worse["p50_high"]
    assert worse["p50_ratio"] == pytest.approx(worse["new"]["p50_ns"] / worse["base"]["p50_ns"], rel=1e-3)
    gone = next(row for row in rows if row["func"] == "main.gone")
    assert (gone["new"]["n"], gone["new"]["p50_ns"], gone["p50_ratio"]) == (0, None, None)


def test_text_shows_both_sides_and_one_line_of_verdict(traces: list[Path]) -> None:
    lines = funcrec("diff", *traces).stdout.splitlines()
    assert lines[0].startswith(f"# base: {traces[0]}: 12 000 calls in ")
    assert lines[1].endswith("lost: 0")
    assert "not measured, it is part of the durations on both sides" in lines[3]
    assert lines[5].startswith("slower ")
    assert lines[5].endswith("main.worse")
    assert lines[-1] == "verdict: 1 slower, 1 faster, 1 only in new, 1 only in base, 1 same"


def test_buckets_are_matched_too(traces: list[Path]) -> None:
    rows = diff(*traces, "--by", "dur/4us", "-F", "main.worse")
    assert {row["func"] for row in rows} == {"main.worse"}
    assert [row["bucket"] for row in rows] == sorted(row["bucket"] for row in rows)
    text = funcrec("diff", *traces, "--by", "dur/4us", "-F", "main.worse").stdout
    assert "main.worse  dur in [0, 4us)" in text


def test_fail_on(traces: list[Path]) -> None:
    failed = funcrec("diff", *traces, "--fail-on", "slower > 5%", check=False)
    assert failed.returncode == 1
    assert "funcrec: main.worse is slower: +" in failed.stderr
    assert funcrec("diff", *traces, "--fail-on", "slower > 50%").returncode == 0
    assert funcrec("diff", traces[0], traces[0], "--fail-on", "slower").returncode == 0
    assert funcrec("diff", *traces, "--fail-on", "faster>10%", check=False).returncode == 1


def test_csv_is_flat(traces: list[Path]) -> None:
    (row, *_) = csv.DictReader(io.StringIO(funcrec("diff", *traces, "--format", "csv").stdout))
    assert (row["func"], row["base_n"], row["verdict"]) == ("main.worse", str(CALLS), "slower")
    assert float(row["p50_ratio"]) > 1.1


@pytest.mark.parametrize(
    "arguments", [["--fail-on", "maybe"], ["--fail-on", "slower > 5"], ["--margin", "0%"], ["-s", "nothing"]]
)
def test_what_makes_no_sense_is_refused(traces: list[Path], arguments: list[str]) -> None:
    done = funcrec("diff", *traces, *arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "try: " in done.stderr


def test_several_traces_a_side_are_compared_as_one(traces: list[Path], tmp_path: Path) -> None:
    again = write_trace(tmp_path / "again.zst", recording(3, {0: 1, 1: 1.2, 2: 0.7, 4: 1}))
    rows = {row["func"]: row for row in diff("--base", traces[0], traces[1], again)}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "main.worse": "slower",
        "main.better": "faster",
        "main.fresh": "only-new",
        "main.gone": "only-base",
        "main.steady": "same",
    }
    assert (rows["main.worse"]["base"]["n"], rows["main.worse"]["new"]["n"]) == (CALLS, 2 * CALLS)
    lines = funcrec("diff", "--base", traces[0], traces[1], again).stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["# base", "# new", "# new"]


def test_file_by_file_the_first_is_compared_with_the_first(traces: list[Path], tmp_path: Path) -> None:
    again = write_trace(tmp_path / "again.zst", recording(3, {0: 1, 1: 0.8}))
    rows = diff("--base", traces[0], "--base", traces[0], traces[1], again, "--by", "file", "-F", "main.worse")
    assert {row["bucket"]: row["verdict"] for row in rows} == {
        f"{traces[0]} → {traces[1]}": "slower",
        f"{traces[0]} → {again}": "faster",
    }
    (one,) = diff(*traces, "--by", "file", "-F", "main.worse")
    assert (one["bucket"], one["verdict"]) == (f"{traces[0]} → {traces[1]}", "slower")


@pytest.mark.parametrize(
    "arguments", [["a.zst"], ["a.zst", "b.zst", "c.zst"], ["--base", "a.zst", "b.zst", "c.zst", "--by", "file"]]
)
def test_sides_that_do_not_match_are_refused(arguments: list[str]) -> None:
    done = funcrec("diff", *arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "trace" in done.stderr

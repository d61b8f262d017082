"""`funcrec export` as typed, over a trace with everything that can happen in it."""

import gzip
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from funcrec.trace.records import EventColumns
from tests.conftest import funcrec
from tests.golden.synthetic import write_synthetic
from tests.traces import START, Made, snapshot


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "trace.zst"
    with path.open("wb") as file:
        write_synthetic(file)
    return path


@pytest.fixture(scope="module")
def calls(trace: Path) -> list[dict]:
    return [json.loads(line) for line in funcrec("report", trace, "--format", "jsonl").stdout.splitlines()]


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("x.json", b'{"displayTimeUnit"'),
        ("x.perfetto-trace", b"\x0a"),
        ("x.pftrace", b"\x0a"),
        ("x.pb.gz", b"\x1f\x8b"),
        ("x.pprof", b"\x1f\x8b"),
        ("x.speedscope.json", b'{"$schema"'),
        ("x.folded", b""),
        ("x.txt", b""),
        ("x.csv", b"id,parent,"),
        ("x.jsonl", b'{"id":0,'),
        ("x.parquet", b"PAR1"),
        ("x.html", b"<!doctype html>"),
    ],
)
def test_every_suffix(trace: Path, calls: list[dict], tmp_path: Path, name: str, start: bytes) -> None:
    done = funcrec("export", trace, "-o", tmp_path / name)
    data = (tmp_path / name).read_bytes()
    assert data.startswith(start)
    assert len(data) > 100
    assert done.stdout == ""
    assert f"{len(calls)} of {len(calls)} calls" in done.stderr
    assert "calls, lost: " in done.stderr
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [name]


def test_the_same_bytes_every_time(trace: Path, tmp_path: Path) -> None:
    for suffix in ("json", "perfetto-trace", "pb.gz", "folded", "html"):
        first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
        for path in (first, second):
            funcrec("export", trace, "-o", path)
        assert first.read_bytes() == second.read_bytes()


def test_jsonl_is_that_of_report(trace: Path, calls: list[dict], tmp_path: Path) -> None:
    out = funcrec("export", trace, "-o", "-", "--format", "jsonl").stdout
    assert [json.loads(line) for line in out.splitlines()] == calls


def test_filters_choose_the_calls(trace: Path, calls: list[dict]) -> None:
    out = funcrec("export", trace, "-o", "-", "--format", "chrome", "-F", "main.fib").stdout
    shown = [event for event in json.loads(out)["traceEvents"] if event["ph"] in "XBi" and event.get("cat") == "go"]
    assert {event["name"] for event in shown} == {"main.fib"}
    assert len(shown) == sum(call["func"] == "main.fib" for call in calls)


def test_a_filter_that_matches_nothing_is_said(trace: Path, tmp_path: Path) -> None:
    done = funcrec("export", trace, "-o", tmp_path / "x.json", "--min", "1h")
    assert "0 of " in done.stderr
    json.loads((tmp_path / "x.json").read_bytes())


def test_goroutines_can_be_kept_apart(trace: Path) -> None:
    lines = funcrec("export", trace, "-o", "-", "--format", "folded", "--by-goroutine").stdout.splitlines()
    assert lines
    assert all(line.startswith(("goroutine ", "no goroutine")) for line in lines)


def test_two_traces_fold_into_two_counts_a_line(trace: Path, tmp_path: Path) -> None:
    one = funcrec("export", trace, "-o", "-", "--format", "folded").stdout.splitlines()
    both = funcrec("export", trace, trace, "-o", "-", "--format", "folded").stdout.splitlines()
    assert [line.rsplit(" ", 2) for line in both] == [[*line.rsplit(" ", 1), line.rsplit(" ", 1)[1]] for line in one]


def test_a_folder_becomes_a_dataset(trace: Path, calls: list[dict], tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow.parquet")
    funcrec("export", trace, "-o", f"{tmp_path}/calls/")
    funcrec("export", trace, "-o", tmp_path / "calls")
    assert arrow.read_table(tmp_path / "calls").num_rows == len(calls)


def test_two_traces_make_a_comparison_in_html(trace: Path, tmp_path: Path) -> None:
    funcrec("export", trace, trace, "-o", tmp_path / "x.html", "--by", "depth")
    assert '"bucket_comparison":[' in (tmp_path / "x.html").read_text()
    refused = funcrec("export", trace, trace, "-o", tmp_path / "x.json", check=False)
    assert refused.returncode == 2
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["-o", "x.unknown"], ["-o", "-"], ["-o", "x.html", "--by", "("], ["-o", "x.json", "--min", "5"]],
)
def test_usage_errors(trace: Path, tmp_path: Path, arguments: list[str]) -> None:
    done = funcrec("export", trace, *arguments, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert os.listdir(tmp_path) == []


def test_strict_and_a_trace_that_cannot_be_read(trace: Path, tmp_path: Path) -> None:
    assert funcrec("export", trace, "-o", tmp_path / "x.json", "--strict", check=False).returncode == 3
    (tmp_path / "bad.zst").write_bytes(b"not a trace")
    assert funcrec("export", tmp_path / "bad.zst", "-o", tmp_path / "y.json", check=False).returncode == 5
    assert not (tmp_path / "y.json").exists()


def test_a_reader_that_goes_away_is_no_failure(trace: Path) -> None:
    shell = ["sh", "-c", '"$@" | head -c 1 >/dev/null', "sh"]
    done = funcrec("export", trace, "-o", "-", "--format", "chrome", prefix=shell)
    assert "Traceback" not in done.stderr


def test_pprof_is_gzip_of_a_profile(trace: Path, tmp_path: Path) -> None:
    funcrec("export", trace, "-o", tmp_path / "x.pb.gz")
    assert b"nanoseconds" in gzip.decompress((tmp_path / "x.pb.gz").read_bytes())


def test_what_is_too_deep_to_draw_is_left_out_and_said(tmp_path: Path) -> None:
    made = Made(snapshot())
    n, one = 1500, np.ones(1500, np.uint32)
    at = np.arange(n)
    made.writer.events(
        EventColumns(
            START.monotonic_ns + 1000 * at, one, one.astype(np.uint64), np.zeros(n, np.uint64), one,
            np.zeros(n, np.uint32), (64 + 8 * at).astype(np.uint32), one,
        )
    )  # fmt: skip
    trace = tmp_path / "deep.zst"
    trace.write_bytes(made.bytes())
    for name in ("x.pb.gz", "x.html"):
        assert (
            "500 calls with 1000 callers or more are left out" in funcrec("export", trace, "-o", tmp_path / name).stderr
        )
    for name in ("x.csv", "x.pftrace"):
        assert "left out" not in funcrec("export", trace, "-o", tmp_path / name).stderr
    assert len((tmp_path / "x.csv").read_text().splitlines()) == n + 1

"""Every golden trace through every view: the listings stay as they are, byte for byte.

A trace in formats/golden/vN/ is never changed. A listing changes only in the commit that changes its view:
`python -m tests.golden.make --listings` writes them again.
"""

import base64
import gzip
import io
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from funcrec.cli import COMMANDS
from funcrec.resources import data_path
from funcrec.trace.reader import TraceReader
from tests.golden.synthetic import write_synthetic

GOLDEN = data_path("formats/trace.md").with_name("golden")
TRACES = sorted(GOLDEN.glob("v*/*.zst"))

# Listing -> command line, without the trace. One for every view and every text format of it.
VIEWS = {
    "report.txt": ["report"],
    "report.jsonl": ["report", "--format", "jsonl"],
    "report.csv": ["report", "--format", "csv"],
    "report.json": ["report", "--format", "json"],
    "info.txt": ["info"],
    "info.json": ["info", "--format", "json"],
    "stat.txt": ["stat"],
    "stat.json": ["stat", "--format", "json"],
    "hist.txt": ["hist"],
    "hist.json": ["hist", "--format", "json"],
    "graph.txt": ["graph"],
    "graph.json": ["graph", "--format", "json"],
    "goroutines.txt": ["goroutines"],
    "goroutines.json": ["goroutines", "--format", "json"],
    # Exports to csv and jsonl are what `report` writes; of the page the data, without its own program.
    "export.chrome.json": ["export", "--format", "chrome", "-o", "-"],
    "export.speedscope.json": ["export", "--format", "speedscope", "-o", "-"],
    "export.folded": ["export", "--format", "folded", "-o", "-"],
    "export.pftrace": ["export", "--format", "perfetto", "-o", "-"],
    "export.pprof": ["export", "--format", "pprof", "-o", "-"],
    "export.parquet.jsonl": ["export", "--format", "parquet", "-o", "-"],
    "export.html.jsonl": ["export", "--format", "html", "-o", "-"],
}
EXISTING = {name: command for name, command in VIEWS.items() if command[0] in COMMANDS}


def listing(trace: Path, command: list[str]) -> bytes:
    """What a view prints of a trace, run as a user would, in the trace's folder."""
    # The views must not look at any of these; a listing made elsewhere would differ if one did.
    environment = os.environ | {"COLUMNS": "120", "TZ": "UTC", "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    done = subprocess.run(
        [Path(sys.executable).with_name("funcrec"), *command, trace.name],
        cwd=trace.parent,
        env=environment,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return _INSIDE.get(command[2] if command[0] == "export" else "", bytes)(done.stdout)


def _parquet_rows(data: bytes) -> bytes:
    """What a reader sees of a Parquet file; its bytes depend on pyarrow's version."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = parquet.read_table(arrow.BufferReader(data)).to_pylist()
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _page_data(page: bytes) -> bytes:
    """What a page shows: a line for each fact and each column of the calls, whose bytes depend on zlib's version."""
    held = re.findall(rb'<script type="application/[a-z-]+" id="([a-z0-9-]+)">(.*?)</script>', page, re.DOTALL)
    scripts = {name.decode(): content for name, content in held}
    facts = json.loads(scripts["facts"])
    lines: list[tuple[str, object]] = [(name, value) for name, value in facts.items() if name != "traces"]
    for number, trace in enumerate(facts["traces"]):
        data = base64.b64decode(scripts[f"columns-{number}"])
        places = trace.pop("columns")
        lines += [(f"{number} {name}", value) for name, value in trace.items()]
        for name, (offset, size) in places.items():
            column = zlib.decompress(data[offset : offset + size])
            lines.append((f"{number} {name}", column.decode() if name == "values" else column.hex()))
    return b"".join(json.dumps({name: value}).encode() + b"\n" for name, value in lines)


# Compressed files are compared by what they hold.
_INSIDE: dict[str, Callable[[bytes], bytes]] = {"pprof": gzip.decompress, "parquet": _parquet_rows, "html": _page_data}


@pytest.mark.parametrize("name", EXISTING)
@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: f"{trace.parent.name}-{trace.stem}")
def test_listing(trace, name):
    kept = trace.with_suffix("") / name
    assert kept.exists(), f"{kept} is missing: python -m tests.golden.make adds it"
    assert listing(trace, EXISTING[name]) == kept.read_bytes()


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: f"{trace.parent.name}-{trace.stem}")
def test_golden_traces_are_whole_unless_cut(trace):
    with TraceReader(trace) as reader:
        assert (reader.check() is None) == (trace.stem != "cut")
        assert f"v{reader.version}" == trace.parent.name


@pytest.mark.parametrize("name", EXISTING)
def test_a_view_prints_the_same_twice_and_no_control_characters(tmp_path, name):
    trace = tmp_path / "synthetic.zst"
    with trace.open("wb") as file:
        write_synthetic(file)
    first = listing(trace, EXISTING[name])
    assert first == listing(trace, EXISTING[name])
    assert first
    if name.endswith(".txt"):
        hostile = {character for character in first.decode() if not character.isprintable() and character != "\n"}
        assert hostile == set()


def test_the_synthetic_trace_is_the_same_every_time():
    first, second = io.BytesIO(), io.BytesIO()
    write_synthetic(first)
    write_synthetic(second)
    assert first.getvalue() == second.getvalue()

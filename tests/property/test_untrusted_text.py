"""Names, paths, hosts, arguments and values of a stranger: no view or export lets them act on whoever shows it.

The measure is the same trace with harmless names: the same lines, cells, elements and frames must come out.
"""

import contextlib
import csv
import io
import json
import os
import struct
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.errors import UsageError
from funcrec.report.export.formats import ExportFormat
from funcrec.report.export.parquet import part_name
from funcrec.report.trace import Trace
from funcrec.trace.records import (
    CallSite,
    EventColumns,
    FunctionRecord,
    GoroutineRecord,
    LostRecord,
    NoteRecord,
    ProcessRecord,
    SiteRecord,
    SiteRole,
    SkippedRecord,
    SnapshotDelta,
    ValueColumns,
)
from tests.fuzz.targets import Target, targets
from tests.hostile import STRINGS, harmful
from tests.traces import START, Made, closing

# A trace cannot hold surrogates but those that stand for bytes.
STORABLE = tuple(text for text in STRINGS if "\ud800" not in text)
FITTING = tuple(text for text in STORABLE if text and len(text) < 5000)
BY_NAME = {target.name: target for target in targets()}


@pytest.fixture(autouse=True, scope="module")
def _one_processor():
    """Views that use several processors do so as processes, which are slow to start so often."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def tame(texts: tuple[str, ...]) -> tuple[str, ...]:
    """As many harmless texts."""
    return tuple(f"main.f{number}" for number in range(len(texts)))


def capture(text: str) -> bytes:
    """A capture of one string."""
    raw = text.encode("utf-8", "surrogateescape")
    segment = struct.pack("<QII", 0xC000, len(raw), 0) + raw + bytes(-len(raw) % 8)
    return struct.pack("<QQQ", 0, 0xC000, len(raw)) + segment


def make(path: Path, texts: tuple[str, ...], values: tuple[str, ...]) -> Path:
    """Write a trace whose every text is one of `texts` and whose values are `values`: each function is called once."""
    n = len(texts)
    delta = SnapshotDelta(
        functions=[FunctionRecord(text, 64 * at, text, at, inlined_into=(text,)) for at, text in enumerate(texts)],
        sites=[SiteRecord(at // 2, 8 * at, (SiteRole.ENTRY, SiteRole.EXIT)[at % 2], False) for at in range(2 * n)],
        call_sites=[CallSite(at, text, at, text, at) for at, text in enumerate(texts)],
        skipped=[SkippedRecord(text, text) for text in texts],
        types=[{"kind": "string", "name": texts[0], "size": 16, "align": 8, "runtime": 0}],
        plans=[
            {
                "area": 24,
                "stack": 24,
                "sites": [2 * at],
                "values": [{"name": text, "type": 0, "pieces": [[0, 16, 8]], "steps": []}],
            }
            for at, text in enumerate(texts)
        ],
    )
    made = Made(
        delta,
        tool=texts[0],
        argv=list(texts),
        host={"hostname": "/".join(texts), "kernel": texts[1], **dict(zip(texts, texts, strict=True))},
        target={"path": texts[2], "go_version": texts[3], "go_build_id": texts[4]},
        options={"patterns": list(texts), "roots": list(texts)},
        probe_cost_ns={"emulated": 5.0, "stepped": 50.0, **dict.fromkeys(texts, 1.0)},
    )
    at = np.arange(2 * n)
    one = np.ones(2 * n, np.uint32)
    blobs = [capture(value) for value in values]
    made.writer.events(
        EventColumns(
            START.monotonic_ns + 1000 * at, one, one.astype(np.uint64), np.zeros(2 * n, np.uint64), one,
            at.astype(np.uint32), 64 * one, np.where(at % 2, 0, at // 2 + 1).astype(np.uint32),
        ),
        ValueColumns(at[::2].astype(np.uint32), np.array([len(blob) for blob in blobs], np.uint32), b"".join(blobs)),
    )  # fmt: skip
    made.writer.goroutines([GoroutineRecord(1, 1 + goid, goid, 1, text, 5) for goid, text in enumerate(texts)])
    made.writer.processes([ProcessRecord(1, 5, exe=texts[5], command=list(texts))])
    made.writer.lost([LostRecord(0, 1, 2, 3)])
    for text in texts:
        made.writer.note(NoteRecord(START.monotonic_ns + 500, text, text))
    made.writer.close(closing(2 * n, reason=texts[6]))
    path.write_bytes(made.bytes())
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Path, Path]:
    """The hostile trace and its harmless twin. Their file names are hostile and harmless too."""
    folder = tmp_path_factory.mktemp("text")
    hostile = make(folder / "\x1b[31m=cmd|'<script>alert(1)<\u202e\udcff;a b.zst", FITTING, FITTING)
    harmless = make(folder / "main.zst", tame(FITTING), tame(FITTING))
    with Trace(hostile) as trace:
        assert trace.reader.check() is None
    return hostile, harmless


def outputs(target: Target, both: tuple[Path, Path]) -> tuple[bytes, bytes]:
    with contextlib.suppress(UsageError):
        hostile, harmless = (target.run(str(path)) for path in both)
        target.check(hostile)
        return hostile, harmless
    pytest.skip("its filter matches nothing here")


READ = [t for t in targets() if t.options.get("format_") not in (ExportFormat.PERFETTO, ExportFormat.PPROF)]
# Their lines are one for each package, for what a condition finds, or for each part of a value: others than those of
# harmless names.
BY_TEXT = {"report --where", "stat --by more", "sql call_values"}
TEXTS = [t for t in READ if t.command != "export" or t.options["format_"] in (ExportFormat.FOLDED, ExportFormat.CSV)]


@pytest.mark.parametrize("target", TEXTS, ids=lambda target: target.name)
def test_no_name_makes_a_line_or_moves_the_cursor(target, both):
    hostile, harmless = outputs(target, both)
    assert harmful(hostile.decode()) == set()
    assert hostile.count(b"\n") == harmless.count(b"\n") or target.name in BY_TEXT


@pytest.mark.parametrize("target", [t for t in targets() if "csv" in t.name], ids=lambda target: target.name)
def test_no_cell_is_a_formula_or_leaves_its_row(target, both):
    rows = [list(csv.reader(io.StringIO(text.decode()), strict=True)) for text in outputs(target, both)]
    assert [len(row) for row in rows[0]] == [len(row) for row in rows[1]]
    for cell in (cell for row in rows[0] for cell in row):
        if cell[:1] in tuple("=+-@\t\r＝＋－＠"):
            float(cell)  # a negative number


@pytest.mark.parametrize("name", ["report json", "stat json", "info json", "graph json", "export jsonl"])
def test_json_gives_names_back_as_they_are(name, both):
    hostile = outputs(BY_NAME[name], both)[0].decode()
    values = [json.loads(line) for line in hostile.split("\n")[:-1]] if "jsonl" in name else json.loads(hostile)
    found = set(_strings(values))
    assert set(FITTING) <= found


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for pair in value.items() for side in pair for text in _strings(side))
    elif isinstance(value, list):
        yield from (text for each in value for text in _strings(each))


class Skeleton(HTMLParser):
    """What a browser makes of a page: elements and the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, tuple(name for name, _ in attributes)))


@pytest.mark.parametrize("name", ["export html", "html --by"])
def test_html_has_the_elements_that_it_should_have(name, both):
    hostile, harmless = (Skeleton(page.decode()) for page in outputs(BY_NAME[name], both))
    assert hostile.elements == harmless.elements
    assert "</script><script>alert(1)" not in outputs(BY_NAME[name], both)[0].decode()


def test_folded_stacks_have_the_frames_that_they_should_have(both):
    hostile, harmless = (text.decode().splitlines() for text in outputs(BY_NAME["export folded"], both))
    assert sorted(line.count(";") for line in hostile) == sorted(line.count(";") for line in harmless)
    assert all(line.rpartition(" ")[2].isdecimal() for line in hostile)


@pytest.mark.parametrize("name", ["export chrome", "export speedscope"])
def test_viewers_get_text_that_cannot_act(name, both):
    hostile, harmless = (json.loads(text) for text in outputs(BY_NAME[name], both))
    assert [harmful(text) for text in _strings(hostile) if harmful(text)] == []
    if name == "export chrome":
        assert len(hostile["traceEvents"]) == len(harmless["traceEvents"])


@pytest.mark.parametrize("host", STORABLE)
def test_a_host_cannot_choose_where_a_dataset_is_written(host, tmp_path):
    made = Made(host={"hostname": host})
    path = tmp_path / "trace.zst"
    path.write_bytes(made.bytes())
    with Trace(path) as trace:
        name = part_name(trace)
    assert Path(name).name == name
    assert not name.startswith((".", "-"))
    assert harmful(name) == set()


def test_an_export_to_a_folder_writes_there_alone(both, tmp_path):
    """Two traces, the host and names of one hostile: a file each, none outside, and the host comes back."""
    dataset = pytest.importorskip("pyarrow.dataset")
    inside = tmp_path / "out" / "calls"
    before = {path: path.stat().st_mtime_ns for path in both[0].parent.iterdir()}
    for path in both:
        Target("export to a folder", "export", {"out": f"{inside}/"}).run(str(path))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [path.name for path in inside.iterdir()]
    assert {path: path.stat().st_mtime_ns for path in both[0].parent.iterdir()} == before
    hosts = dataset.dataset(inside).to_table(columns=["host"])["host"].unique().to_pylist()
    assert any(harmful(host) for host in hosts)  # data for programs


letters = st.characters(exclude_categories=["Cs"]) | st.sampled_from(
    "\x00\x1b\x9b\r\n\t\u202e\u200b<>&'\"=+-@;,\\/%`${}\udcff\udc80\u2028"
)
names = st.text(letters, min_size=1, max_size=12)


@given(st.lists(names, min_size=8, max_size=8, unique=True))
@settings(max_examples=8, deadline=None)
def test_any_text_through_everything(tmp_path_factory, texts):
    path = make(tmp_path_factory.mktemp("any") / "trace.zst", tuple(texts), tuple(texts))
    for target in targets():
        with contextlib.suppress(UsageError):
            target.check(target.run(str(path)))

import json
from dataclasses import replace

import numpy as np
import pytest

from funcrec.report.calls import State
from funcrec.report.export import parquet
from tests.unit.report.export.sample import HOSTILE, START_NS, make, with_values

arrow = pytest.importorskip("pyarrow")
import pyarrow.parquet  # noqa: E402


def read(source, tmp_path):
    path = tmp_path / "calls.parquet"
    path.write_bytes(b"".join(parquet.encode([source])))
    return pyarrow.parquet.read_table(path)


def test_rows_are_the_calls(tmp_path):
    source = make(500, 3, 2)
    calls, trace = source.calls, source.trace
    rows = read(source, tmp_path).to_pylist()
    assert len(rows) == len(calls)
    for row, number in zip(rows, range(len(calls)), strict=True):
        end = int(calls.end_ns[number])
        assert row["id"] == number
        assert row["func"] == trace.functions[calls.function[number]].name
        assert row["start_ns"] == calls.start_ns[number] - START_NS
        assert row["dur_ns"] == (end - calls.start_ns[number] if end >= 0 else None)
        assert row["state"] == State(int(calls.state[number])).label
        assert row["parent"] == (int(calls.parent[number]) if calls.parent[number] >= 0 else None)
        caller = int(calls.caller[number])
        site = trace.call_sites[caller - 1]
        expected = (site.name, site.offset, site.file, site.line) if caller else (None,) * 4
        assert (row["caller"], row["caller_offset"], row["file"], row["line"]) == expected
        assert row["host"] == "here"


def test_the_schema_is_the_same_with_and_without_values(tmp_path):
    plain, valued = make(30, 1), with_values(make(30, 1))
    assert read(plain, tmp_path).schema.equals(parquet.schema())
    table = read(valued, tmp_path)
    assert table.schema.equals(parquet.schema())
    assert json.loads(table["args"][3].as_py())["id"] == 3
    assert json.loads(table["results"][3].as_py())["r0"] == [1, {"$hex": "00ff"}]


def test_parents_skip_what_is_hidden(tmp_path):
    source = make(300, 2, 4)
    source = replace(source, mask=source.calls.function != 2)
    rows = read(source, tmp_path).to_pylist()
    ids = {row["id"] for row in rows}
    assert len(rows) == np.count_nonzero(source.mask)
    assert all(row["parent"] is None or row["parent"] in ids for row in rows)


def test_duckdb_and_pyarrow_read_a_dataset_of_several_hosts(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    folder = tmp_path / "calls"
    folder.mkdir()
    total = 0
    for seed, host in ((1, "a"), (2, "b/../c")):
        source = make(200, 2, seed)
        source.trace.header.host["hostname"] = host
        (folder / parquet.part_name(source.trace)).write_bytes(b"".join(parquet.encode([source])))
        total += len(source.calls)
    assert len(list(folder.iterdir())) == 2
    assert pyarrow.parquet.read_table(folder).num_rows == total
    files = str(folder / "*.parquet")
    query = "select host, count(*), sum(dur_ns) from read_parquet(?) group by host order by host"
    rows = duckdb.execute(query, [files]).fetchall()
    assert [row[0] for row in rows] == ["a", "b/../c"]
    assert sum(row[1] for row in rows) == total


def test_hostile_names_are_kept_as_valid_text(tmp_path):
    names = set(read(make(200, 1, names=HOSTILE), tmp_path)["func"].to_pylist())
    assert "=cmd|' /C calc'!A0" in names
    assert "main.??" in names

"""Columns of a selection as numpy and as Arrow, against the dicts of the machine contract."""

import json

import numpy as np
import pytest

import funcrec
from tests.golden.test_golden import GOLDEN

VALUES = GOLDEN / "v1" / "values.zst"
SYNTHETIC = GOLDEN / "v1" / "synthetic.zst"


def utf8(value):
    """Text as Arrow takes it: bytes that were no UTF-8 are replaced."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


@pytest.mark.parametrize("path", [VALUES, SYNTHETIC], ids=lambda path: path.stem)
def test_arrow_has_what_the_dicts_have(path):
    pytest.importorskip("pyarrow")
    with funcrec.open(path) as trace:
        for calls in (trace.calls(), trace.calls("dur > 20us"), trace.calls(depth=1)):
            rows, dicts = calls.to_arrow().to_pylist(), list(calls)
            assert len(rows) == len(calls)
            dicts = [{key: utf8(value) for key, value in row.items()} for row in dicts]
            for row in rows:
                row["args"], row["results"] = json.loads(row["args"] or "{}"), json.loads(row["results"] or "{}")
            assert json.dumps(rows) == json.dumps(dicts)


def test_expressions_are_columns_of_their_own_type():
    arrow = pytest.importorskip("pyarrow")
    with funcrec.open(VALUES) as trace:
        calls = trace.calls(filter="main.text")
        table = calls.to_arrow("len(s)", "s", "dur / 1us", "len(s) > 100")
        assert arrow.types.is_int64(table.schema.field("len(s)").type)
        assert table["len(s)"].to_pylist() == calls.column("len(s)").tolist()
        assert table["s"].to_pylist() == [text.encode("utf-8", "replace").decode() for text in calls.column("s")]
        assert table["len(s) > 100"].to_pylist() == [length > 100 for length in table["len(s)"].to_pylist()]
        sizes = trace.calls().to_arrow("len(s)")["len(s)"]
        assert 0 < sizes.null_count < len(sizes)
        assert sizes.to_pylist() == trace.calls().column("len(s)").tolist()


def test_columns_are_masked_where_there_is_no_value():
    with funcrec.open(VALUES) as trace:
        column = trace.calls().column("n")
        names = trace.calls().column("func")
    assert column.dtype == np.int64
    assert set(names[~np.ma.getmaskarray(column)]) == {"main.failures"}
    assert np.ma.getmaskarray(column).any()


def test_a_name_of_several_types_has_no_column():
    with funcrec.open(VALUES) as trace:
        with pytest.raises(funcrec.UsageError, match=r"'err' is .* in different calls"):
            trace.calls().column("err")
        assert trace.calls("err =~ 'plain*'").column("err")[0] == "plain failure"


def test_filters_by_name_are_those_of_the_command_line():
    with funcrec.open(SYNTHETIC) as trace:
        goids = set(trace.calls().column("goid").tolist())
        one = min(goids)
        assert set(trace.calls(goroutines=str(one)).column("goid").tolist()) == {one}
        assert set(trace.calls(goroutines=goids).column("goid").tolist()) == goids
        pid = int(trace.calls().column("pid")[0])
        assert len(trace.calls(pids=pid)) == len(trace.calls(pids=(pid,)))
        assert len(trace.calls(["depth == 0", "dur > 0"])) == len(trace.calls("depth == 0 and dur > 0"))
        with pytest.raises(funcrec.UsageError, match="'9' has no unit"):
            trace.calls(time_range="9~10s")

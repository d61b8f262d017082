import csv
import io
import json

import pytest

from funcrec.errors import UsageError
from funcrec.report.request import Format
from funcrec.report.text import Output
from funcrec.report.views.table import (
    Column,
    choose_columns,
    csv_cell,
    duration_column,
    sort_rows,
    text_column,
    write_rows,
)

COLUMNS = [Column("calls"), duration_column("total_ns"), text_column("func", "function")]
ROWS = [
    {"calls": 12345, "total_ns": 1_234_567, "func": "main.a"},
    {"calls": 3, "total_ns": None, "func": "main.\x1b[2Jb"},
    {"calls": 40, "total_ns": 999, "func": "main.c"},
]


def written(form: Format) -> str:
    stream = io.BytesIO()
    write_rows(Output(stream=stream), COLUMNS, ROWS, form)
    return stream.getvalue().decode()


def test_text_is_aligned_and_safe() -> None:
    assert written(Format.TEXT) == (
        " calls     total  function\n"
        "12 345  1.235 ms  main.a\n"
        "     3         -  main.\\x1b[2Jb\n"
        "    40    999 ns  main.c\n"
    )


def test_machine_formats_have_raw_numbers() -> None:
    assert json.loads(written(Format.JSON)) == ROWS
    assert [json.loads(line) for line in written(Format.JSONL).splitlines()] == ROWS
    assert list(csv.reader(io.StringIO(written(Format.CSV)))) == [
        ["calls", "total_ns", "func"],
        ["12345", "1234567", "main.a"],
        ["3", "", "main.\\x1b[2Jb"],
        ["40", "999", "main.c"],
    ]


def test_nothing_at_all_is_still_json() -> None:
    stream = io.BytesIO()
    write_rows(Output(stream=stream), COLUMNS, [], Format.JSON)
    assert json.loads(stream.getvalue()) == []


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        ({"a": [1]}, '{"a":[1]}'),
        (1.5, 1.5),
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("a,b", "a,b"),
    ],
)
def test_csv_cells(value: object, cell: object) -> None:
    assert csv_cell(value) == cell


@pytest.mark.parametrize(
    ("fields", "keys"),
    [
        (None, ["calls", "func"]),
        ("func,total_ns", ["func", "total_ns"]),
        ("+total", ["calls", "func", "total_ns"]),
        ("-calls", ["func"]),
        ("+total_ns,-func", ["calls", "total_ns"]),
    ],
)
def test_fields_replace_or_change_the_default(fields: str | None, keys: list[str]) -> None:
    assert [column.key for column in choose_columns(fields, COLUMNS, ["calls", "func"])] == keys


def test_unknown_fields_are_errors_with_the_near_one() -> None:
    with pytest.raises(UsageError, match="no field is called 'totl_ns'") as caught:
        choose_columns("totl_ns", COLUMNS, ["calls"])
    assert "total_ns" in caught.value.remedy
    with pytest.raises(UsageError, match="calls, total_ns, func"):
        choose_columns("help", COLUMNS, ["calls"])


@pytest.mark.parametrize(
    ("sort", "calls"),
    [("calls", [12345, 40, 3]), ("-calls", [3, 40, 12345]), ("total_ns", [12345, 40, 3]), ("function", [12345, 3, 40])],
)
def test_sorting(sort: str, calls: list[int]) -> None:
    rows = sort_rows(ROWS, sort, COLUMNS)
    if sort == "function":
        assert [row["func"] for row in rows] == sorted(str(row["func"]) for row in ROWS)
    else:
        assert [row["calls"] for row in rows] == calls


def test_sorting_by_an_unknown_column_is_an_error() -> None:
    with pytest.raises(UsageError, match="cannot sort by 'speed'"):
        sort_rows(ROWS, "speed", COLUMNS)

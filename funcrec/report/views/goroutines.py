"""Goroutines for people: the tree of who started whom, with times."""

from collections.abc import Sequence

from funcrec.report.answers.goroutines import Goroutines
from funcrec.report.request import Format, OutputRequest
from funcrec.report.text import Output
from funcrec.report.views.head import write_head
from funcrec.report.views.table import (
    Column,
    Row,
    choose_columns,
    duration_column,
    sort_rows,
    text_column,
    write_rows,
    write_table,
)
from funcrec.report.views.tree import indented

_COLUMNS = [
    text_column("trace"),
    Column("pid", show=str),
    Column("goid", "goroutine", show=str, right=False),
    Column("parent", show=str),
    text_column("created_by", "created by"),
    text_column("file"),
    Column("line", show=str),
    text_column("at"),
    text_column("entry", "runs"),
    duration_column("start_ns"),
    duration_column("end_ns"),
    duration_column("life_ns", "life"),
    Column("calls"),
    duration_column("busy_ns"),
    text_column("ended"),
]
_MACHINE = (
    "goid",
    "parent",
    "created_by",
    "file",
    "line",
    "start_ns",
    "end_ns",
    "calls",
    "busy_ns",
    "pid",
    "entry",
    "ended",
)
_PEOPLE = ("goid", "start_ns", "life_ns", "busy_ns", "calls", "ended", "created_by", "at")


def write_goroutines(output: Output, answers: Sequence[Goroutines], request: OutputRequest) -> None:
    """Write the goroutines of all traces; for people each trace and process as trees, unless they are to be sorted.

    Raises:
        UsageError: an unknown field or column to sort by.
    """
    people = request.format == Format.TEXT
    rows = [_completed(row) for answer in answers for row in answer.rows]
    several = ["trace"] if len(answers) > 1 else []
    pids = ["pid"] if len({(row["trace"], row["pid"]) for row in rows}) > len(answers) else []
    default = [*several, *pids, *_PEOPLE] if people else [*several, *_MACHINE]
    columns = choose_columns(request.fields, _COLUMNS, default)
    if request.sort is not None:
        rows = sort_rows(rows, request.sort, _COLUMNS)
    elif people:
        rows = _as_trees(rows, output.draws)
    if not people:
        write_rows(output, columns, rows[: request.top], request.format)
        return
    write_head(output, [answer.facts for answer in answers])
    write_table(output, columns, rows[: request.top])


def _completed(row: Row) -> Row:
    life = None if row["end_ns"] is None else row["end_ns"] - row["start_ns"]
    at = None if row["file"] is None else f"{row['file']}:{row['line']}"
    return {**row, "life_ns": life, "at": at}


def _as_trees(rows: Sequence[Row], draws: bool) -> list[Row]:
    """Rows below those that started them; goroutines whose creator is not known are roots."""
    place = {(row["trace"], row["pid"], row["goid"]): number for number, row in enumerate(rows)}
    children: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        above = place.get((row["trace"], row["pid"], row["parent"]), -1)
        # Whatever a damaged trace says, nobody was started by a goroutine that was not there before it.
        children.setdefault(above if above < number else -1, []).append(number)
    drawn = indented(lambda number: children.get(number, ()), draws)
    return [{**rows[number], "goid": f"{lines}{rows[number]['goid']}"} for number, lines in drawn]

"""Rows of a query: a table for people, the machine formats as they come."""

import math
from collections.abc import Iterator
from typing import Any

from funcrec.report.request import Format, OutputRequest
from funcrec.report.sql import Answer
from funcrec.report.text import Output
from funcrec.report.views.table import Column, choose_columns, csv_text, json_text, sort_rows, write_rows


def write_answer(output: Output, answer: Answer, request: OutputRequest) -> None:
    """Write the rows of a query; csv and jsonl stream.

    Raises:
        UsageError: an unknown field or column to sort by.
    """
    columns = [
        Column(name, show=str, right=right) if right else Column(name)
        for name, right in zip(_distinct(answer.names), answer.numeric, strict=True)
    ]
    chosen = choose_columns(request.fields, columns, [column.key for column in columns])
    rows = _rows(answer, [column.key for column in columns])
    if request.sort is None and request.top is None and request.format in (Format.CSV, Format.JSONL):
        if request.format == Format.CSV:
            output.write(csv_text([column.key for column in chosen], []))
        for row in rows:
            cells = {column.key: row[column.key] for column in chosen}
            is_csv = request.format == Format.CSV
            output.write(csv_text([], [list(cells.values())]) if is_csv else json_text(cells) + "\n")
        return
    kept = list(rows)
    if request.sort is not None:
        kept = sort_rows(kept, request.sort, columns)  # type: ignore[assignment]
    write_rows(output, chosen, kept[: request.top], request.format)


def _distinct(names: list[str]) -> list[str]:
    """Names of columns, a repeated one with its number."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return result


def _rows(answer: Answer, names: list[str]) -> Iterator[dict[str, Any]]:
    for batch in answer.batches:
        for row in batch:
            yield dict(zip(names, map(_plain, row), strict=True))


def _plain(value: Any) -> Any:
    """A value of DuckDB in the forms of JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes):
        return {"$hex": value.hex()}
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value)

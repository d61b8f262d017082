"""Rows as an aligned table for people, or as csv, json, jsonl for programs."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from funcrec.errors import UsageError
from funcrec.report.request import Format
from funcrec.report.text import Output, Palette, json_safe, printable
from funcrec.units import format_count, format_duration

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `key` in rows and machine formats, `title` for people, `show` turns a value into text.

    Without `show`, integers are grouped by three, None is a dash, text is made printable. `style` picks a colour for a
    value.
    """

    key: str
    title: str = ""
    show: Callable[[Any], str] | None = None
    right: bool = True
    style: Callable[[Any, Palette], str] | None = None

    @property
    def heading(self) -> str:
        """What stands above the column."""
        return self.title or self.key

    def text(self, value: Any) -> str:
        """Return a cell for people."""
        if value is None:
            return "-"
        if self.show is not None:
            return self.show(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        return format_count(value)


def duration_column(key: str, title: str = "") -> Column:
    """A column of nanoseconds, shown with a unit."""
    return Column(key, title or key.removesuffix("_ns"), format_duration)


def text_column(key: str, title: str = "") -> Column:
    """A column of names, on the left."""
    return Column(key, title, right=False)


def choose_columns(fields: str | None, available: Sequence[Column], default: Sequence[str]) -> list[Column]:
    """Choose columns as `-f` asks: `a,b` replaces the default, `+a,-b` changes it.

    Raises:
        UsageError: an unknown field; or `help`, whose answer is the list.
    """
    by_key = {column.key: column for column in available}
    by_key.update({column.heading: column for column in available})
    names = ", ".join(column.key for column in available)
    if fields is None:
        return [by_key[key] for key in default]
    parts = [part.strip() for part in fields.split(",") if part.strip()]
    if parts == ["help"]:
        raise UsageError(f"the fields are: {names}", remedy="name them with -f a,b or change the default with -f +a,-b")
    chosen = [by_key[key] for key in default] if parts and all(part[0] in "+-" for part in parts) else []
    for part in parts:
        name = part.lstrip("+-")
        if name not in by_key:
            near = get_close_matches(name, by_key, 1)
            raise UsageError(f"no field is called '{name}'", remedy=f"did you mean {near[0]}?" if near else names)
        column = by_key[name]
        if part[0] == "-":
            chosen = [other for other in chosen if other is not column]
        elif column not in chosen:
            chosen.append(column)
    return chosen


def sort_rows(rows: Iterable[Row], sort: str, columns: Sequence[Column]) -> list[Row]:
    """Sort as `-s total,-p99,name` asks: numbers from large to small, text from a to z, `-` turns it; None goes last.

    Raises:
        UsageError: an unknown column.
    """
    ordered = list(rows)
    by_key = {column.heading: column.key for column in columns} | {column.key: column.key for column in columns}
    for part in reversed([part.strip() for part in sort.split(",") if part.strip()]):
        name = part.removeprefix("-")
        if name not in by_key:
            raise UsageError(f"cannot sort by '{name}'", remedy="the columns are " + ", ".join(dict.fromkeys(by_key)))
        key = by_key[name]
        known = [row for row in ordered if row[key] is not None]
        numeric = all(isinstance(row[key], int | float) for row in known)
        known.sort(key=lambda row: row[key] if numeric else str(row[key]), reverse=numeric ^ part.startswith("-"))
        ordered = known + [row for row in ordered if row[key] is None]
    return ordered


def write_rows(output: Output, columns: Sequence[Column], rows: Sequence[Row], format: Format | str) -> None:
    """Write rows in one of the formats; machine formats have raw numbers under the columns' keys."""
    if format == Format.TEXT:
        write_table(output, columns, rows)
    elif format == Format.CSV:
        output.write(csv_text([column.key for column in columns], ([row[c.key] for c in columns] for row in rows)))
    elif format == Format.JSON:
        separator = "[\n"
        for row in rows:
            output.write(separator + json_text({c.key: row[c.key] for c in columns}))
            separator = ",\n"
        output.write("\n]\n" if rows else "[]\n")
    else:
        for row in rows:
            output.line(json_text({c.key: row[c.key] for c in columns}))


def write_table(output: Output, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Write an aligned table: nothing is cut, the last column is not padded."""
    cells = [[column.heading for column in columns]] + [[c.text(row[c.key]) for c in columns] for row in rows]
    widths = [max(len(line[at]) for line in cells) for at in range(len(columns))]
    palette = output.palette
    lines = []
    for number, line in enumerate(cells):
        padded = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        padded[-1] = padded[-1].rstrip()
        if number:
            row = rows[number - 1]
            styles = [column.style(row[column.key], palette) if column.style is not None else "" for column in columns]
            padded = [palette.paint(cell, style) for cell, style in zip(padded, styles, strict=True)]
        text = "  ".join(padded).rstrip()
        lines.append(palette.paint(text, palette.bold) if number == 0 else text)
    output.write("\n".join(lines) + "\n")


def json_text(value: Any) -> str:
    """JSON on one line, numbers exact, text readable; control characters are escaped by JSON itself."""
    # json itself leaves DEL, C1 and bidirectional controls alone; they would reach a terminal.
    return json_safe(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain))


def _plain(value: Any) -> Any:
    """What a header may hold besides JSON's own types."""
    if isinstance(value, bytes):
        return {"$hex": value.hex()}
    raise TypeError(f"{type(value).__name__} has no JSON form")


# What makes a spreadsheet take a cell for a formula; the wide forms do where East Asian input is usual.
_FORMULA = tuple("=+-@＝＋－＠")


def csv_cell(value: Any) -> str | int | float:
    """A cell of csv: None is empty, booleans and composites are JSON, text cannot start a spreadsheet formula."""
    if value is None:
        return ""
    if isinstance(value, bool | dict | list | tuple):
        return json_text(value)
    if isinstance(value, int | float):
        return value
    text = printable(str(value))
    return "'" + text if text[:1] in _FORMULA else text


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as csv text with a header line."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if header:
        writer.writerow(header)
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return buffer.getvalue()

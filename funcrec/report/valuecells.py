"""JSON of many values of one shape: what they have in common once, as a template, and the rest as columns."""

# ruff: noqa: D102 - what the two methods of a column do is said once, in Column

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.lang.printable import json_safe
from funcrec.report.sheet import MARK, Bytes, Indexes, Sheet
from funcrec.report.valuecolumns import Column, hexadecimal

_SHEET_BYTES = 1 << 21  # it stays in the processor's caches
_WIDEST_LIST = 256


def compact(value: Any) -> str:
    """JSON of the machine contract on one line, which a terminal can take too."""
    return json_safe(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


@dataclass(frozen=True)
class Cells:
    """m values as JSON: a template for `%`, and a column of m for each of its holes.

    Holes stand where JSON has values.
    """

    template: str
    columns: tuple[Column, ...] = ()
    _widths: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def width(self, quote: str = '"') -> int:
        """Bytes that any of them takes in a sheet."""
        if quote not in self._widths:
            pieces = _pieces(self.template, quote)
            self._widths[quote] = max(sum(map(len, pieces)) + sum(column.width(quote) for column in self.columns), 1)
        return self._widths[quote]

    def filled(self, sheet: Sheet, part: slice, end: bytes = b"") -> Bytes:
        """Some of them as a matrix, with something behind each."""
        width = self.width(sheet.quote)
        field = np.empty((part.stop - part.start, width + len(end)), np.uint8)
        field[:, width:] = np.frombuffer(end + b"\0", np.uint8)[:-1]
        self.put(sheet, field[:, :width], part)
        return field

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        """Write some of them into a field that is as wide as they are, or wider."""
        pieces = _pieces(self.template, sheet.quote)
        row, places, at = np.zeros(field.shape[1], np.uint8), [], 0
        for number, piece in enumerate(pieces):
            row[at : at + len(piece)] = np.frombuffer(piece + b"\0", np.uint8)[:-1]
            at += len(piece)
            if number < len(self.columns):
                places.append((at, at := at + self.columns[number].width(sheet.quote)))
        field[:] = row
        for column, (low, high) in zip(self.columns, places, strict=True):
            column.put(sheet, field[:, low:high], part)

    def written(self, count: int, end: bytes = b"", quote: str = '"') -> Iterator[bytes]:
        """Yield all `count` of them in pieces, with something behind each."""
        step = max(_SHEET_BYTES // (self.width(quote) + len(end)), 1)
        for low in range(0, count, step):
            sheet = Sheet(quote)
            yield sheet.text(self.filled(sheet, slice(low, min(low + step, count)), end))

    def texts(self, count: int) -> list[str]:
        """All of them as text."""
        return b"".join(self.written(count, b"\n")).decode().split("\n")[:-1]

    def within(self, before: str, after: str) -> "Cells":
        """The same with literal text around."""
        return Cells(literal(before) + self.template + literal(after), self.columns)


@lru_cache(maxsize=1 << 10)
def _pieces(template: str, quote: str) -> tuple[bytes, ...]:
    """What stands around the holes."""
    mark = chr(MARK)
    holes = template.replace("%%", "").count("%s")
    text = template % ((mark,) * holes)
    return tuple(piece.replace('"', quote).encode() for piece in text.split(mark))


def marks_of(template: str, holes: int) -> list[str]:
    """Strings to stand in holes while a template is JSON; it has none of them, because they are longer than it."""
    return [f"{number:0{len(template) + 1}}" for number in range(holes)]


def literal(text: str) -> str:
    """Text as a template of itself."""
    return text.replace("%", "%%")


def fixed(value: Any) -> Cells:
    """The same value everywhere."""
    return Cells(literal(compact(value)))


def listed(cells: Sequence[Cells], names: Sequence[str] | None = None) -> Cells:
    """A JSON list, or an object by names."""
    keys = [""] * len(cells) if names is None else [literal(compact(name)) + ":" for name in names]
    inner = ",".join(key + each.template for key, each in zip(keys, cells, strict=True))
    opening, closing = "[]" if names is None else "{}"
    return Cells(opening + inner + closing, tuple(column for each in cells for column in each.columns))


def united(parts: Sequence[tuple[Indexes, Cells]], count: int, rest: str = "null") -> Cells:
    """Values of disjoint ascending positions as one column, `rest` where there is none; a single part as it is."""
    parts = [(at, cells) for at, cells in parts if len(at)]
    if len(parts) == 1 and len(parts[0][0]) == count:
        return parts[0][1]
    left = np.ones(count, np.bool_)
    for at, _ in parts:
        left[at] = False
    if left.any():
        parts.append((np.flatnonzero(left), Cells(literal(rest))))
    return Cells("%s", (Parts(tuple(parts)),)) if count else Cells(literal(rest))


def grouped(values: NDArray[Any]) -> Iterator[tuple[int, Indexes]]:
    """Yield each number that occurs, from the lowest on, and its ascending positions."""
    if len(values) == 0:
        return
    if (values == values[0]).all():
        yield int(values[0]), np.arange(len(values))
        return
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    for at in np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1):
        yield int(values[at[0]]), at


def addresses(pointer: NDArray[np.uint64], which: NDArray[np.bool_]) -> tuple[Indexes, Cells]:
    """Some pointers by their addresses, and which they are."""
    return np.flatnonzero(which), Cells('{"$ptr":%s}', (hexadecimal(pointer[which]),))


@dataclass(frozen=True)
class Lists(Column):
    """Lists of values of one shape.

    Attributes:
        elements: the values of all lists, one list after the other.
        counts: i64[m], of each list.
    """

    elements: "Cells"
    counts: Indexes

    @cached_property
    def ends(self) -> Indexes:
        """i64[m], number of elements up to and with each list."""
        return np.cumsum(self.counts)

    def _room(self, quote: str) -> int:
        return int(self.counts.max(initial=0)) * (self.elements.width(quote) + 1) + 2

    def width(self, quote: str) -> int:
        room = self._room(quote)
        return room if room <= _WIDEST_LIST else 1

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        counts, ends = self.counts[part], self.ends[part]
        if not len(counts):
            return
        before = int(ends[0] - counts[0])
        ends = ends - before
        inner = Sheet(sheet.quote)
        data = self.elements.filled(inner, slice(before, before + int(ends[-1])))
        if field.shape[1] == 1 != self._room(sheet.quote):
            lines = inner.text(np.pad(data, ((0, 0), (0, 1)), constant_values=ord("\n"))).split(b"\n")
            begins = (ends - counts).tolist()
            texts = [b"[" + b",".join(lines[a:b]) + b"]" for a, b in zip(begins, ends.tolist(), strict=True)]
            sheet.spill(field, np.arange(len(field)), texts)
            return
        row = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(row)) - np.repeat(ends - counts, counts)
        width = data.shape[1] + 1
        grid = np.zeros((len(counts), (field.shape[1] - 2) // width, width), np.uint8)
        grid[row, place, :-1] = data
        grid[row, place, -1] = np.where(place + 1 < counts[row], ord(","), 0)
        field[:, 0], field[:, -1] = ord("["), ord("]")
        field[:, 1:-1] = grid.reshape(len(counts), -1)
        sheet.take(inner, row)


@dataclass(frozen=True)
class Parts(Column):
    """Values of different shapes.

    Attributes:
        parts: which positions (ascending), and their values; together all of m.
    """

    parts: tuple[tuple[Indexes, "Cells"], ...]

    def _limit(self, widths: Sequence[int]) -> int:
        """Wider parts are spilled: they would make all rows so wide."""
        total = sum(len(at) * width for (at, _), width in zip(self.parts, widths, strict=True))
        return max(64, 4 * total // max(sum(len(at) for at, _ in self.parts), 1))

    def width(self, quote: str) -> int:
        widths = [cells.width(quote) for _, cells in self.parts]
        limit = self._limit(widths)
        return max((width for width in widths if width <= limit), default=1)

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        for at, cells in self.parts:
            low, high = np.searchsorted(at, (part.start, part.stop)).tolist()
            if low == high:
                continue
            rows = at[low:high] - part.start
            inner = Sheet(sheet.quote)
            if rows[-1] - rows[0] == high - low - 1 and cells.width(sheet.quote) <= field.shape[1]:
                cells.put(inner, field[rows[0] : rows[-1] + 1], slice(low, high))
                sheet.take(inner, rows)
                continue
            data = cells.filled(inner, slice(low, high))
            if data.shape[1] > field.shape[1]:
                lines = inner.text(np.pad(data, ((0, 0), (0, 1)), constant_values=ord("\n"))).split(b"\n")
                sheet.spill(field, rows, lines[:-1])
            else:
                field[rows, : data.shape[1]] = data
                sheet.take(inner, rows)


@dataclass(frozen=True)
class Patched(Column):
    """Values some of which (bool[m]) are other texts."""

    cells: Cells
    which: NDArray[np.bool_]
    texts: Sequence[str]

    @cached_property
    def _before(self) -> Indexes:
        """i64[m + 1], how many texts belong to positions before each."""
        return np.concatenate([[0], np.cumsum(self.which)])

    def width(self, quote: str) -> int:
        return self.cells.width(quote)

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        which = self.which[part]
        inner = Sheet(sheet.quote)
        self.cells.put(inner, field, part)
        sheet.take(inner, np.arange(len(field)), which)
        sheet.spill(field, np.flatnonzero(which), [sheet.encode(text) for text in self.texts[self.texts_at(part)]])

    def texts_at(self, part: slice) -> slice:
        """Where the texts of some positions are."""
        return slice(int(self._before[part.start]), int(self._before[part.stop]))


@dataclass(frozen=True)
class Cell(Column):
    """JSON objects as csv cells: in quotation marks, their own doubled."""

    cells: "Cells"

    def width(self, quote: str) -> int:
        return self.cells.width('""') + 2

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        field[:, 0] = field[:, -1] = ord('"')
        inner = Sheet('""')
        self.cells.put(inner, field[:, 1:-1], part)
        sheet.take(inner, np.arange(len(field)))

"""Values as bodies of Perfetto's DebugAnnotation, from templates and columns: parts of rows of messages."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.export import wire
from funcrec.report.export.annotations import DOUBLE, ELEMENT, ENTRY, INT, NAME, TEXT, UINT, bodies
from funcrec.report.export.wirerows import (
    Bytes,
    Column,
    Constant,
    Flags,
    Joined,
    Message,
    OrNothing,
    Part,
    Placed,
    Several,
    Words,
    put_varints,
    varint_width,
)
from funcrec.report.text import printable
from funcrec.report.valuecells import Cells, Lists, Parts, Patched, marks_of
from funcrec.report.valuecolumns import Column as Values
from funcrec.report.valuecolumns import Decimals, Named, Numbers, Strings, Texts

_WIDEST = 1024  # bytes of a body in a column


class TooWideError(Exception):
    """Values so long that a column of them would mostly be empty."""


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where a column stands in a template."""

    column: int


def value_part(number: int, head: bytes, cells: Cells) -> Part:
    """The values as field `number` of a message, with a field before each body; nothing where a value is empty.

    Raises:
        TooWideError: there is one that is very long.
    """
    body = _row(cells)
    return OrNothing(Message(number, Joined(Constant(head), body)), len(wire.field(number, head)))


def value_texts(number: int, head: bytes, cells: Cells, count: int) -> list[bytes]:
    """What `value_part` is, however long, as bytes of each of `count` values."""
    try:
        return value_part(number, head, cells).rows(count)
    except TooWideError:
        pass
    texts = b"".join(cells.written(count, b"\n")).split(b"\n")[:-1]
    made = bodies([json.loads(text) for text in texts])
    return [wire.field(number, head + body) if body else b"" for body in made]


@lru_cache(maxsize=1 << 10)
def _taken_apart(template: str, holes: int) -> Any:
    """The JSON of a template with `_Hole` objects in it; a part without any stays as it is."""
    marks = marks_of(template, holes)
    numbers = {mark: number for number, mark in enumerate(marks)}

    def holes_in(value: Any) -> Any:
        if isinstance(value, str):
            return _Hole(numbers[value]) if value in numbers else value
        if isinstance(value, dict):
            return {key: holes_in(item) for key, item in value.items()}
        return [holes_in(item) for item in value] if isinstance(value, list) else value

    return holes_in(json.loads(template % tuple(f'"{mark}"' for mark in marks)))


def _row(cells: Cells) -> Part:
    """Bodies of the values of cells."""
    columns = [_part(column) for column in cells.columns]
    row = _body(_taken_apart(cells.template, len(columns)), columns)
    if row.width > 4 * _WIDEST:
        raise TooWideError
    return row


def _body(value: Any, columns: list[Part]) -> Part:
    if isinstance(value, _Hole):
        return columns[value.column]
    if not _has_holes(value):
        return Constant(bodies([value])[0])
    named = value.items() if isinstance(value, dict) else ((None, each) for each in value)
    return Joined(*(_entry(key, inner, columns) for key, inner in named))


def _entry(key: str | None, value: Any, columns: list[Part]) -> Part:
    """A member of an object, or an element of a list."""
    number, name = (ELEMENT, b"") if key is None else (ENTRY, wire.field(NAME, printable(key)))
    if not _has_holes(value):
        return Constant(wire.field(number, name + bodies([value])[0]))
    return Message(number, Joined(Constant(name), _body(value, columns)))


def _has_holes(part: Any) -> bool:
    if isinstance(part, dict | list):
        return any(map(_has_holes, part.values() if isinstance(part, dict) else part))
    return isinstance(part, _Hole)


class _Integers(Column):
    def __init__(self, column: Numbers) -> None:
        self._values = column.values
        super().__init__(1 + varint_width(self._values))

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        values = self._values[rows]
        large = values >= 1 << 63 if values.dtype == np.uint64 else np.False_
        field[:, 0] = np.where(large, UINT << 3, INT << 3)
        flags[:, 0] = True
        return 1 + put_varints(field[:, 1:], flags[:, 1:], values)


class _Doubles(Column):
    def __init__(self, column: Decimals) -> None:
        super().__init__(9)
        self._values = column.values

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        field[:, 0] = DOUBLE << 3 | 1
        field[:, 1:] = self._values[rows, None].view(np.uint8)
        flags[:] = True
        return 9


class _Characters(Column):
    def __init__(self, column: Strings) -> None:
        self._column = column
        longest = int(column.characters.shape[1])
        self._room = 1 + len(wire.varint(longest))
        super().__init__(self._room + longest)

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        characters, lengths = self._column.characters[rows], self._column.lengths[rows]
        field[:, 0] = TEXT << 3 | 2
        flags[:, 0] = True
        field[:, self._room :] = characters
        np.not_equal(characters, 0, out=flags[:, self._room :])
        return 1 + lengths + put_varints(field[:, 1 : self._room], flags[:, 1 : self._room], lengths)


class _Replaced(Part):
    def __init__(self, column: Patched) -> None:
        self._row, self._column = _row(column.cells), column
        self._others = _words(column.texts)
        self.width = max(self._row.width, self._others.width)
        self.common, self.fixed = (each.ljust(self.width, b"\0") for each in (self._row.common, self._row.fixed))

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        mine, place = slice(0, self._row.width), slice(0, self._others.width)
        lengths = self._row.put(field[:, mine], flags[:, mine], rows)
        at = np.flatnonzero(self._column.which[rows])
        if not len(at):
            return lengths
        data, used, others = self._others.filled(self._column.texts_at(rows))
        flags[at] = False
        field[at, place], flags[at, place] = data, used
        lengths = np.zeros(len(field), np.int64) + lengths
        lengths[at] = others
        return lengths


class _Elements(Column):
    def __init__(self, column: Lists) -> None:
        self._column, self._row = column, _row(Cells("[" + column.elements.template + "]", column.elements.columns))
        self._most = int(column.counts.max(initial=0))
        super().__init__(self._most * self._row.width)
        if self.width > _WIDEST:
            raise TooWideError

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        counts, ends = self._column.counts[rows], self._column.ends[rows]
        first = int(ends[0] - counts[0])
        data, used, lengths = self._row.filled(slice(first, int(ends[-1])))
        row = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(row)) + first - np.repeat(ends - counts, counts)
        shape = len(counts), self._most, self._row.width
        grid, taken = np.zeros(shape, np.uint8), np.zeros(shape, np.bool_)
        grid[row, place], taken[row, place] = data, used
        field[:], flags[:] = grid.reshape(field.shape), taken.reshape(flags.shape)
        return np.bincount(row, np.broadcast_to(lengths, len(row)), len(counts)).astype(np.int64)


def _part(column: Values) -> Part:
    match column:
        case Numbers():
            return _Integers(column)
        case Decimals():
            return _Doubles(column)
        case Strings():
            return _Characters(column)
        case Named(lexicon, numbers):
            return _words(lexicon.texts, numbers)
        case Texts(texts):
            return _words(texts)
        case Patched():
            return _Replaced(column)
        case Parts(parts):
            return Several([Placed(at, _row(cells)) for at, cells in parts])
        case Lists():
            return _Elements(column)
    raise TypeError(f"{type(column).__name__} is no column of values")


def _words(texts: Sequence[str], numbers: NDArray[Any] | None = None) -> Words:
    """Bodies that were made one by one; of some texts only once, by `numbers`."""
    words = Words(list(map(_fragment, texts)), numbers)
    if words.width > _WIDEST:
        raise TooWideError
    return words


@lru_cache(maxsize=1 << 16)
def _fragment(text: str) -> bytes:
    """A value by its JSON text."""
    return bodies([json.loads(text)])[0]

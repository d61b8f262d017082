"""Values as bodies of Perfetto's DebugAnnotation, from templates and columns: a few numpy passes for all of them.

What all values have in common is laid out as a row once; numbers, texts and lengths are written into copies of it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from funcrec.report.export import wire
from funcrec.report.export.annotations import DOUBLE, ELEMENT, ENTRY, INT, NAME, TEXT, UINT, bodies
from funcrec.report.text import printable
from funcrec.report.valuecells import Cells, Lists, Parts, Patched, marks_of
from funcrec.report.valuecolumns import Column, Decimals, Named, Numbers, Strings, Texts

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Lengths = NDArray[np.int64]

_WIDEST = 1024  # bytes of a body in a column
_STEP = 1 << 13


class _TooWideError(Exception):
    """Values so long that a column of them would mostly be empty."""


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where a column stands in a template."""

    column: int


def cell_messages(number: int, head: bytes, cells: Cells, count: int) -> list[bytes]:
    """The values as field `number` of a message, with a field before each body; empty where there is nothing."""
    part = _taken_apart(cells.template, len(cells.columns))
    if part == {}:
        return [b""] * count
    messages: list[bytes] = []
    try:
        row = _Row(cells, (number, head))
        for low in range(0, count, _STEP):
            data, used, lengths = row.filled(slice(low, min(low + _STEP, count)))
            whole, ends = data[used].tobytes(), np.cumsum(lengths).tolist()
            messages += [whole[start:end] for start, end in pairwise([0, *ends])]
    except _TooWideError:
        texts = b"".join(cells.written(count, b"\n")).split(b"\n")[:-1]
        messages = [wire.field(number, head + body) for body in bodies([json.loads(text) for text in texts])]
    nothing = wire.field(number, head)
    return [b"" if each == nothing else each for each in messages] if nothing in messages else messages


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


class _Step(NamedTuple):
    """Something to fill in: a column, or (None) the length of what lies behind, which adds up from other steps."""

    column: "_Filler | None"
    place: slice
    fixed: int = 0
    steps: tuple[int, ...] = ()


class _Row:
    """Bodies of the values of cells, or messages (number, what stands before the body) around them.

    Each is the same row with other fillings.
    """

    def __init__(self, cells: Cells, around: tuple[int, bytes] | None = None) -> None:
        self._fillers = [_filler(column) for column in cells.columns]
        self._common, self._used = bytearray(), bytearray()
        self._steps: list[_Step] = []
        part = _taken_apart(cells.template, len(cells.columns))
        self._fixed, self._variable = self._body(part) if around is None else self._message(*around, part)
        self.width = len(self._common)
        if self.width > 4 * _WIDEST:
            raise _TooWideError

    def _body(self, part: Any) -> tuple[int, tuple[int, ...]]:
        """Lay out a body; its length is a number of bytes and those of some steps."""
        if isinstance(part, _Hole):
            filler = self._fillers[part.column]
            self._steps.append(_Step(filler, self._room(filler.width)))
            return 0, (len(self._steps) - 1,)
        if not _has_holes(part):
            return self._constant(bodies([part])[0]), ()
        fixed, steps = 0, list[int]()
        for key, inner in part.items() if isinstance(part, dict) else ((None, each) for each in part):
            name = b"" if key is None else wire.field(NAME, printable(key))
            length, more = self._message(ELEMENT if key is None else ENTRY, name, inner)
            fixed, steps = fixed + length, [*steps, *more]
        return fixed, tuple(steps)

    def _message(self, number: int, name: bytes, part: Any) -> tuple[int, tuple[int, ...]]:
        if not _has_holes(part):
            return self._constant(wire.field(number, name + bodies([part])[0])), ()
        tag = self._constant(wire.varint(number << 3 | 2))
        place = self._room(len(wire.varint(len(name) + self._widest(part))))
        fixed, steps = self._body_after(name, part)
        self._steps.append(_Step(None, place, fixed, steps))
        return tag, (len(self._steps) - 1,)

    def _body_after(self, name: bytes, part: Any) -> tuple[int, tuple[int, ...]]:
        before = self._constant(name)
        fixed, steps = self._body(part)
        return before + fixed, steps

    def _widest(self, part: Any) -> int:
        """No fewer bytes than a body can have."""
        if isinstance(part, _Hole):
            return self._fillers[part.column].width
        if not isinstance(part, dict | list):
            return len(bodies([part])[0])
        inner = part.items() if isinstance(part, dict) else (("", each) for each in part)
        return sum(8 + len(wire.field(NAME, printable(key))) + self._widest(each) for key, each in inner)

    def _constant(self, data: bytes) -> int:
        self._common += data
        self._used += b"\1" * len(data)
        return len(data)

    def _room(self, size: int) -> slice:
        at = len(self._common)
        self._common += bytes(size)
        self._used += bytes(size)
        return slice(at, at + size)

    def filled(self, rows: slice) -> tuple[Bytes, Flags, Lengths]:
        """Some of the bodies, padded; which bytes are used, and how many."""
        count = rows.stop - rows.start
        data = np.empty((count, self.width), np.uint8)
        used = np.empty((count, self.width), np.bool_)
        data[:], used[:] = np.frombuffer(self._common, np.uint8), np.frombuffer(self._used, np.bool_)
        lengths: list[Any] = []
        for filler, place, fixed, steps in self._steps:
            field, flags = data[:, place], used[:, place]
            if filler is not None:
                lengths.append(filler.put(field, flags, rows))
            else:
                length = sum((lengths[step] for step in steps), start=np.full(count, fixed))
                lengths.append(length + _put_varints(field, flags, length))
        return data, used, sum((lengths[step] for step in self._variable), start=np.full(count, self._fixed))


def _has_holes(part: Any) -> bool:
    if isinstance(part, dict | list):
        return any(map(_has_holes, part.values() if isinstance(part, dict) else part))
    return isinstance(part, _Hole)


def _put_varints(field: Bytes, flags: Flags, values: NDArray[Any]) -> Any:
    """Write varints into fields that are wide enough; their lengths."""
    rest, lengths = values.astype(np.uint64), np.ones(len(values), np.int64)
    flags[:, 0] = True
    for at in range(field.shape[1]):
        above = rest >> np.uint64(7)
        more = above != 0
        field[:, at] = (rest & np.uint64(0x7F)).astype(np.uint8) | (more.view(np.uint8) << 7)
        if at + 1 < field.shape[1]:
            flags[:, at + 1] = more
            lengths += more
        rest = above
    return lengths


# One kind of filler for each kind of column.


class _Filler(Protocol):
    width: int

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        """Write bodies into fields of this width; flags are all False. Returns their lengths."""


class _Integers:
    def __init__(self, column: Numbers) -> None:
        self._values = column.values
        low, top = (int(end(initial=0)) for end in (self._values.min, self._values.max))
        self.width = 1 + len(wire.varint(low if low < 0 else top))

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        values = self._values[rows]
        large = values >= 1 << 63 if values.dtype == np.uint64 else np.False_
        field[:, 0] = np.where(large, UINT << 3, INT << 3)
        flags[:, 0] = True
        return 1 + _put_varints(field[:, 1:], flags[:, 1:], values)


class _Doubles:
    width = 9

    def __init__(self, column: Decimals) -> None:
        self._values = column.values

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        field[:, 0] = DOUBLE << 3 | 1
        field[:, 1:] = self._values[rows, None].view(np.uint8)
        flags[:] = True
        return 9


class _Characters:
    def __init__(self, column: Strings) -> None:
        self._characters = column.characters
        self._room = len(wire.varint(self._characters.shape[1]))
        self.width = 1 + self._room + int(self._characters.shape[1])

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        characters = self._characters[rows]
        there = characters != 0
        field[:, 0] = TEXT << 3 | 2
        flags[:, 0] = True
        field[:, 1 + self._room :], flags[:, 1 + self._room :] = characters, there
        lengths = there.sum(axis=1)
        place = slice(1, 1 + self._room)
        return 1 + lengths + _put_varints(field[:, place], flags[:, place], lengths)


class _Bodies:
    """Bodies that were made one by one; of some words only once, by `numbers`."""

    def __init__(self, texts: Sequence[str], numbers: NDArray[Any] | None = None) -> None:
        made = list(map(_fragment, texts))
        self._lengths = np.fromiter(map(len, made), np.int64, len(made))
        self.width = int(self._lengths.max(initial=0))
        if self.width > _WIDEST:
            raise _TooWideError
        self._used = np.arange(self.width) < self._lengths[:, None]
        self._data = np.zeros(self._used.shape, np.uint8)
        self._data[self._used] = np.frombuffer(b"".join(made) + b"\0", np.uint8)[:-1]
        self._numbers = numbers

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        which = rows if self._numbers is None else self._numbers[rows]
        field[:], flags[:] = self._data[which], self._used[which]
        return self._lengths[which]


class _Replaced:
    def __init__(self, column: Patched) -> None:
        self._row, self._column = _Row(column.cells), column
        self._others = _Bodies(column.texts)
        self.width = max(self._row.width, self._others.width)

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        data, used, lengths = self._row.filled(rows)
        field[:, : self._row.width], flags[:, : self._row.width] = data, used
        return _scatter(
            self._others, self._column.texts_at(rows), np.flatnonzero(self._column.which[rows]), field, flags, lengths
        )


class _Several:
    def __init__(self, column: Parts) -> None:
        self._parts = [(at, _Row(cells)) for at, cells in column.parts]
        self.width = max(row.width for _, row in self._parts)

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        lengths = np.zeros(len(field), np.int64)
        for at, row in self._parts:
            low, high = np.searchsorted(at, (rows.start, rows.stop)).tolist()
            if low < high:
                here = at[low:high] - rows.start
                data, used, lengths[here] = row.filled(slice(low, high))
                field[here, : row.width], flags[here, : row.width] = data, used
        return lengths


class _Elements:
    def __init__(self, column: Lists) -> None:
        self._column, self._row = column, _Row(Cells("[" + column.elements.template + "]", column.elements.columns))
        self._most = int(column.counts.max(initial=0))
        self.width = self._most * self._row.width
        if self.width > _WIDEST:
            raise _TooWideError

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
        return np.bincount(row, lengths, len(counts)).astype(np.int64)


def _filler(column: Column) -> _Filler:
    match column:
        case Numbers():
            return _Integers(column)
        case Decimals():
            return _Doubles(column)
        case Strings():
            return _Characters(column)
        case Named(lexicon, numbers):
            return _Bodies(lexicon.texts, numbers)
        case Texts(texts):
            return _Bodies(texts)
        case Patched():
            return _Replaced(column)
        case Parts():
            return _Several(column)
        case Lists():
            return _Elements(column)
    raise TypeError(f"{type(column).__name__} is no column of values")


def _scatter(some: _Filler, which: slice, at: NDArray[Any], field: Bytes, flags: Flags, lengths: Lengths) -> Lengths:
    """Other bodies at some places."""
    if len(at):
        data, used = np.zeros((len(at), some.width), np.uint8), np.zeros((len(at), some.width), np.bool_)
        lengths[at] = some.put(data, used, which)
        flags[at] = False
        field[at, : some.width], flags[at, : some.width] = data, used
    return lengths


@lru_cache(maxsize=1 << 16)
def _fragment(text: str) -> bytes:
    """A value by its JSON text."""
    return bodies([json.loads(text)])[0]

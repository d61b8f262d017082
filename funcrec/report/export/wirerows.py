"""Many messages of one shape at once: a matrix of bytes, a row each, and which of the bytes are used.

What all rows have in common is laid out once; what differs is written into copies of it, and lengths add up from the
inside.
"""

# ruff: noqa: D102 - what `put` of a part does is said once, in Part

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.export import wire

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Lengths = NDArray[np.int64]

_NARROW = 64  # bytes that a row may have for nothing
_MATRIX_BYTES, _MATRIX_ROWS = 1 << 21, 1 << 13  # at most: they stay in the processor's caches


class Part(ABC):
    """Some bytes of each row.

    Attributes:
        width: how many there can be.
        common, fixed: u8[width] and bool[width], what they are in all rows and whether they are used there.
    """

    width: int
    common: bytes
    fixed: bytes

    @abstractmethod
    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        """Write what differs into some rows that hold what is common. Returns their lengths."""

    def filled(self, rows: slice) -> tuple[Bytes, Flags, Any]:
        """Some rows, padded; which bytes are used, and how many."""
        shape = rows.stop - rows.start, self.width
        data, used = np.empty(shape, np.uint8), np.empty(shape, np.bool_)
        return data, used, self.put_all(data, used, rows)

    def put_all(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        """Write some rows as a whole; returns their lengths."""
        field[:], flags[:] = np.frombuffer(self.common, np.uint8), np.frombuffer(self.fixed, np.bool_)
        return self.put(field, flags, rows)

    def written(self, count: int) -> Iterator[bytes]:
        """Yield all `count` rows in pieces."""
        for data, used, _ in self._steps(count):
            yield data[used].tobytes()

    def rows(self, count: int) -> list[bytes]:
        """Each of all `count` rows."""
        rows: list[bytes] = []
        for data, used, lengths in self._steps(count):
            whole, ends = data[used].tobytes(), np.cumsum(np.broadcast_to(lengths, len(data))).tolist()
            rows += [whole[start:end] for start, end in pairwise([0, *ends])]
        return rows

    def _steps(self, count: int) -> Iterator[tuple[Bytes, Flags, Any]]:
        step = min(max(_MATRIX_BYTES // max(self.width, 1), 1), _MATRIX_ROWS)
        for low in range(0, count, step):
            yield self.filled(slice(low, min(low + step, count)))


class Column(Part):
    """A part nothing of which is common to all rows."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.common = self.fixed = bytes(width)


class Constant(Part):
    """The same bytes everywhere."""

    def __init__(self, data: bytes) -> None:
        self.common, self.fixed, self.width = data, b"\1" * len(data), len(data)

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        return self.width


class Joined(Part):
    """Parts one after the other."""

    def __init__(self, *parts: Part) -> None:
        self.common, self.fixed = (b"".join(each) for each in zip(*((p.common, p.fixed) for p in parts), strict=True))
        self.width, self._same = len(self.common), 0
        self._parts: list[tuple[slice, Part]] = []
        at = 0
        for part in parts:
            if isinstance(part, Constant):
                self._same += part.width
            else:
                self._parts.append((slice(at, at + part.width), part))
            at += part.width

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        return sum((part.put(field[:, at], flags[:, at], rows) for at, part in self._parts), start=self._same)


class Message(Part):
    """A length-delimited field around a part; `tails` are bytes of each row that will follow it and belong to it."""

    def __init__(self, number: int, inner: Part, tails: Lengths | None = None) -> None:
        self._inner, self._tails = inner, tails
        most = inner.width + (0 if tails is None else int(tails.max(initial=0)))
        tag = wire.varint(number << 3 | 2)
        self._room = slice(len(tag), len(tag) + len(wire.varint(most)))
        self.common = tag + bytes(self._room.stop - len(tag)) + inner.common
        self.fixed = b"\1" * len(tag) + bytes(self._room.stop - len(tag)) + inner.fixed
        self.width = len(self.common)

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        length = self._inner.put(field[:, self._room.stop :], flags[:, self._room.stop :], rows)
        told = np.broadcast_to(length if self._tails is None else length + self._tails[rows], len(field))
        return self._room.start + put_varints(field[:, self._room], flags[:, self._room], told) + length


class Varints(Column):
    """One varint a row; negative numbers as 64-bit two's complement."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        super().__init__(varint_width(values))

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        return put_varints(field, flags, self._values[rows])


class Optional(Part):
    """A part that only some rows have."""

    def __init__(self, there: Flags, inner: Part) -> None:
        self._absent, self._inner = ~there, inner
        self.common, self.fixed, self.width = inner.common, inner.fixed, inner.width

    @classmethod
    def some(cls, there: Flags, inner: Part) -> "list[Optional]":
        """The part, or nothing where no row has it."""
        return [cls(there, inner)] if there.any() else []

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        lengths = self._inner.put(field, flags, rows)
        absent = self._absent[rows]
        if not absent.any():
            return lengths
        flags[absent] = False
        return np.where(absent, 0, lengths)


class OrNothing(Part):
    """A part that rows do not have where it has no more bytes than the least."""

    def __init__(self, inner: Part, least: int) -> None:
        self._inner, self._least = inner, least
        self.common, self.fixed, self.width = inner.common, inner.fixed, inner.width

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        lengths = np.broadcast_to(self._inner.put(field, flags, rows), len(field))
        nothing = lengths == self._least
        if not nothing.any():
            return lengths
        flags[nothing] = False
        return np.where(nothing, 0, lengths)


class Words(Column):
    """Byte strings that were made one by one; each once for all rows that have it, by `numbers`."""

    def __init__(self, words: Sequence[bytes], numbers: NDArray[Any] | None = None) -> None:
        self._lengths = np.fromiter(map(len, words), np.int64, len(words))
        super().__init__(int(self._lengths.max(initial=0)))
        self._used = np.arange(self.width) < self._lengths[:, None]
        self._data = np.zeros(self._used.shape, np.uint8)
        self._data[self._used] = np.frombuffer(b"".join(words) + b"\0", np.uint8)[:-1]
        self._numbers = numbers

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        if self._numbers is None:
            field[:], flags[:] = self._data[rows], self._used[rows]
            return self._lengths[rows]
        which = self._numbers[rows]
        field[:], flags[:] = self._data.take(which, axis=0), self._used.take(which, axis=0)
        return self._lengths.take(which)


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows of a part, and the (ascending) rows that they are among others."""

    at: NDArray[np.int64]
    part: Part


class Several(Column):
    """Parts that differ from row to row; rows that are in none have nothing."""

    def __init__(self, placed: Sequence[Placed]) -> None:
        self._placed = placed
        super().__init__(max(each.part.width for each in placed))

    def is_sparse(self) -> bool:
        """Whether most of the matrix would be empty, since few rows are very long."""
        rows = sum(len(each.at) for each in self._placed)
        return rows * max(self.width - _NARROW, 0) > 4 * sum(len(each.at) * each.part.width for each in self._placed)

    def put(self, field: Bytes, flags: Flags, rows: slice) -> Any:
        lengths = np.zeros(len(field), np.int64)
        for each in self._placed:
            low, high = np.searchsorted(each.at, (rows.start, rows.stop)).tolist()
            if low == high:
                continue
            here, place = each.at[low:high] - rows.start, slice(0, each.part.width)
            if here[-1] - here[0] == high - low - 1:
                near = slice(here[0], here[-1] + 1)
                lengths[near] = each.part.put_all(field[near, place], flags[near, place], slice(low, high))
            else:
                field[here, place], flags[here, place], lengths[here] = each.part.filled(slice(low, high))
        return lengths


def varint_field(field: int, values: NDArray[Any]) -> Part:
    """A varint field of each row."""
    return Joined(Constant(wire.varint(field << 3)), Varints(values))


def varint_width(values: NDArray[Any]) -> int:
    """Bytes of the longest varint of some numbers; negative ones have all ten."""
    low, top = int(values.min(initial=0)), int(values.max(initial=0))
    return len(wire.varint(low if low < 0 else top))


def put_varints(field: Bytes, flags: Flags, values: NDArray[Any]) -> Any:
    """Write varints into fields that are wide enough; their lengths."""
    rest, lengths, last = values.astype(np.uint64), np.ones(len(values), np.int64), field.shape[1] - 1
    flags[:, 0] = True
    for at in range(last):
        above = rest >> np.uint64(7)
        more = above != 0
        field[:, at] = (rest & np.uint64(0x7F)).astype(np.uint8) | (more.view(np.uint8) << 7)
        flags[:, at + 1] = more
        lengths += more
        rest = above
    field[:, last] = rest
    return lengths

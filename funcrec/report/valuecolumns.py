"""Columns of values that become JSON text in a sheet: each kind knows how wide it is and how to write itself."""

# ruff: noqa: D102 - what the two methods of a column do is said once, in Column

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.sheet import Bytes, Indexes, Lexicon, Sheet, number_width, put_numbers

_THREE_DIGITS = np.array([list(f"{number:03}".encode()) for number in range(1000)], np.uint8)
_FRACTIONS = np.zeros((1000, 3), np.uint8)
for _number in range(1000):
    _digits = f"{_number:03}".encode().rstrip(b"0") or b"0"
    _FRACTIONS[_number, : len(_digits)] = list(_digits)


class Column(ABC):
    """m values, as JSON text in a sheet."""

    @abstractmethod
    def width(self, quote: str) -> int:
        """Bytes that any of them takes; one at least, so that there is room for a mark."""

    @abstractmethod
    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        """Write some of them into a field that is all zeros."""


@dataclass(frozen=True)
class Numbers(Column):
    """Whole numbers: i64[m] or u64[m]."""

    values: NDArray[Any]

    @cached_property
    def _width(self) -> int:
        return number_width(self.values)

    def width(self, quote: str) -> int:
        return self._width

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        put_numbers(field, self.values[part])


@dataclass(frozen=True)
class Texts(Column):
    """Values as JSON text, made one by one."""

    texts: Sequence[str]

    def width(self, quote: str) -> int:
        return 1

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        sheet.spill(field, np.arange(len(field)), [sheet.encode(text) for text in self.texts[part]])


@dataclass(frozen=True)
class Named(Column):
    """Texts that repeat, by number; they stand as they are, whatever a sheet makes of quotation marks."""

    lexicon: Lexicon
    numbers: NDArray[Any]

    def width(self, quote: str) -> int:
        return max(self.lexicon.width, 1)

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        self.lexicon.put(sheet, field[:, : self.lexicon.width], self.numbers[part])


@dataclass(frozen=True)
class Optional(Column):
    """Numbers that may be unknown: i64[m], negative for `null`."""

    values: Indexes
    null: str

    @cached_property
    def _width(self) -> int:
        return max(number_width(np.maximum(self.values, 0)), len(self.null))

    def width(self, quote: str) -> int:
        return self._width

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        values = self.values[part]
        put_numbers(field, np.maximum(values, 0))
        unknown = np.flatnonzero(values < 0)
        field[unknown] = 0
        field[unknown, : len(self.null)] = np.frombuffer(self.null.encode() + b"\0", np.uint8)[:-1]


@dataclass(frozen=True)
class Thousandths(Column):
    """Numbers with three decimals: i64[m] of thousandths."""

    values: Indexes

    @cached_property
    def _width(self) -> int:
        return number_width(self.values // 1000) + 4

    def width(self, quote: str) -> int:
        return self._width

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        values = self.values[part]
        whole = values // 1000
        put_numbers(field[:, :-4], whole)
        field[:, -4] = ord(".")
        field[:, -3:] = _THREE_DIGITS[values - whole * 1000]


@dataclass(frozen=True)
class Decimals(Column):
    """Numbers with a point: i64[m] thousandths."""

    thousandths: Indexes

    @property
    def values(self) -> NDArray[np.float64]:
        """f64[m]."""
        return self.thousandths / 1000

    @cached_property
    def _width(self) -> int:
        return number_width(np.abs(self.thousandths) // 1000)

    def width(self, quote: str) -> int:
        return self._width + 5

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        thousandths = self.thousandths[part]
        size = np.abs(thousandths)
        whole = size // 1000
        rest = size - whole * 1000
        field[:, 0] = np.where(thousandths < 0, ord("-"), 0)
        put_numbers(field[:, 1:-4], whole)
        field[:, -4] = ord(".")
        field[:, -3:] = _FRACTIONS[rest]


@dataclass(frozen=True)
class Strings(Column):
    """JSON strings that need no escapes.

    Attributes:
        characters: u8[m, w], NUL where there is none.
    """

    characters: Bytes

    @cached_property
    def lengths(self) -> Indexes:
        """i64[m], characters of each."""
        there = self.characters != 0
        if there.shape[1] % 8 == 0:  # the highest byte of a product with ones is the sum of eight bytes
            there = np.ascontiguousarray(there).view(np.uint64) * np.uint64(0x0101010101010101) >> np.uint64(56)
        lengths = np.zeros(len(there), np.int64)
        for column in range(there.shape[1]):
            lengths += there[:, column].astype(np.int64)
        return lengths

    def width(self, quote: str) -> int:
        return int(self.characters.shape[1]) + 2 * len(quote)

    def put(self, sheet: Sheet, field: Bytes, part: slice) -> None:
        marks = len(sheet.quote)
        field[:, :marks] = field[:, -marks:] = ord('"')
        field[:, marks:-marks] = self.characters[part]


def hexadecimal(values: NDArray[np.uint64]) -> Strings:
    """Numbers as `"0xc000012345"`."""
    characters = np.empty((len(values), 2 + number_width(values, 16)), np.uint8)
    characters[:, :2] = np.frombuffer(b"0x", np.uint8)
    put_numbers(characters[:, 2:], values, 16)
    return Strings(characters)


def decimals_of(values: NDArray[Any]) -> tuple[Decimals, NDArray[np.bool_]]:
    """Floats (f64 or f32) by their thousandths, and of which these digits are the shortest that give them back.

    No two decimals of 15 digits are the same float64, and none of 6 the same float32: a shorter text cannot be found.
    """
    most = 10**15 if values.dtype == np.float64 else 10**6
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(values.astype(np.float64) * 1000)
        near = np.abs(scaled) < most
        thousandths = np.where(near, scaled, 0).astype(np.int64)
        same = (thousandths / 1000).astype(values.dtype) == values
    return Decimals(thousandths), near & same & ((thousandths != 0) | ~np.signbit(values))

"""A value per call, of whatever kind it has there: what names in expressions stand for."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class Kind(StrEnum):
    """What a value can be; the words are those of error messages."""

    NUMBER = "a number"
    TEXT = "text"
    BOOL = "true or false"
    NIL = "nil"


@dataclass(frozen=True)
class Part:
    """The calls whose value is of one kind.

    Attributes:
        known: bool[n] (or one for all), True where the value is of this kind.
        values: NUMBER: i64, u64 or f64; BOOL: bool; TEXT: indexes into `labels`; NIL: True where nil, False where a
            value that could be nil is not.
        labels: the distinct texts of TEXT.
    """

    known: Mask
    values: NDArray[Any]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ValueColumn:
    """One value for each of n calls: parts by kind; a call in none of them has no value.

    A name may be a number in one function and a text in another, and a pointer's target has a kind besides being nil or
    not, so that a call may be in NIL and in one other part.
    """

    parts: dict[Kind, Part]

    @classmethod
    def numbers(cls, values: NDArray[Any], known: Mask | None = None) -> "ValueColumn":
        """A column of numbers, `known` everywhere by default."""
        return cls({Kind.NUMBER: Part(_everywhere(values, known), values)})

    @classmethod
    def booleans(cls, values: Mask, known: Mask | None = None) -> "ValueColumn":
        """A column of true and false."""
        return cls({Kind.BOOL: Part(_everywhere(values, known), values)})

    @classmethod
    def texts(cls, codes: NDArray[Any], labels: tuple[str, ...], known: Mask | None = None) -> "ValueColumn":
        """A column of texts, each call's being labels[code]."""
        return cls({Kind.TEXT: Part(_everywhere(codes, known), codes, labels)})


def _everywhere(values: NDArray[Any], known: Mask | None) -> Mask:
    return np.ones(values.shape, dtype=bool) if known is None else known


def constant(value: int | float | str | bool | None) -> ValueColumn:
    """The same value for every call; its arrays have one element and broadcast."""
    one = np.ones(1, dtype=bool)
    if value is None:
        return ValueColumn({Kind.NIL: Part(one, one)})
    if isinstance(value, bool):
        return ValueColumn.booleans(np.array([value]))
    if isinstance(value, str):
        return ValueColumn.texts(np.zeros(1, dtype=np.int64), (value,))
    kind = np.float64 if isinstance(value, float) else np.int64 if value < 1 << 63 else np.uint64
    return ValueColumn.numbers(np.array([value], dtype=kind))

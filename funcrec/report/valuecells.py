"""JSON of many values of one shape: what they have in common once, as a template, and the rest as columns."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.lang.printable import json_safe


def compact(value: Any) -> str:
    """JSON of the machine contract on one line, which a terminal can take too."""
    return json_safe(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


@dataclass(frozen=True, slots=True)
class Cells:
    """m values as JSON: a template for `%` and columns of m for its holes, each all integers or all JSON text.

    Holes stand where JSON has values.
    """

    template: str
    columns: tuple[Sequence[Any], ...] = ()

    def texts(self, count: int) -> list[str]:
        """All of them as text."""
        if not self.columns:
            return [self.template % ()] * count
        return list(map(self.template.__mod__, zip(*self.columns, strict=True)))

    def within(self, before: str, after: str) -> "Cells":
        """The same with literal text around."""
        return Cells(literal(before) + self.template + literal(after), self.columns)


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


def united(parts: Sequence[tuple[NDArray[Any], Cells]], count: int) -> Cells:
    """Texts of disjoint positions as one column; those of a single part as they are."""
    parts = [(at, cells) for at, cells in parts if len(at)]
    if len(parts) == 1 and len(parts[0][0]) == count:
        return parts[0][1]
    texts = ["null"] * count
    for at, cells in parts:
        for position, text in zip(at.tolist(), cells.texts(len(at)), strict=True):
            texts[position] = text
    return Cells("%s", (texts,))


def addresses(pointer: NDArray[np.uint64], which: NDArray[np.bool_]) -> tuple[NDArray[Any], Cells]:
    """Some pointers by their addresses, and which they are."""
    return np.flatnonzero(which), Cells('{"$ptr":%s}', ([f'"{each:#x}"' for each in pointer[which].tolist()],))

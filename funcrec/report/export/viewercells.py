"""Values that JavaScript holds exactly and people can read safely; most are as they are."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from funcrec.report.export.text import printable_tree, to_json
from funcrec.report.valuecells import Cells, Lists, Parts, Patched, literal, marks_of
from funcrec.report.valuecolumns import Column, Numbers, Texts

_LARGEST = (1 << 53) - 1  # integers beyond it lose digits in JavaScript
# Numbers that may be too large, and characters beyond ASCII that may have to be escaped for people too.
_DELICATE = re.compile(r"[0-9]{16}|\\[bfnrtu]|[^ -~]")
_ALIKE = str.maketrans("123456789", "0" * 9)


def for_viewers(cells: Cells) -> Cells:
    """The same values, with large integers as hexadecimal text, and texts printable."""
    return Cells(_template(cells.template, len(cells.columns)), tuple(map(_column, cells.columns)))


@lru_cache(maxsize=1 << 10)
def _template(template: str, holes: int) -> str:
    if not _DELICATE.search(template):
        return template
    marks = marks_of(template, holes)
    text = literal(_text(template % tuple(f'"{mark}"' for mark in marks)))
    for mark in marks:
        text = text.replace(f'"{mark}"', "%s")
    return text


def _column(column: Column) -> Column:
    match column:
        case Numbers(values):
            low = values < -_LARGEST if values.dtype.kind == "i" else np.zeros(len(values), np.bool_)
            large = (values > _LARGEST) | low
            if not large.any():
                return column
            texts = [f'"{value:#x}"' for value in values[large].tolist()]
            return Patched(Cells("%s", (Numbers(np.where(large, 0, values)),)), large, texts)
        case Texts(texts):
            return Texts(_texts(texts))
        case Patched(cells, which, texts):
            return Patched(for_viewers(cells), which, _texts(texts))
        case Lists(elements, counts):
            return Lists(for_viewers(elements), counts)
        case Parts(parts):
            return Parts(tuple((at, for_viewers(cells)) for at, cells in parts))
    return column  # made of characters that need no care


def _texts(texts: Sequence[str]) -> Sequence[str]:
    whole = "".join(texts)
    # Searching for sixteen digits goes many times faster when they are all alike.
    if whole.isascii() and whole.isprintable() and "\\" not in whole and "0" * 16 not in whole.translate(_ALIKE):
        return texts
    return [_text(text) if _DELICATE.search(text) else text for text in texts]


def _text(text: str) -> str:
    return to_json(printable_tree(_exact(json.loads(text))))


def _exact(value: Any) -> Any:
    """Integers that JavaScript cannot hold as hexadecimal text."""
    match value:
        case bool():
            return value
        case int():
            return value if abs(value) <= _LARGEST else hex(value)
        case dict():
            return {key: _exact(item) for key, item in value.items()}
        case list():
            return [_exact(item) for item in value]
        case _:
            return value

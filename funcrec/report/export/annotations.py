"""Values as bodies of Perfetto's DebugAnnotation (protos/perfetto/trace/track_event/debug_annotation.proto).

Many values at once: those of one shape share the work for their names, and texts and numbers that repeat are encoded
once.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

from funcrec.report.export import wire
from funcrec.report.text import printable
from funcrec.report.valuecells import Cells

_MOST = 1 << 16  # of what is kept because it repeats
_MOST_LEAVES = 1 << 13  # of each key
_BOOL, _UINT, _INT, _DOUBLE, _TEXT, _NAME, _ENTRY, _ELEMENT = 2, 3, 4, 5, 6, 10, 11, 12


class _Encoded(dict[Any, bytes]):
    """What was encoded before, by value."""

    def __init__(self, encode: Callable[[Any], bytes], most: int = _MOST) -> None:
        super().__init__()
        self._encode, self._most = encode, most

    def __missing__(self, value: Any) -> bytes:
        if len(self) >= self._most:
            self.clear()
        encoded = self[value] = self._encode(value)
        return encoded


_integers = _Encoded(lambda value: wire.field(_UINT if value >= 1 << 63 else _INT, value))
_texts = _Encoded(lambda value: wire.field(_TEXT, printable(value)))


@lru_cache(maxsize=_MOST)
def heads(number: int, name: bytes) -> _Encoded:
    """What stands before a body of so many bytes in field `number`: tag, length, and the name field."""
    return _Encoded(lambda size: wire.varint(number << 3 | 2) + wire.varint(len(name) + size) + name)


@lru_cache(maxsize=_MOST)
def _named(key: str) -> _Encoded:
    return heads(_ENTRY, wire.field(_NAME, printable(key)))


def bodies(values: Sequence[Any]) -> list[bytes]:
    """Each value in its own type, without a name; what has no type of its own there is text."""
    kinds = set(map(type, values))
    if len(kinds) == 1:
        return _ENCODERS[kinds.pop()](values)
    result = [b""] * len(values)
    for kind in kinds:
        at = [position for position, value in enumerate(values) if type(value) is kind]
        for position, body in zip(at, _ENCODERS[kind]([values[position] for position in at]), strict=True):
            result[position] = body
    return result


def _objects(values: Sequence[dict[str, Any]]) -> list[bytes]:
    shapes: dict[tuple[str, ...], list[int]] = {}
    for position, shape in enumerate(map(tuple, values)):
        shapes.setdefault(shape, []).append(position)
    result = [b""] * len(values)
    for shape, at in shapes.items():
        parts: list[list[bytes]] = []
        columns = zip(*(values[position].values() for position in at), strict=True)
        for key, column in zip(shape, columns, strict=True):
            inner = bodies(column)
            parts += [list(map(_named(key).__getitem__, map(len, inner))), inner]
        for position, body in zip(at, map(b"".join, zip(*parts, strict=True)), strict=False):
            result[position] = body
    return result


def _lists(values: Sequence[list[Any]]) -> list[bytes]:
    inner = bodies([item for value in values for item in value])
    head = heads(_ELEMENT, b"")
    pieces = [head[len(body)] + body for body in inner]
    ends = list(accumulate(map(len, values)))
    return [b"".join(pieces[end - len(value) : end]) for value, end in zip(values, ends, strict=True)]


_ENCODERS: dict[type, Callable[[Sequence[Any]], list[bytes]]] = {
    str: lambda values: [_texts[value] for value in values],
    bool: lambda values: [wire.field(_BOOL, value) for value in values],
    int: lambda values: [_integers[value] for value in values],
    float: lambda values: [wire.double(_DOUBLE, value) for value in values],
    dict: _objects,
    list: _lists,
    type(None): lambda values: [_texts["nil"]] * len(values),
}


# Columns of values: the template is taken apart once, and each hole is filled for all values together.


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where a column stands in a template."""

    column: int


def cell_bodies(cells: Cells, count: int) -> list[bytes]:
    """What `bodies` makes of the values that cells stand for."""
    return _filled(_taken_apart(cells.template, len(cells.columns)), cells.columns, count)


@lru_cache(maxsize=1 << 10)
def _taken_apart(template: str, holes: int) -> Any:
    """The JSON of a template with `_Hole` objects in it; a part without any stays as it is."""
    # No text of the template is one of these: they are longer than the template.
    marks = [f"{number:0{len(template) + 1}}" for number in range(holes)]
    numbers = {mark: number for number, mark in enumerate(marks)}

    def holes_in(value: Any) -> Any:
        if isinstance(value, str):
            return _Hole(numbers[value]) if value in numbers else value
        if isinstance(value, dict):
            return {key: holes_in(item) for key, item in value.items()}
        return [holes_in(item) for item in value] if isinstance(value, list) else value

    return holes_in(json.loads(template % tuple(f'"{mark}"' for mark in marks)))


def _filled(part: Any, columns: Sequence[Sequence[Any]], count: int) -> list[bytes]:
    if isinstance(part, _Hole):
        return [_fragments[value] for value in columns[part.column]]
    if not isinstance(part, dict | list):
        return bodies([part]) * count
    parts: list[Sequence[bytes]] = []
    for key, inner in part.items() if isinstance(part, dict) else ((None, each) for each in part):
        if isinstance(inner, _Hole):
            filled = _leaves(key)
            parts.append([filled[value] for value in columns[inner.column]])
        else:
            found = _filled(inner, columns, count)
            parts += [list(map(_head(key).__getitem__, map(len, found))), found]
    return list(map(b"".join, zip(*parts, strict=True))) if parts else [b""] * count


def _head(key: str | None) -> _Encoded:
    """What stands before an entry of an object, or (None) an element of a list."""
    return heads(_ELEMENT, b"") if key is None else _named(key)


def _fragment(value: int | str) -> bytes:
    """An integer, or another value by its JSON text."""
    return _integers[value] if isinstance(value, int) else bodies([json.loads(value)])[0]


_fragments = _Encoded(_fragment)


@lru_cache(maxsize=1 << 10)
def _leaves(key: str | None) -> _Encoded:
    """Whole entries of this key, or elements of lists, by their values."""
    head = _head(key)

    def entry(value: int | str) -> bytes:
        body = _fragment(value)
        return head[len(body)] + body

    return _Encoded(entry, _MOST_LEAVES)

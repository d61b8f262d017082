"""Values as bodies of Perfetto's DebugAnnotation (protos/perfetto/trace/track_event/debug_annotation.proto).

Many values at once: those of one shape share the work for their names, and texts and numbers that repeat are encoded
once. `funcrec.report.export.cellannotations` takes columns instead.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

from funcrec.report.export import wire
from funcrec.report.text import printable

_MOST = 1 << 16  # of what is kept because it repeats
BOOL, UINT, INT, DOUBLE, TEXT, NAME, ENTRY, ELEMENT = 2, 3, 4, 5, 6, 10, 11, 12  # numbers of fields


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


_integers = _Encoded(lambda value: wire.field(UINT if value >= 1 << 63 else INT, value))
_texts = _Encoded(lambda value: wire.field(TEXT, printable(value)))


@lru_cache(maxsize=_MOST)
def heads(number: int, name: bytes) -> _Encoded:
    """What stands before a body of so many bytes in field `number`: tag, length, and the name field."""
    return _Encoded(lambda size: wire.varint(number << 3 | 2) + wire.varint(len(name) + size) + name)


@lru_cache(maxsize=_MOST)
def _named(key: str) -> _Encoded:
    return heads(ENTRY, wire.field(NAME, printable(key)))


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
    head = heads(ELEMENT, b"")
    pieces = [head[len(body)] + body for body in inner]
    ends = list(accumulate(map(len, values)))
    return [b"".join(pieces[end - len(value) : end]) for value, end in zip(values, ends, strict=True)]


_ENCODERS: dict[type, Callable[[Sequence[Any]], list[bytes]]] = {
    str: lambda values: [_texts[value] for value in values],
    bool: lambda values: [wire.field(BOOL, value) for value in values],
    int: lambda values: [_integers[value] for value in values],
    float: lambda values: [wire.double(DOUBLE, value) for value in values],
    dict: _objects,
    list: _lists,
    type(None): lambda values: [_texts["nil"]] * len(values),
}

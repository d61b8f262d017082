"""Rows of a trace's `plans` table, checked: which captures exist and how their values are laid out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from funcrec.errors import TraceError
from funcrec.lang.steps import Step, step_from_row
from funcrec.lang.types import TypeTable, from_rows

MAX_PLANS = 1 << 20
MAX_VALUES = 4096
MAX_AREA = 1 << 16
_RAW = re.compile(r"([usxfc])(\d+)(?:\[(\d+)\])?|(bool)(?:\[(\d+)\])?|(string|gostring)")


@dataclass(frozen=True, slots=True)
class RawLayout:
    """A value by raw rule: kind is a letter, `bool`, `string` or `gostring`; sizes in bytes; count 0 for no array."""

    kind: str
    size: int
    count: int
    slot: int
    number: int
    constant: bool
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ValueLayout:
    """One value of a capture.

    Attributes:
        name: key in every output.
        type: number of the root's type, -1 for raw values.
        pieces: (offset in the value, bytes, offset in the root area or -1 where no probe can read).
        steps: from the root to the value.
        raw: set for raw values.
        result: True for what a call returned, False for what it was called with.
        dictionary: where in the root area the pointer to the generic dictionary is, -1 none.
    """

    name: str
    type: int
    pieces: tuple[tuple[int, int, int], ...]
    steps: tuple[Step, ...]
    raw: RawLayout | None = None
    result: bool = False
    dictionary: int = -1


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """What a capture at some sites holds.

    Attributes:
        sites: numbers of the sites.
        area_bytes: of the root area.
        stack_at: where the span of the stack begins in it.
        text_bytes, elements, depth: the caps it was made with.
        values: in order of the request.
    """

    sites: tuple[int, ...]
    area_bytes: int
    stack_at: int
    text_bytes: int
    elements: int
    depth: int
    values: tuple[ValueLayout, ...]


def read_plans(type_rows: Sequence[Any], plan_rows: Sequence[Any]) -> tuple[TypeTable, list[CapturePlan]]:
    """Check the tables of a trace.

    Raises:
        TraceError: a row is malformed.
    """
    try:
        if len(plan_rows) > MAX_PLANS:
            raise ValueError(f"{len(plan_rows)} plans")
        types = from_rows(type_rows)
        return types, [_plan(row, len(type_rows)) for row in plan_rows]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TraceError(f"the tables of values are damaged: {error}", remedy="record again") from error


def _number(row: dict[str, Any], key: str, low: int, high: int, default: int | None = None) -> int:
    value = row.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{key} is {value!r}")
    return value


def _plan(row: Any, types: int) -> CapturePlan:
    if not isinstance(row, dict):
        raise ValueError("a plan is malformed")
    area = _number(row, "area", 8, MAX_AREA)
    sites, values = row.get("sites"), row.get("values")
    if not isinstance(sites, list) or not all(type(site) is int and 0 <= site < 1 << 24 for site in sites):
        raise ValueError("a plan without sites")
    if not isinstance(values, list) or len(values) > MAX_VALUES:
        raise ValueError("a plan without values")
    return CapturePlan(
        sites=tuple(sites),
        area_bytes=area,
        stack_at=_number(row, "stack", 0, area, area),
        text_bytes=_number(row, "text_bytes", 0, 1 << 20, 256),
        elements=_number(row, "elements", 0, 1 << 20, 16),
        depth=_number(row, "depth", 0, 64, 3),
        values=tuple(_value(value, types, area) for value in values),
    )


def _value(row: Any, types: int, area: int) -> ValueLayout:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise ValueError("a value is malformed")
    if "raw" in row:
        return ValueLayout(row["name"], -1, (), (), _raw(row, area), result=bool(row.get("result")))
    pieces = row.get("pieces")
    if not isinstance(pieces, list):
        raise ValueError("a value without pieces")
    steps = row.get("steps", [])
    if not isinstance(steps, list) or len(steps) > 256:
        raise ValueError("a value with bad steps")
    return ValueLayout(
        row["name"],
        _number(row, "type", 0, types - 1),
        tuple(_piece(piece, area) for piece in pieces),
        tuple(step_from_row(step, types) for step in steps),
        result=bool(row.get("result")),
        dictionary=_number(row, "dictionary", -1, area - 1, -1),
    )


def _piece(piece: Any, area: int) -> tuple[int, int, int]:
    if not (isinstance(piece, list) and len(piece) == 3 and all(type(number) is int for number in piece)):
        raise ValueError("a piece is malformed")
    offset, size, slot = piece
    if not (0 <= offset < 1 << 40 and 0 <= size < 1 << 40 and -1 <= slot < area):
        raise ValueError("a piece is out of range")
    return offset, size, slot


def _raw(row: dict[str, Any], area: int) -> RawLayout:
    match = _RAW.fullmatch(row["raw"]) if isinstance(row["raw"], str) else None
    offsets = row.get("offsets")
    if match is None or not isinstance(offsets, list) or len(offsets) > 64:
        raise ValueError("a raw value is malformed")
    if not all(type(offset) is int and abs(offset) < 1 << 63 for offset in offsets):
        raise ValueError("a raw value has bad offsets")
    letter, bits, count, bool_, bool_count, text = match.groups()
    size = int(bits) // 8 if bits else 1 if bool_ else {"string": 0, "gostring": 16}[text]
    elements = int(count or bool_count or 0)
    if (letter in ("u", "s", "x") and size not in (1, 2, 4, 8)) or (letter == "f" and size not in (4, 8)):
        raise ValueError("a raw value of an odd size")
    if size * max(elements, 1) > 1 << 16:
        raise ValueError("a raw value is too large")
    slot = _number(row, "slot", -1, area - 1)
    number = _number(row, "number", -(1 << 63), (1 << 64) - 1)
    return RawLayout(letter or bool_ or text, size, elements, slot, number, bool(row.get("constant")), tuple(offsets))

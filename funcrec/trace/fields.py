"""Typed access to the fields of a record body: every field of an untrusted msgpack map is checked where it is read."""

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Protocol

import msgpack

from funcrec.trace.framing import BadRecordError
from funcrec.trace.limits import MAX_ARRAY, MAX_CONTAINERS, MAX_NESTING, MAX_TEXT, MAX_TIME

Check = Callable[[Any], Any]


class Containers(Protocol):
    """How many arrays and maps a file may still hold."""

    containers: int


def unpack_body(content: bytes, containers: int = MAX_CONTAINERS, budget: Containers | None = None) -> dict[str, Any]:
    """Unpack the one msgpack map of a record, which may hold so many arrays and maps.

    Args:
        content: of the record.
        containers: the most that any record may hold.
        budget: what the file may hold, less what it held so far; counted down.

    Raises:
        BadRecordError: not exactly one map with text keys, or beyond the limits.
    """
    # msgpack bounds each array but not their number, and an empty one costs a byte in the file and 56 in memory.
    most = containers if budget is None else min(containers, budget.containers)
    left = most

    def count(container: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError("too many arrays and maps")
        return container

    try:
        body = msgpack.unpackb(
            content,
            raw=False,
            unicode_errors="surrogateescape",
            strict_map_key=True,
            object_hook=count,
            list_hook=count,
            max_str_len=4 * MAX_TEXT,
            max_array_len=MAX_ARRAY,
            max_map_len=MAX_ARRAY,
            max_ext_len=0,
        )
    except ValueError as error:  # every error of msgpack is one
        raise BadRecordError(f"its content is not msgpack within the limits ({type(error).__name__})") from error
    finally:
        if budget is not None:
            budget.containers -= most - max(left, 0)
    if not isinstance(body, dict):
        raise BadRecordError("its content is not a map")
    return body


class Body:
    """A msgpack map whose fields are read by type; every method raises BadRecordError for another type or range."""

    def __init__(self, fields: Any) -> None:
        if not isinstance(fields, dict):
            raise BadRecordError("a map is missing")
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def value(self, name: str, check: Check) -> Any:
        """Return a field that passes the check."""
        if name not in self._fields:
            raise BadRecordError(f"its field {name!r} is missing")
        try:
            return check(self._fields[name])
        except BadRecordError as error:
            raise BadRecordError(f"its field {name!r} {error}") from None

    def integer(self, name: str, low: int, high: int) -> int:
        """Return an integer of low..high."""
        number: int = self.value(name, integer(low, high))
        return number

    def data(self, name: str) -> bytes:
        """Return a bin field."""
        data: bytes = self.value(name, binary)
        return data

    def plain(self, name: str) -> dict[str, Any]:
        """Return a map field of plain values."""
        fields: dict[str, Any] = self.value(name, plain_map)
        return fields

    def table(self, name: str) -> "Body":
        """Return a map field whose own fields are checked one by one."""
        return Body(self._fields.get(name))

    def rows(self, name: str, n: int, *checks: Check) -> list[tuple[Any, ...]]:
        """Return n rows, one check for each column; further columns of a later minor version are dropped."""
        rows: list[Any] = self.value(name, array)
        if len(rows) != n:
            raise BadRecordError(f"it has {len(rows)} rows instead of {n}")
        return checked_rows(rows, checks)


def checked_rows(rows: list[Any], checks: Sequence[Check]) -> list[tuple[Any, ...]]:
    """Check rows column by column, which costs a fraction of checking cell by cell.

    Raises:
        BadRecordError: something else than rows, one that is too short, or a cell that fails its check.
    """
    if not set(map(type, rows)) <= {list}:
        raise BadRecordError("has a row that is not an array")
    width = len(checks)
    if rows and min(map(len, rows)) < width:
        raise BadRecordError(f"has a row of less than {width} elements")
    columns = list(zip(*(row[:width] for row in rows), strict=True)) or [()] * width
    for check, column in zip(checks, columns, strict=True):
        check_all(check, column)
    return list(zip(*columns, strict=True))


def check_all(check: Check, values: Sequence[Any]) -> None:
    """Let a check look at many values, at once if it can."""
    if isinstance(check, _Integer | _ArrayOf):
        check.all(values)
    elif check is text:
        if not set(map(type, values)) <= {str}:
            raise BadRecordError("is not text")
    else:
        for value in values:
            check(value)


class _Integer:
    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, value: Any) -> int:
        if type(value) is not int or not self._low <= value <= self._high:
            raise BadRecordError(f"is not an integer of {self._low}..{self._high}")
        return value

    def all(self, values: Sequence[Any]) -> None:
        if not set(map(type, values)) <= {int} or (
            values and not self._low <= min(values) <= max(values) <= self._high
        ):
            raise BadRecordError(f"is not an integer of {self._low}..{self._high}")


class _ArrayOf:
    def __init__(self, check: Check) -> None:
        self._check = check

    def __call__(self, value: Any) -> list[Any]:
        check_all(self._check, array(value))
        return value  # type: ignore[no-any-return]

    def all(self, values: Sequence[Any]) -> None:
        if not set(map(type, values)) <= {list}:
            raise BadRecordError("is not an array")
        check_all(self._check, list(chain.from_iterable(values)))


def integer(low: int, high: int) -> Check:
    """A check for an integer of low..high."""
    return _Integer(low, high)


u8, u32, u64 = integer(0, (1 << 8) - 1), integer(0, (1 << 32) - 1), integer(0, (1 << 64) - 1)
u31, u63 = integer(0, (1 << 31) - 1), integer(0, (1 << 63) - 1)  # what consumers keep in signed columns
i32 = integer(-(1 << 31), (1 << 31) - 1)
time_ns, end_ns = integer(0, MAX_TIME - 1), integer(-1, MAX_TIME - 1)


def text(value: Any) -> str:
    """A check for text; bytes that are not UTF-8 came as lone surrogates and stay so."""
    if type(value) is not str:
        raise BadRecordError("is not text")
    return value


def binary(value: Any) -> bytes:
    """A check for bytes."""
    if type(value) is not bytes:
        raise BadRecordError("is not binary")
    return value


def array(value: Any) -> list[Any]:
    """A check for a list of anything."""
    if type(value) is not list:
        raise BadRecordError("is not an array")
    return value


def array_of(check: Check) -> Check:
    """A check for a list whose elements pass another check."""
    return _ArrayOf(check)


def plain_map(value: Any) -> dict[str, Any]:
    """A check for a map with text keys, of plain values in bounded nesting."""
    if type(value) is not dict:
        raise BadRecordError("is not a map")
    _check_plain(value, MAX_NESTING)
    return value


def number(value: Any) -> float:
    """A check for a finite number that is not negative."""
    if type(value) not in (int, float) or not 0 <= value < 2**63:
        raise BadRecordError("is not a number")
    return float(value)


def _check_plain(value: Any, depth: int) -> None:
    if depth == 0:
        raise BadRecordError(f"is nested deeper than {MAX_NESTING}")
    if type(value) is dict:
        if not all(type(key) is str for key in value):
            raise BadRecordError("has a key that is not text")
        value = list(value.values())
    if type(value) is list:
        for element in value:
            _check_plain(element, depth - 1)
    elif value is not None and type(value) not in (bool, int, float, str, bytes):
        raise BadRecordError("holds a value of a type that the format does not have")
    elif type(value) is float and not math.isfinite(value):
        raise BadRecordError("holds a number that is not finite")

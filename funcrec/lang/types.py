"""Go types as plain data: what a value looks like in memory.

Both streets use it: `funcrec.target` fills a table from debug information, the trace stores its rows, `report` reads
them back. A type is a number, its place in the table, so that recursive types need no special care. Nothing here
knows where the types came from.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

MAX_TYPES = 1 << 17  # rows of one trace
MAX_SIZE = 1 << 40  # bytes of one type


class Kind(StrEnum):
    """What a type is made of. The words are written into traces."""

    BOOL = "bool"
    INT = "int"  # signed, of any width
    UINT = "uint"  # unsigned, of any width; uintptr too
    FLOAT = "float"
    COMPLEX = "complex"
    STRING = "string"
    SLICE = "slice"
    ARRAY = "array"
    STRUCT = "struct"
    POINTER = "pointer"
    UNSAFE = "unsafe"  # unsafe.Pointer
    FUNC = "func"
    CHAN = "chan"
    MAP = "map"
    IFACE = "iface"  # interface with methods: itab, data
    EFACE = "eface"  # interface without: type, data
    OPAQUE = "opaque"  # known by name only


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a structure: byte offset, type number."""

    name: str
    offset: int
    type: int
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class GoType:
    """A type.

    Attributes:
        kind: see Kind.
        name: as in Go source with full package path, such as `*example.com/a.T`.
        size: bytes of a value.
        align: alignment in bytes.
        elem: type number of the element (pointer, slice, array, chan, map), -1 none.
        key: type number of a map's key, -1 none.
        count: length of an array.
        fields: of a structure, in order of declaration.
        runtime: where the runtime's descriptor of the type is, 0 none: bytes from moduledata.types while a binary is
            read, the address as linked in a trace.
        shape: index in the generic dictionary of the concrete type, -1 when the type is what it says.
    """

    kind: Kind
    name: str = ""
    size: int = 0
    align: int = 1
    elem: int = -1
    key: int = -1
    count: int = 0
    fields: tuple[Field, ...] = ()
    runtime: int = 0
    shape: int = -1


UNKNOWN = GoType(Kind.OPAQUE)
REDACTED = GoType(Kind.OPAQUE, "redacted")  # of any size: what was there is nobody's business


class TypeTable:
    """Types by number. A row may be filled on first use, so that only what is looked at is ever parsed."""

    def __init__(self, rows: Iterable[GoType] = ()) -> None:
        self._rows: list[GoType | None] = list(rows)
        self._pending: dict[int, Callable[[], GoType]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> GoType:
        row = self._rows[number]
        if row is None:
            row = self._pending.pop(number)()
            self._rows[number] = row
        return row

    def add(self, row: GoType) -> int:
        """Append a type and return its number."""
        self._rows.append(row)
        return len(self._rows) - 1

    def later(self, resolve: Callable[[], GoType]) -> int:
        """Reserve a number for a type that `resolve` describes when somebody asks for it."""
        self._rows.append(None)
        number = len(self._rows) - 1
        self._pending[number] = resolve
        return number

    def export(self) -> list[dict[str, Any]]:
        """Rows for a trace: what was never looked at becomes opaque, so the table stays as small as its use."""
        return [to_row(UNKNOWN if row is None else row) for row in self._rows]


def to_row(type_: GoType) -> dict[str, Any]:
    """A type as msgpack-able data; fields at their default are left out."""
    row: dict[str, Any] = {"kind": str(type_.kind), "name": type_.name, "size": type_.size, "align": type_.align}
    if type_.elem >= 0:
        row["elem"] = type_.elem
    if type_.key >= 0:
        row["key"] = type_.key
    if type_.count:
        row["count"] = type_.count
    if type_.fields:
        row["fields"] = [[f.name, f.offset, f.type, f.embedded] for f in type_.fields]
    if type_.runtime:
        row["runtime"] = type_.runtime
    if type_.shape >= 0:
        row["shape"] = type_.shape
    return row


_KINDS = {str(kind): kind for kind in Kind}
_FIXED_SIZE = {
    Kind.STRING: 16,
    Kind.SLICE: 24,
    Kind.POINTER: 8,
    Kind.UNSAFE: 8,
    Kind.FUNC: 8,
    Kind.CHAN: 8,
    Kind.MAP: 8,
    Kind.IFACE: 16,
    Kind.EFACE: 16,
}
_NUMBER_SIZES = {
    Kind.BOOL: (1,),
    Kind.INT: (1, 2, 4, 8),
    Kind.UINT: (1, 2, 4, 8),
    Kind.FLOAT: (4, 8),
    Kind.COMPLEX: (8, 16),
}


def _integer(row: dict[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = row.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"type with {key} {value!r}")
    return value


def _fields(row: dict[str, Any], size: int, types: int) -> tuple[Field, ...]:
    listed = row.get("fields", [])
    if not isinstance(listed, list):
        raise ValueError("type with fields that are no list")
    fields = []
    for item in listed:
        if not (isinstance(item, list) and len(item) == 4 and isinstance(item[0], str)):
            raise ValueError("type with a malformed field")
        name, offset, number, embedded = item
        if type(offset) is not int or type(number) is not int or not 0 <= offset <= size or not 0 <= number < types:
            raise ValueError(f"field {name!r} out of range")
        fields.append(Field(name, offset, number, bool(embedded)))
    return tuple(fields)


def _from_row(row: Any, types: int) -> GoType:
    if not isinstance(row, dict) or row.get("kind") not in _KINDS or not isinstance(row.get("name", ""), str):
        raise ValueError("a row of the type table is malformed")
    kind = _KINDS[row["kind"]]
    size = _integer(row, "size", 0, 0, MAX_SIZE)
    if size != _FIXED_SIZE.get(kind, size) or size not in _NUMBER_SIZES.get(kind, (size,)):
        raise ValueError(f"{kind} of {size} bytes")
    elem = _integer(row, "elem", -1, -1, types - 1)
    if elem < 0 and kind in (Kind.SLICE, Kind.ARRAY):
        raise ValueError(f"{kind} without an element type")
    return GoType(
        kind=kind,
        name=row.get("name", ""),
        size=size,
        align=_integer(row, "align", 1, 1, 64),
        elem=elem,
        key=_integer(row, "key", -1, -1, types - 1),
        count=_integer(row, "count", 0, 0, MAX_SIZE),
        fields=_fields(row, size, types),
        runtime=_integer(row, "runtime", 0, 0, (1 << 64) - 1),
        shape=_integer(row, "shape", -1, -1, 1 << 20),
    )


def from_rows(rows: Sequence[Any]) -> TypeTable:
    """Build a table from the rows of a trace.

    Raises:
        ValueError: a row is malformed, refers outside the table, or a structure or array contains itself.
    """
    if len(rows) > MAX_TYPES:
        raise ValueError(f"{len(rows)} types")
    table = [_from_row(row, len(rows)) for row in rows]
    _check_nesting(table)
    return TypeTable(table)


def _inner(type_: GoType) -> list[int]:
    """Types that lie inside a value of this one."""
    if type_.kind is Kind.STRUCT:
        return [field.type for field in type_.fields]
    return [type_.elem] if type_.kind is Kind.ARRAY else []


def _check_nesting(table: list[GoType]) -> None:
    """Refuse values inside themselves: every walk over inline parts must end."""
    done = bytearray(len(table))  # 1: on the current path, 2: finished
    for start in range(len(table)):
        path = [(start, iter(_inner(table[start])))] if not done[start] else []
        if path:
            done[start] = 1
        while path:
            number, parts = path[-1]
            for part in parts:
                if done[part] == 1 or len(path) > 1000:
                    raise ValueError(f"type {table[part].name!r} contains itself")
                if not done[part]:
                    done[part] = 1
                    path.append((part, iter(_inner(table[part]))))
                    break
            else:
                done[number] = 2
                path.pop()


def as_shape(type_: GoType, index: int) -> GoType:
    """The type as a generic parameter whose concrete type stands at `index` of the dictionary."""
    return replace(type_, shape=index)


def pointer_shaped(types: TypeTable, number: int) -> GoType | None:
    """The pointer that a value of the type is, when an interface holds the value itself and not its address."""
    type_ = types[number]
    for _ in range(32):
        if type_.kind in (Kind.POINTER, Kind.UNSAFE, Kind.FUNC, Kind.CHAN, Kind.MAP):
            return type_
        if type_.kind is Kind.ARRAY and type_.count == 1:
            type_ = types[type_.elem]
        elif type_.kind is Kind.STRUCT and len(type_.fields) == 1:
            type_ = types[type_.fields[0].type]
        else:
            return None
    return None


def stands_for_another(type_: GoType) -> bool:
    """Whether a pointer's type is that of code shared by generic instances: it says nothing of what it points to."""
    return type_.kind is Kind.POINTER and (type_.shape >= 0 or type_.name.startswith("go.shape."))

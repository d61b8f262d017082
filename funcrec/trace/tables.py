"""The snapshot tables: functions, sites, call sites, skipped functions, value types and plans, to the file and back.

Ids are positions in a table. Every piece in the file says at which id it begins, so that a piece that got lost can
never shift the ids of a later one.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from funcrec.trace import planes
from funcrec.trace.bodies import clip
from funcrec.trace.budgets import ObjectBudget
from funcrec.trace.codec import Tables
from funcrec.trace.fields import Body, array, array_of, checked_rows, plain_map, text, u8, u31, u63, u64
from funcrec.trace.framing import BadRecordError
from funcrec.trace.limits import (
    MAX_CALL_SITES,
    MAX_FUNCTIONS,
    MAX_ROWS,
    MAX_SITES,
    MAX_TYPES,
    ROWS_TARGET,
    SNAPSHOT_TARGET,
)
from funcrec.trace.records import CallSite, CodeRecord, FunctionRecord, SiteRecord, SkippedRecord, SnapshotDelta

LIMITS = {
    "functions": MAX_FUNCTIONS,
    "sites": MAX_SITES,
    "call_sites": MAX_CALL_SITES,
    "skipped": MAX_ROWS,
    "types": MAX_TYPES,
    "plans": MAX_TYPES,
    "code": MAX_FUNCTIONS,
}
_ROOT, _HIDDEN = 1, 2
_STEPPED, _CHAINED = 1, 2

_SITE_PIECE = 1 << 16  # rows of the sites table in one record


class SnapshotTables:
    """The tables of a trace as far as they were read.

    Args:
        budget: of rows.

    Attributes:
        functions, call_sites, skipped, types, plans, code: rows by id.
    """

    def __init__(self, budget: ObjectBudget) -> None:
        self._budget = budget
        self.functions: list[FunctionRecord] = []
        self.call_sites: list[CallSite] = []
        self.skipped: list[SkippedRecord] = []
        self.types: list[dict[str, Any]] = []
        self.plans: list[dict[str, Any]] = []
        self.code: list[CodeRecord] = []
        self._sites = {name: _Growing(column) for name, column in _site_columns(Body(_encode_sites([])), 0).items()}

    @property
    def site_columns(self) -> dict[str, NDArray[Any]]:
        """Sites (n) as columns: function u32, address u64, role u8, flags u8, edge u8, condition i64, sp_delta i64."""
        return {name: column.view() for name, column in self._sites.items()}

    @property
    def sites(self) -> int:
        """How many sites are known."""
        return len(self._sites["role"])

    def for_events(self) -> Tables:
        """What the events of a block that follows may refer to."""
        return Tables(self._sites["role"].view(), len(self.call_sites))

    def site_records(self) -> list[SiteRecord]:
        """All sites as rows."""
        columns = (column.tolist() for column in self.site_columns.values())
        return [
            SiteRecord(
                function, address, role, bool(flags & _STEPPED), edge, condition, sp_delta, bool(flags & _CHAINED)
            )
            for function, address, role, flags, edge, condition, sp_delta in zip(*columns, strict=True)
        ]

    def add(self, fields: dict[str, Any], count: int) -> None:
        """Append the rows of a SNAPSHOT body, `count` in all.

        Raises:
            BadRecordError: rows out of range, or that do not follow the ones already here; nothing was added.
        """
        body = Body(fields)
        functions = self._rows(body, "functions", self.functions, _decode_functions)
        call_sites = self._rows(body, "call_sites", self.call_sites, _decode_call_sites)
        skipped = self._rows(body, "skipped", self.skipped, _decode_skipped)
        types = self._rows(body, "types", self.types, _decode_maps)
        plans = self._rows(body, "plans", self.plans, _decode_maps)
        code = self._rows(body, "code", self.code, _decode_code)
        sites = self._new_sites(body, len(self.functions) + len(functions))
        added = len(sites["role"]) + sum(map(len, (functions, call_sites, skipped, types, plans, code)))
        if added != count:
            raise BadRecordError(f"it has {added} rows instead of {count}")
        self.functions += functions
        self.call_sites += call_sites
        self.skipped += skipped
        self.types += types
        self.plans += plans
        self.code += code
        for name, column in sites.items():
            self._sites[name].append(column)

    def _rows(self, body: Body, name: str, known: list[Any], decode: Callable[[list[Any]], list[Any]]) -> list[Any]:
        if name not in body:
            return []
        table = body.table(name)
        table.integer("at", len(known), len(known))
        rows: list[Any] = table.value("rows", array)
        if len(known) + len(rows) > LIMITS[name]:
            raise BadRecordError(f"it brings more than {LIMITS[name]} {name}")
        self._budget.take(len(rows))
        return decode(rows)

    def _new_sites(self, body: Body, functions: int) -> dict[str, NDArray[Any]]:
        if "sites" not in body:
            return _site_columns(Body(_encode_sites([])), 0)
        table = body.table("sites")
        table.integer("at", self.sites, self.sites)
        n = table.integer("n", 0, min(_SITE_PIECE, LIMITS["sites"] - self.sites))
        columns = _site_columns(table, n)
        if n and int(columns["function"].max()) >= functions:
            raise BadRecordError("it has a site of a function that is not in the tables")
        return columns


class _Growing:
    """A column that grows by doubling: views taken earlier stay what they were and share its memory."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._room = values
        self._size = len(values)

    def __len__(self) -> int:
        return self._size

    def view(self) -> NDArray[Any]:
        return self._room[: self._size]

    def append(self, values: NDArray[Any]) -> None:
        size = self._size + len(values)
        if size > len(self._room):
            room = np.zeros(max(size, 2 * len(self._room)), self._room.dtype)
            room[: self._size] = self.view()
            self._room = room
        self._room[self._size : size] = values
        self._size = size


def split(delta: SnapshotDelta, at: dict[str, int]) -> Iterator[tuple[dict[str, Any], int]]:
    """Encode new rows as SNAPSHOT bodies of a bounded size, functions and their sites before what needs them.

    Args:
        delta: the new rows.
        at: rows of each table already in the file, by name.

    Yields:
        a body and how many rows it has.
    """
    # Types and plans go before sites: whoever finds a site in the tables finds the plan of its values as well.
    for name, encode in _ENCODERS.items():
        start = at[name]
        for rows in _pieces([encode(each) for each in getattr(delta, name)]):
            yield {"record": "snapshot", name: {"at": start, "rows": rows}}, len(rows)
            start += len(rows)
    for first in range(0, len(delta.sites), _SITE_PIECE):
        piece = delta.sites[first : first + _SITE_PIECE]
        yield {"record": "snapshot", "sites": {"at": at["sites"] + first, **_encode_sites(piece)}}, len(piece)


def _pieces(rows: list[Any]) -> Iterator[list[Any]]:
    """Split rows so that each piece has about SNAPSHOT_TARGET bytes and at most ROWS_TARGET rows."""
    packer = msgpack.Packer(unicode_errors="surrogateescape")
    first, size = 0, 0
    for at, each in enumerate(rows):
        size += len(packer.pack(each))
        if size >= SNAPSHOT_TARGET or at + 1 - first == ROWS_TARGET:
            yield rows[first : at + 1]
            first, size = at + 1, 0
    if first < len(rows):
        yield rows[first:]


def _encode_function(function: FunctionRecord) -> list[Any]:
    flags = _ROOT * function.root | _HIDDEN * function.hidden
    inlined = [clip(name) for name in function.inlined_into]
    return [clip(function.name), function.address, clip(function.file), function.line, flags, inlined]


def _decode_functions(rows: list[Any]) -> list[FunctionRecord]:
    return [
        FunctionRecord(name, address, file, line, bool(flags & _ROOT), bool(flags & _HIDDEN), tuple(inlined))
        for name, address, file, line, flags, inlined in checked_rows(rows, (text, u64, text, u31, u8, array_of(text)))
    ]


def _encode_call_site(site: CallSite) -> list[Any]:
    return [site.address, clip(site.name), site.offset, clip(site.file), site.line]


def _decode_call_sites(rows: list[Any]) -> list[CallSite]:
    return [CallSite(*each) for each in checked_rows(rows, (u64, text, u63, text, u31))]


def _encode_skipped(skipped: SkippedRecord) -> list[Any]:
    return [clip(skipped.name), clip(skipped.reason)]


def _decode_skipped(rows: list[Any]) -> list[SkippedRecord]:
    return [SkippedRecord(*each) for each in checked_rows(rows, (text, text))]


def _encode_code(code: CodeRecord) -> list[Any]:
    return [code.address, clip(code.name)]


def _decode_code(rows: list[Any]) -> list[CodeRecord]:
    return [CodeRecord(*each) for each in checked_rows(rows, (u64, text))]


def _decode_maps(rows: list[Any]) -> list[dict[str, Any]]:
    return [plain_map(each) for each in rows]


def _encode_map(value: dict[str, Any]) -> dict[str, Any]:
    return value


_ENCODERS: dict[str, Callable[[Any], Any]] = {
    "functions": _encode_function,
    "types": _encode_map,
    "plans": _encode_map,
    "call_sites": _encode_call_site,
    "skipped": _encode_skipped,
    "code": _encode_code,
}


def _encode_sites(sites: list[SiteRecord]) -> dict[str, Any]:
    def column(name: str, dtype: Any) -> NDArray[Any]:
        return np.array([getattr(site, name) for site in sites], dtype)

    return {
        "n": len(sites),
        "function": planes.pack(column("function", np.uint32)),
        "address": planes.pack(column("address", np.uint64)),
        "role": planes.pack(column("role", np.uint8)),
        "flags": planes.pack(_STEPPED * column("stepped", np.uint8) | _CHAINED * column("chained", np.uint8)),
        "edge": planes.pack(column("edge", np.uint8)),
        "condition": planes.pack(planes.zigzag(column("condition", np.int64))),
        "sp_delta": planes.pack(planes.zigzag(column("sp_delta", np.int64))),
    }


def _site_columns(table: Body, n: int) -> dict[str, NDArray[Any]]:
    return {
        "function": planes.unpack_u32(table.data("function"), n),
        "address": planes.unpack(table.data("address"), n, 8),
        "role": planes.unpack(table.data("role"), n, 1).astype(np.uint8),
        "flags": planes.unpack(table.data("flags"), n, 1).astype(np.uint8),
        "edge": planes.unpack(table.data("edge"), n, 1).astype(np.uint8),
        "condition": planes.unzigzag(planes.unpack(table.data("condition"), n, 1)),
        "sp_delta": planes.unzigzag(planes.unpack(table.data("sp_delta"), n, 4)),
    }

"""Traces as tables of a DuckDB database in memory. The columns of calls are registered as they are, not copied.

Only the tables that a query names are made. Nothing that a query does reaches the trace: it works on views.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import HostError, UsageError
from funcrec.lang.names import package_path
from funcrec.report.answers.goroutines import list_goroutines
from funcrec.report.arguments import value_column, value_names
from funcrec.report.calls import State
from funcrec.report.columns import Kind, ValueColumn
from funcrec.report.filters import Selection
from funcrec.report.labels import caller_names, function_names
from funcrec.report.request import Names
from funcrec.report.trace import Trace
from funcrec.trace.records import SiteRole

Columns = dict[str, NDArray[Any]]

TABLES = ("calls", "functions", "goroutines", "losses", "events", "call_values")
_BATCH = 10_000

_CALLS = """
select {trace} as trace, c.id, nullif(c.parent, -1) as parent, c.pid, c.goid, c.tid, f.name as func,
    c.start_ns - {start} as start_ns, case when c.end_ns >= 0 then c.end_ns - c.start_ns end as dur_ns,
    case when c.end_ns >= 0 then c.self_ns end as self_ns, c.depth, s.name as state,
    p.name as caller, p.caller_offset, p.file, p.line
from {calls} c join {functions} f on c.function = f.id join states s on c.state = s.id join {sites} p on c.caller = p.id
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query: names of columns, which of them are numbers, and batches of rows."""

    names: list[str]
    numeric: list[bool]
    batches: Iterator[list[tuple[Any, ...]]]


class Database:
    """Traces to ask.

    Args:
        selections: the calls of each trace.
        files: what the traces are called.
        query: SQL; tells which tables are needed.
        names: how functions are called.

    Raises:
        HostError: the extra `[sql]` is not installed.
    """

    def __init__(self, selections: Sequence[Selection], files: Sequence[str], query: str, names: Names) -> None:
        try:
            self._duckdb: Any = import_module("duckdb")
        except ImportError as error:
            raise HostError("sql needs DuckDB", remedy="pip install 'funcrec[sql]'") from error
        # Extensions would be fetched from the network; what a query needs is in the package.
        settings = {"autoinstall_known_extensions": False, "python_enable_replacements": False}
        self._connection = self._duckdb.connect(":memory:", config=settings)
        self._names = names
        words = set(re.findall(r"\w+", query.lower()))
        wanted = [table for table in TABLES if table in words]
        if "values" in words:
            wanted.append("call_values")
        self._connection.register("states", {"id": np.arange(len(State)), "name": _texts([s.label for s in State])})
        for table in dict.fromkeys([*wanted, *(() if wanted else TABLES)]):
            parts = [self._part(table, at, *each) for at, each in enumerate(zip(selections, files, strict=True))]
            self._connection.execute(f"create view {table} as " + " union all ".join(parts))
            if table == "call_values":
                self._connection.execute('create view "values" as select * from call_values')

    def _part(self, table: str, number: int, selection: Selection, file: str) -> str:
        """Register what a table needs of one trace; return the query for its rows."""
        trace = "'" + _utf8(file).replace("'", "''") + "'"
        if table == "calls":
            start = selection.trace.start_ns
            names = {name: f"{name}_{number}" for name in ("calls", "functions", "sites")}
            self._connection.register(names["calls"], _call_columns(selection))
            functions = function_names(selection.trace, self._names)
            self._connection.register(names["functions"], {"id": np.arange(len(functions)), "name": _texts(functions)})
            self._connection.register(names["sites"], _site_columns(selection.trace, self._names))
            return _CALLS.format(trace=trace, start=start, **names)
        columns = {
            "functions": _function_columns,
            "goroutines": _goroutine_columns,
            "losses": _loss_columns,
            "events": _event_columns,
            "call_values": _value_columns,
        }[table](selection, self._names)
        name = f"{table}_{number}_"
        self._connection.register(name, columns)
        return f"select {trace} as trace, * from {name}"

    def ask(self, query: str) -> Answer:
        """Run a query.

        Raises:
            UsageError: what DuckDB does not understand or cannot do.
        """
        try:
            result = self._connection.execute(query)
            description = result.description or []
        except self._duckdb.Error as error:
            cause = " ".join(str(error).split())
            raise UsageError(f"DuckDB: {cause}", remedy="the tables are " + ", ".join(TABLES)) from error
        numeric = [str(column[1]) in ("NUMBER", "DECIMAL") or "INT" in str(column[1]) for column in description]
        return Answer([str(column[0]) for column in description], numeric, self._batches(result))

    def _batches(self, result: Any) -> Iterator[list[tuple[Any, ...]]]:
        while True:
            try:
                rows: list[tuple[Any, ...]] = result.fetchmany(_BATCH)
            except self._duckdb.Error as error:
                raise UsageError(f"DuckDB: {' '.join(str(error).split())}", remedy="look at the query") from error
            if not rows:
                return
            yield rows


def _texts(texts: Sequence[str | None]) -> NDArray[Any]:
    array = np.empty(len(texts), object)
    array[:] = [text if text is None or text.isascii() else _utf8(text) for text in texts]
    return array


def _utf8(text: str) -> str:
    """Text that DuckDB takes: bytes that are not UTF-8 stand as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _nullable(numbers: Sequence[int | None]) -> NDArray[Any]:
    # Differences of absurd times do not fit; the end of the range is as wrong as they are.
    low, high = -(2**63), 2**63 - 1
    values = np.array([0 if number is None else min(max(number, low), high) for number in numbers], np.int64)
    return np.ma.masked_array(values, mask=[number is None for number in numbers])


def _call_columns(selection: Selection) -> Columns:
    calls = selection.calls
    names = ("pid", "goid", "tid", "function", "start_ns", "end_ns", "self_ns", "depth", "state", "caller")
    columns = {name: selection.of(getattr(calls, name)) for name in names}
    return {"id": selection.rows, "parent": selection.of(selection.parents), **columns}


def _site_columns(trace: Trace, names: Names) -> Columns:
    sites = trace.call_sites
    return {
        "id": np.arange(len(sites) + 1),
        "name": _texts(caller_names(trace, names)),
        "caller_offset": _nullable([None, *(site.offset if site.name else None for site in sites)]),
        "file": _texts([None, *(site.file or None for site in sites)]),
        "line": _nullable([None, *(site.line if site.file else None for site in sites)]),
    }


def _function_columns(selection: Selection, names: Names) -> Columns:
    trace = selection.trace
    counts = np.bincount(selection.of(selection.calls.function), minlength=len(trace.functions))
    kept = [at for at, function in enumerate(trace.functions) if not function.hidden]
    full, shown = [trace.functions[at] for at in kept], function_names(trace, names)
    return {
        "id": np.array(kept, np.int64),
        "name": _texts([shown[at] for at in kept]),
        "package": _texts([package_path(function.name) for function in full]),
        "file": _texts([function.file or None for function in full]),
        "line": _nullable([function.line if function.file else None for function in full]),
        "address": np.array([function.address for function in full], np.uint64),
        "calls": counts[kept].astype(np.int64) if kept else np.zeros(0, np.int64),
    }


def _goroutine_columns(selection: Selection, names: Names) -> Columns:
    rows = list_goroutines(selection, "", names)
    texts = ("created_by", "file", "entry", "ended")
    numbers = ("pid", "goid", "parent", "line", "start_ns", "end_ns", "calls", "busy_ns")
    columns = {name: _nullable([row[name] for row in rows]) for name in numbers}
    return {**columns, **{name: _texts([row[name] for row in rows]) for name in texts}}


def _loss_columns(selection: Selection, _: Names) -> Columns:
    lost, start = selection.trace.lost, selection.trace.start_ns
    return {
        "ring": np.array([each.ring for each in lost], np.int64),
        "kind": _texts([each.kind for each in lost]),
        "first_ns": np.array([each.first_ns - start for each in lost], np.int64),
        "last_ns": np.array([each.last_ns - start for each in lost], np.int64),
        "count": np.array([each.count for each in lost], np.int64),
    }


def _event_columns(selection: Selection, names: Names) -> Columns:
    """All events, whatever the filter; `depth_bytes` is the distance from the base of the stack."""
    trace = selection.trace
    parts = [trace.reader.events(number) for number in range(len(trace.reader.blocks))]
    kept = ("time_ns", "pid", "goid", "tid", "site", "depth", "stack")
    columns = {name: np.concatenate([np.zeros(0, np.int64), *(getattr(part, name) for part in parts)]) for name in kept}
    columns = {name: column.astype(np.int64) for name, column in columns.items()}
    site, functions = columns.pop("site"), function_names(trace, names)
    role = _texts([SiteRole(each.role).name.lower() for each in trace.sites])
    func = _texts([functions[each.function] for each in trace.sites])
    columns["depth_bytes"] = columns.pop("depth")
    columns["time_ns"] -= trace.start_ns
    return {"event": np.arange(len(site)), **columns, "func": func[site], "role": role[site]}


def _value_columns(selection: Selection, _: Names) -> Columns:
    """One row per recorded value: the call, its name as it was written, and what it is."""
    trace, rows = selection.trace, selection.rows
    parts: list[Columns] = []
    for name in value_names(trace):
        column = value_column(trace, selection.calls, name)
        part = {"name": _texts([name] * len(rows)), "call": rows, **_value_parts(column, selection)}
        known = _known(part)
        parts.append({key: each[known] for key, each in part.items()})
    empty = {"name": _texts([]), "call": np.zeros(0, np.int64), **_value_parts(ValueColumn({}), None)}
    parts = [
        {key: each[known] for key, each in part.items()} for part, known in zip(parts, map(_known, parts), strict=True)
    ]
    concatenate: Any = np.ma.concatenate  # numpy does not say its types
    return {key: concatenate([part[key] for part in [empty, *parts]]) for key in empty}


def _known(part: Columns) -> NDArray[np.bool_]:
    masks = [~np.ma.getmaskarray(part[key]) for key in ("number", "integer", "text", "boolean", "is_nil")]
    known: NDArray[np.bool_] = np.logical_or.reduce(masks)
    return known


def _value_parts(column: ValueColumn, selection: Selection | None) -> Columns:
    """A column of values as one column per type, NULL where it is of another."""
    n = len(selection) if selection is not None else 0
    whole = len(selection.calls) if selection is not None else 0
    types = {"number": np.float64, "integer": np.int64, "text": object, "boolean": np.bool_, "is_nil": np.bool_}
    masked_all: Any = np.ma.masked_all  # numpy does not say its types
    result: Columns = {name: masked_all(n, kind) for name, kind in types.items()}
    if selection is None:
        return result
    for kind, name in ((Kind.NUMBER, "number"), (Kind.TEXT, "text"), (Kind.BOOL, "boolean"), (Kind.NIL, "is_nil")):
        part = column.parts.get(kind)
        if part is None:
            continue
        known, values = (selection.of(np.broadcast_to(each, (whole,))) for each in (part.known, part.values))
        if kind == Kind.TEXT:
            values = _texts(part.labels)[values]
        elif kind == Kind.NUMBER:
            fits = known & _whole(values)
            result["integer"][fits] = values[fits].astype(np.int64)
        result[name][known] = values[known]
    return result


def _whole(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which numbers are whole and fit 64 bits with a sign, whatever the column has had to hold besides."""
    within: NDArray[np.bool_] = values <= np.iinfo(np.int64).max
    if values.dtype.kind == "f":
        # The limit itself is no double: 2**63 is where it begins to be too much.
        within = (values >= -(2.0**63)) & (values < 2.0**63) & (np.floor(values) == values)
    return within

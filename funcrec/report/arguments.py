"""Values of calls: all of a few calls for showing, or one of all calls for filtering and grouping."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import UsageError
from funcrec.lang.path import Path, parse_path
from funcrec.lang.steps import Step, resolve
from funcrec.report.builtin import unknown_name
from funcrec.report.calls import Calls
from funcrec.report.capturevectors import Batch, Found, VectorDecoder
from funcrec.report.columns import Kind, Part, ValueColumn
from funcrec.report.valuecells import united
from funcrec.report.valuestore import BlockCaptures, Sides, Store, Values, store_of
from funcrec.report.valuetext import format_value, format_values
from funcrec.trace.valueplans import CapturePlan, ValueLayout
from funcrec.trace.values import Decoder

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

__all__ = [
    "call_values",
    "format_value",
    "format_values",
    "has_values",
    "value_cells",
    "value_column",
    "value_names",
    "value_texts",
]

_SIDES = {"arg": False, "args": False, "ret": True, "results": True}


def has_values(trace: "Trace") -> bool:
    """Whether the trace was recorded with values."""
    return bool(trace.reader.plans)


def call_values(trace: "Trace", calls: Calls, rows: NDArray[Any]) -> list[Values]:
    """Return arguments and results of some calls, in the JSON forms of the machine contract.

    Args:
        trace: the recording.
        calls: its calls, or some of them with the same event numbers.
        rows: which of `calls`.

    Returns:
        one (arguments, results) pair per row; {} where nothing was recorded, `{"$error":"lost"}` where it was lost.

    Raises:
        TraceError: the tables of values are damaged.
    """
    out: list[Values] = [({}, {}) for _ in range(len(rows))]
    if not has_values(trace) or len(rows) == 0:
        return out
    store = store_of(trace)
    entry = calls.entry_event[rows].astype(np.int64)
    exit_ = calls.exit_event[rows].astype(np.int64)
    events = np.unique(np.concatenate([entry, exit_]))
    decoded = store.decode(events[events >= 0])
    nothing: Values = ({}, {})
    for at, (first, last) in enumerate(zip(entry.tolist(), exit_.tolist(), strict=True)):
        out[at] = (decoded.get(first, nothing)[0], decoded.get(last, nothing)[1])
    return out


def value_texts(trace: "Trace", calls: Calls, rows: NDArray[Any]) -> tuple[list[str], list[str]]:
    """Return what `call_values` does as JSON text on one line, many times faster: arguments and results of each row.

    Raises:
        TraceError: the tables of values are damaged.
    """
    arguments, results = (united(parts, len(rows), "{}").texts(len(rows)) for parts in value_cells(trace, calls, rows))
    return arguments, results


def value_cells(trace: "Trace", calls: Calls, rows: NDArray[Any]) -> Sides:
    """Return what `value_texts` does, with what values have in common said once.

    Raises:
        TraceError: the tables of values are damaged.
    """
    if not has_values(trace):
        return [], []
    entry, exit_ = (events[rows].astype(np.int64) for events in (calls.entry_event, calls.exit_event))
    return store_of(trace).cells(entry, exit_)


def value_column(trace: "Trace", calls: Calls, name: str) -> ValueColumn:
    """Return one value of every call by its name.

    Args:
        trace: the recording.
        calls: its calls.
        name: as it was recorded (`len(b)`, `req.URL.Path`), a path into a recorded value, or either behind `arg.` or
            `ret.` where a parameter and a result have one name.

    Raises:
        UsageError: no function of the trace has such a value.
    """
    if not has_values(trace):
        raise unknown_name(name, [])
    store = store_of(trace)
    wanted = _resolve(store.decoder, name)
    builder = _ColumnBuilder(len(calls))
    for one in wanted:
        for found in _without_calls(store.decoder, one)[0]:
            builder.add(found, found.at)
    sides = {result: _ends(trace, store, calls, wanted, result=result) for result in {one.result for one in wanted}}
    for block in store.around(np.concatenate([ends.events for ends in sides.values()])):
        for one in wanted:
            rows, captures = sides[one.result].within(block)
            of_plan = np.flatnonzero(block.plan[captures] == one.plan)
            if len(of_plan) == 0:
                continue
            chosen = captures[of_plan]
            batch = Batch(block.words, block.start[chosen], block.length[chosen])
            vectors = VectorDecoder(store.decoder, store.decoder.plans[one.plan], batch)
            for found in vectors.evaluate(one.layout, one.steps):
                builder.add(found, rows[of_plan])
    return builder.column()


@dataclass(frozen=True, slots=True)
class ValueType:
    """What is known of a value without any call: the types of numbers, and whether an interface may hold anything."""

    numbers: frozenset[np.dtype[Any]]
    dynamic: bool


def type_of(trace: "Trace", name: str) -> ValueType:
    """Return what is known of a value by its name.

    Raises:
        UsageError: no function of the trace has such a value.
    """
    if not has_values(trace):
        raise unknown_name(name, [])
    decoder = store_of(trace).decoder
    numbers, dynamic = set(), False
    for one in _resolve(decoder, name):
        found, open_ = _without_calls(decoder, one)
        numbers |= {each.values.dtype for each in found if each.kind is Kind.NUMBER}
        dynamic |= open_
    return ValueType(frozenset(numbers), dynamic)


def _without_calls(decoder: Decoder, wanted: "_Wanted") -> tuple[list[Found], bool]:
    """The kinds of a value by its type, without values, and whether there may be others."""
    nothing = np.zeros(0, np.int64)
    batch = Batch(np.zeros(2, np.uint64), nothing, nothing)
    vectors = VectorDecoder(decoder, decoder.plans[wanted.plan], batch)
    return vectors.evaluate(wanted.layout, wanted.steps), vectors.dynamic


@dataclass(frozen=True, slots=True)
class _Ends:
    """One end of some calls: their rows and numbers of events, by these."""

    rows: NDArray[np.int64]
    events: NDArray[np.int64]

    def within(self, block: BlockCaptures) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows whose event a block has a capture of, and which capture."""
        low, high = np.searchsorted(self.events, (block.first, block.end))
        capture = block.capture.take(self.events[low:high] - block.first)
        there = capture >= 0
        return self.rows[low:high][there], capture[there]


def _ends(trace: "Trace", store: Store, calls: Calls, wanted: list["_Wanted"], *, result: bool) -> _Ends:
    """The end of those calls that may have captured a value there: calls of functions that have it."""
    plans = {one.plan for one in wanted if one.result == result}
    functions = np.zeros(len(trace.functions), np.bool_)
    for site, plan in store.decoder.plan_of_site.items():
        if plan in plans and site < len(trace.sites):
            functions[trace.sites[site].function] = True
    events = calls.exit_event if result else calls.entry_event
    rows = np.flatnonzero(functions[calls.function] & (events >= 0))
    rows = rows[np.argsort(events[rows])]
    return _Ends(rows, events[rows])


def value_names(trace: "Trace") -> list[str]:
    """Names of all recorded values, each once, in order of the plans."""
    if not has_values(trace):
        return []
    return list(dict.fromkeys(value.name for plan in store_of(trace).decoder.plans for value in plan.values))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A value in one plan that a name means."""

    plan: int
    layout: ValueLayout
    steps: tuple[Step, ...]
    result: bool


def _resolve(decoder: Decoder, name: str) -> list[_Wanted]:
    plain = "".join(name.split())
    found = [one for number, plan in enumerate(decoder.plans) if (one := _written(plan, number, plain, None))]
    if found:
        return found
    path = parse_path(name)
    side = _SIDES.get(path.root)
    if side is not None and path.steps and isinstance(path.steps[0], str):
        path = Path(path.steps[0], path.steps[1:], path.dereferences, path.function)
    problem: UsageError | None = None
    for number, plan in enumerate(decoder.plans):
        try:
            one = _written(plan, number, str(path), side) or _longest(decoder, plan, number, path, side)
        except UsageError as error:
            problem = problem or error
            continue
        if one:
            found.append(one)
    if not found:
        names = list(dict.fromkeys(value.name for plan in decoder.plans for value in plan.values))
        raise problem or unknown_name(name, names)
    return found


def _written(plan: CapturePlan, number: int, name: str, side: bool | None) -> _Wanted | None:
    """The value recorded under exactly this name."""
    for value in plan.values:
        if "".join(value.name.split()) == name and side in (None, value.result):
            return _Wanted(number, value, (), value.result)
    return None


def _longest(decoder: Decoder, plan: CapturePlan, number: int, path: Path, side: bool | None) -> _Wanted | None:
    """The recorded value of which the path names a part: `req` for `req.URL.Path`."""
    for count in range(len(path.steps), -1, -1):
        whole = str(Path(path.root, path.steps[:count]))
        rest = Path(path.root, path.steps[count:], path.dereferences, path.function)
        one = _written(plan, number, whole, side)
        if one is not None and one.layout.raw is None:
            type_ = one.layout.steps[-1].type if one.layout.steps else one.layout.type
            if type_ >= 0:
                return _Wanted(number, one.layout, tuple(resolve(decoder.types, type_, rest)), one.result)
    return None


class _ColumnBuilder:
    """Puts what is found batch by batch into one column."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._known: dict[Kind, NDArray[np.bool_]] = {}
        self._values: dict[Kind, NDArray[Any]] = {}
        self._labels: dict[str, int] = {}

    def add(self, found: Found, row: NDArray[np.int64]) -> None:
        """Take values of a batch whose captures belong to these rows."""
        if len(found.at) == 0 and found.kind in self._known:
            return
        rows, values = row[found.at], found.values
        if found.kind is Kind.TEXT:
            codes = np.array(
                [self._labels.setdefault(label, len(self._labels)) for label in found.labels], dtype=np.int64
            )
            values = codes[values] if len(values) else values.astype(np.int64)
        target = self._column(found.kind, values)
        if found.kind is Kind.NUMBER and target.dtype != values.dtype:
            target, values = self._widen(target, values)
        target[rows] = values
        self._known[found.kind][rows] = True

    def _column(self, kind: Kind, values: NDArray[Any]) -> NDArray[Any]:
        if kind not in self._values:
            self._values[kind] = np.zeros(self._calls, dtype=values.dtype)
            self._known[kind] = np.zeros(self._calls, dtype=bool)
        return self._values[kind]

    def _widen(self, target: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """One type for both: i64 where all fits, else the widest float, whose 64 bits of fraction hold any integer."""
        floating = "f" in (target.dtype.kind, values.dtype.kind)
        if floating or max(_top(target), _top(values)) >= 1 << 63:
            kind: Any = np.longdouble
        else:
            kind = np.int64
        self._values[Kind.NUMBER] = target.astype(kind)
        return self._values[Kind.NUMBER], values.astype(kind)

    def column(self) -> ValueColumn:
        """The column; its parts are the kinds that occur."""
        labels = tuple(self._labels) or ("",)  # codes of calls without a text are 0
        return ValueColumn(
            {
                kind: Part(self._known[kind], values, labels if kind is Kind.TEXT else ())
                for kind, values in self._values.items()
            }
        )


def _top(values: NDArray[Any]) -> int:
    return int(values.max(initial=0)) if values.dtype == np.uint64 else 0

"""Which group each call of a view belongs to: `--by func`, `caller`, `line` ..., or any expression."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.lang.expr import parse
from funcrec.lang.names import package_path
from funcrec.report.calls import State
from funcrec.report.columns import Kind, Part
from funcrec.report.conditions import evaluate
from funcrec.report.filters import Selection
from funcrec.report.labels import caller_names, function_names
from funcrec.report.request import Names
from funcrec.report.summary import Groups, Scalar, places_of

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

Codes = NDArray[np.intp]
Integers = NDArray[np.integer[Any]]
Column = tuple[Codes, list[Scalar]]

_VERSION = re.compile(r"(\.v[0-9]+)\.")
# Numbers whose range is at most this many times their count are encoded by counting instead of by sorting.
_DENSE = 1 << 22
# Fractions below this are whole numbers once they are floored.
_WHOLE = 2**62
_CHUNK = 1 << 18


def encode(numbers: Integers) -> tuple[Codes, Integers]:
    """Distinct integers and where each number is among them: (intp[n], sorted distinct numbers)."""
    if len(numbers) == 0:
        return np.zeros(0, np.intp), numbers
    low, high = int(numbers.min()), int(numbers.max())
    if high - low >= _DENSE:
        distinct, codes = np.unique(numbers, return_inverse=True)
        return codes.astype(np.intp), distinct
    # Some at a time: what they take on the way would be more than they are.
    first, parts = numbers.dtype.type(low), [slice(at, at + _CHUNK) for at in range(0, len(numbers), _CHUNK)]
    place, codes = np.zeros(high - low + 1, np.intp), np.empty(len(numbers), np.intp)
    for part in parts:
        place[(numbers[part] - first).astype(np.intp)] = 1
    present = np.flatnonzero(place)
    place[present] = np.arange(len(present))
    for part in parts:
        codes[part] = place[(numbers[part] - first).astype(np.intp)]
    return codes, present.astype(numbers.dtype) + first


def by_label(numbers: Integers, label: Callable[[int], Scalar]) -> Column:
    """Group numbers by what they are called: numbers of one label form one group."""
    codes, distinct = encode(numbers)
    labels = [label(int(number)) for number in distinct]
    place: dict[Scalar, int] = {}
    joined = places_of(labels, place)
    return (joined[codes] if len(place) < len(labels) else codes), list(place)


def _site_line(trace: "Trace", number: int) -> str | None:
    site = trace.call_sites[number - 1] if 0 < number <= len(trace.call_sites) else None
    return f"{site.file}:{site.line}" if site is not None and site.file else None


def _function(selection: Selection, names: Names) -> Column:
    return by_label(selection.of(selection.calls.function), function_names(selection.trace, names).__getitem__)


def _package(selection: Selection, _: Names) -> Column:
    functions = selection.trace.functions
    return by_label(selection.of(selection.calls.function), lambda at: _package_of(functions[at].name))


def _package_of(name: str) -> str:
    """Import path of a function's package; names are shown unescaped, so the dot of `yaml.v3.` is told by its form."""
    path = package_path(name)
    version = _VERSION.match(name, len(path))
    return path + version[1] if version is not None else path


def _caller(selection: Selection, names: Names) -> Column:
    return by_label(selection.of(selection.calls.caller), caller_names(selection.trace, names).__getitem__)


def _line(selection: Selection, _: Names) -> Column:
    return by_label(selection.of(selection.calls.caller), lambda at: _site_line(selection.trace, at))


def _state(selection: Selection, _: Names) -> Column:
    return by_label(selection.of(selection.calls.state), lambda at: State(at).label)


def _pid(selection: Selection, _: Names) -> Column:
    return by_label(selection.of(selection.calls.pid), int)


def _tid(selection: Selection, _: Names) -> Column:
    return by_label(selection.of(selection.calls.tid), int)


def _depth(selection: Selection, _: Names) -> Column:
    return by_label(selection.of(selection.calls.depth), int)


def encode_pairs(first: Integers, second: Integers) -> tuple[Codes, list[tuple[int, int]]]:
    """Distinct pairs of integers and where each is among them."""
    ones, one = encode(first)
    others, other = encode(second)
    if len(one) == 1:
        return others, [(int(one[0]), number) for number in other.tolist()]
    width = max(len(other), 1)
    codes, pairs = encode(ones * width + others)
    return codes, [(int(one[pair // width]), int(other[pair % width])) for pair in pairs.tolist()]


def distinct_pairs(first: Integers, second: Integers) -> set[tuple[int, int]]:
    """Distinct pairs of integers."""
    found: set[tuple[int, int]] = set()
    for at in range(0, len(first), _CHUNK):
        found.update(encode_pairs(first[at : at + _CHUNK], second[at : at + _CHUNK])[1])
    return found


def _goroutines(selection: Selection) -> tuple[Codes, list[tuple[int, int]]]:
    """Goroutines as (pid, goid): ids are unique within a process only."""
    return encode_pairs(selection.of(selection.calls.pid), selection.of(selection.calls.goid))


def _goroutine(selection: Selection, _: Names) -> Column:
    codes, pairs = _goroutines(selection)
    if len({pid for pid, _ in pairs}) <= 1:
        return codes, [goid for _, goid in pairs]
    return codes, [f"{pid}/{goid}" for pid, goid in pairs]


def _creator(selection: Selection, names: Names) -> Column:
    codes, pairs = _goroutines(selection)
    created = {(record.pid, record.goid): record.created_at for record in selection.trace.goroutines}
    creators = caller_names(selection.trace, names)
    made, labels = by_label(np.arange(len(pairs)), lambda at: creators[created.get(pairs[at], 0)])
    return made[codes], labels


NAMED: dict[str, Callable[[Selection, Names], Column]] = {
    "func": _function,
    "package": _package,
    "caller": _caller,
    "line": _line,
    "goroutine": _goroutine,
    "creator": _creator,
    "state": _state,
    "pid": _pid,
    "tid": _tid,
    "depth": _depth,
}
# What groups of a part of a trace are called does not depend on the other parts.
APART = frozenset({*NAMED, "file"} - {"goroutine"})
_SYNONYMS = {"function": "func", "goid": "goroutine", "pkg": "package", "thread": "tid", "process": "pid"}


def key_order(key: object) -> tuple[object, ...]:
    """What to sort keys by: numbers by size, before text by letters, before nothing."""
    if isinstance(key, list):
        return tuple(key_order(each) for each in key)
    if key is None or isinstance(key, str):
        return (1 if key is not None else 2, 0, key or "")
    return (0, key, "")


def column_name(by: str) -> str:
    """What the column of a grouping is called: its name, or the expression as written."""
    return _SYNONYMS.get(by.strip(), by.strip())


def group(selection: Selection, by: Sequence[str], *, file: str | None = None, names: Names = Names.FULL) -> Groups:
    """Group the calls shown.

    Args:
        selection: the calls of one trace.
        by: names of NAMED, `file` or expressions; a group is a combination of the values of all, for none of them all
            calls are one group.
        file: what the trace is called, its path if not given.
        names: how functions are called.

    Returns:
        Codes for the rows shown, in their order; only groups that have a call.

    Raises:
        UsageError: neither a name nor an expression over this trace.
    """
    codes = np.zeros(len(selection), np.intp)
    keys: list[tuple[Scalar, ...]] = [()] if len(selection) else []
    for each in by:
        more, labels = _column(selection, column_name(each), file or str(selection.trace.path), names)
        inside = (codes >= 0) & (more >= 0)
        both, pairs = encode((codes * max(len(labels), 1) + more)[inside])
        codes = np.full(len(codes), -1, np.intp)
        codes[inside] = both
        split = [divmod(int(pair), max(len(labels), 1)) for pair in pairs]
        keys = [(*keys[at], labels[other]) for at, other in split]
    return Groups(codes, keys)


def _column(selection: Selection, by: str, file: str, names: Names) -> Column:
    if by == "file":
        return np.zeros(len(selection), np.intp), [file]
    named = NAMED.get(by)
    if named is not None:
        return named(selection, names)
    return _value(selection, by)


def _value(selection: Selection, by: str) -> Column:
    """Group by the value of an expression, floored; a call without the value belongs to no group."""
    column = evaluate(selection.trace, selection.own, parse(by))
    codes = np.full(len(selection), -1, np.intp)
    labels: list[Scalar] = []
    # What is known beside being nil or not says more, so it comes later.
    for kind in (Kind.NIL, Kind.BOOL, Kind.TEXT, Kind.NUMBER):
        part = column.parts.get(kind)
        if part is None:
            continue
        known, values = selection.of_own(part.known), selection.of_own(part.values)
        found, more = _part_labels(kind, part, values[known])
        codes[known] = found + len(labels)
        labels += more
    return codes, labels


def _part_labels(kind: Kind, part: Part, values: NDArray[Any]) -> Column:
    """Group the values of one kind."""
    if kind == Kind.TEXT:
        return by_label(values, lambda at: part.labels[at])
    if kind == Kind.BOOL:
        return by_label(values.astype(np.int8), bool)
    if kind == Kind.NIL:
        return by_label(values.astype(np.int8), lambda is_nil: None if is_nil else "not nil")
    if values.dtype.kind != "f":
        return by_label(values, int)
    if np.isfinite(values).all() and np.abs(values).max(initial=0) < _WHOLE:
        return by_label(np.floor(values).astype(np.int64), int)
    distinct, codes = np.unique(np.floor(values), return_inverse=True)
    # What a number is called does not depend on the others.
    return codes.astype(np.intp), [int(each) if abs(each) < _WHOLE else str(each) for each in distinct.tolist()]

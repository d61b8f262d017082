"""hist: how a number is distributed, per value of anything, or over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import UsageError
from funcrec.lang.expr import Binary, Name, Node, parse
from funcrec.report.answers.adding import added_up, answered
from funcrec.report.apart import groups_apart, told_apart
from funcrec.report.cluster import TraceFile
from funcrec.report.columns import Kind
from funcrec.report.conditions import evaluate
from funcrec.report.distribution import DURATIONS, Distribution, Scale, bins_of, distribute, merge, percentile
from funcrec.report.facts import Facts
from funcrec.report.filters import Selection
from funcrec.report.grouping import encode, group, key_order
from funcrec.report.request import FilterRequest, Names
from funcrec.report.stream import Finished, Stream
from funcrec.report.summary import Groups
from funcrec.report.trace import Trace
from funcrec.report.views.table import Column, Row, sort_rows
from funcrec.report.windows import SIZE

_TIMES = ("dur", "self", "start")


@dataclass(frozen=True, slots=True)
class HistRequest:
    """What to count.

    Attributes:
        filters: which calls.
        of: expression of the number.
        by: groupings; none: all calls together.
        scale: bins; None: doublings.
        slice_ns: length of a slice of time, to look at each by itself; 0: all time together.
        names: how functions are called.
    """

    filters: FilterRequest
    of: str = "dur"
    by: tuple[str, ...] = ()
    scale: Scale | None = None
    slice_ns: int = 0
    names: Names = Names.FULL


@dataclass(frozen=True, slots=True)
class Hist:
    """The answer, for one trace or many; with slices of time the last element of a key is the slice's number."""

    facts: list[Facts]
    distribution: Distribution


def is_duration(node: Node) -> bool:
    """True when the value of an expression is a time in ns."""
    if isinstance(node, Binary):
        return node.operator in ("+", "-") and is_duration(node.left) and is_duration(node.right)
    return isinstance(node, Name) and str(node) in _TIMES


def span_task(file: TraceFile, _: None) -> int:
    """Recorded time of a trace in ns."""
    trace = Trace(file.path)
    first: int = min([trace.start_ns, *(block.t_min for block in trace.reader.blocks)])
    return trace.end_ns - first


def slice_length(spans: Sequence[int], slices: int = 60) -> int:
    """A round length of time, in ns, of which at most `slices` cover the longest trace."""
    least = max(max(spans, default=0) / slices, 1.0)
    power = 10 ** int(np.floor(np.log10(least)))
    return int(next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9)))


def hist_task(file: TraceFile, request: HistRequest) -> Hist:
    """Count in one trace."""
    return hist_of(Trace(file.path), file.name, request)


def hist_of(trace: Trace, name: str, request: HistRequest, size: int = SIZE) -> Hist:
    """Count in a trace, window by window (of about `size` events) where numbers and groups can be told apart."""
    apart = told_apart(trace, parse(request.of)) and groups_apart(trace, request.by)
    return answered(trace, request.filters, size, lambda stream: _added(stream, trace, name, request), apart=apart)


def _added(stream: Finished | Stream, trace: Trace, name: str, request: HistRequest) -> Hist:
    facts, made = added_up(stream, trace, name, lambda part: _distribution(part, name, request), merge)
    return Hist([facts], made)


def _distribution(selection: Selection, name: str, request: HistRequest) -> Distribution:
    groups = group(selection, request.by, file=name, names=request.names)
    if request.slice_ns:
        groups = _sliced(selection, groups, request.slice_ns)
    node = parse(request.of)
    values, known = _numbers(selection, node)
    scale = request.scale if request.scale is not None or not is_duration(node) else DURATIONS
    return distribute(groups, values, known, scale)


def merge_hist(parts: Sequence[Hist]) -> Hist:
    """The answer of all traces."""
    return Hist([each for part in parts for each in part.facts], merge([part.distribution for part in parts]))


def _numbers(selection: Selection, node: Node) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """The numbers of the calls shown, and where there are any."""
    part = evaluate(selection.trace, selection.own, node).parts.get(Kind.NUMBER)
    if part is None:
        raise UsageError(f"'{node}' is not a number", remedy="count by it with --by, or take its len()")
    return selection.of_own(part.values), selection.of_own(part.known)


def _sliced(selection: Selection, groups: Groups, slice_ns: int) -> Groups:
    """Split groups by the slice of time in which calls start, counted from the beginning of the trace."""
    number = (selection.of(selection.calls.start_ns) - selection.trace.start_ns) // slice_ns
    inside = groups.codes >= 0
    slices, numbers = encode(number)
    found, pairs = encode((groups.codes * max(len(numbers), 1) + slices)[inside])
    codes = np.full(len(number), -1, np.intp)
    codes[inside] = found
    split = [divmod(int(pair), max(len(numbers), 1)) for pair in pairs]
    return Groups(codes, [(*groups.keys[at], int(numbers[slice_])) for at, slice_ in split])


def rows_of(hist: Hist, request: HistRequest) -> list[Row]:
    """One row per key: `key`, with slices `start_ns` and `end_ns`, counts, percentiles and `buckets`."""
    distribution = hist.distribution
    unit = "_ns" if is_duration(parse(request.of)) else ""
    percentiles = {f"p{what}{unit}": percentile(distribution, float(f"0.{what}")) for what in ("50", "90", "99")}
    percentiles |= {f"min{unit}": distribution.low, f"max{unit}": distribution.high}
    rows: list[Row] = []
    for at, key in enumerate(distribution.keys):
        if distribution.n[at] == 0:
            continue
        row: dict[str, object] = {"key": _plain(key[: len(request.by)])}
        if request.slice_ns:
            first = int(key[-1] or 0) * request.slice_ns
            row |= {"start_ns": first, "end_ns": first + request.slice_ns}
        row["n"] = int(distribution.n[at])
        row |= {name: _number(float(column[at]), distribution.whole) for name, column in percentiles.items()}
        row["buckets"] = [
            {"min": _edge(each.low), "max": _edge(each.high), "count": each.count} for each in bins_of(distribution, at)
        ]
        rows.append(row)
    return rows


def arrange(rows: list[Row], sort: str | None, top: int | None) -> list[Row]:
    """Rows in the order of their keys or sorted by columns; `top` keeps the keys with the most calls.

    Raises:
        UsageError: an unknown column.
    """
    if not rows:
        return rows
    columns = [Column(key, key.removesuffix("_ns")) for key in rows[0] if key != "buckets"]
    if sort is not None:
        return sort_rows(rows, sort, columns)[:top]
    counts: dict[object, int] = {}
    for row in rows:
        counts[key_order(row["key"])] = counts.get(key_order(row["key"]), 0) + row["n"]
    kept = sorted(counts, key=lambda key: -counts[key])[:top]
    rows = [row for row in rows if key_order(row["key"]) in kept]
    return sorted(rows, key=lambda row: (key_order(row["key"]), row.get("start_ns", 0)))


def _plain(key: tuple[object, ...]) -> object:
    return None if not key else key[0] if len(key) == 1 else list(key)


def _edge(value: float | None) -> int | float | None:
    return value if value is None else _number(value, value == round(value))


def _number(value: float, whole: bool) -> int | float:
    return round(value) if whole or abs(value) > 2**53 else value

"""stat: totals and percentiles by key."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from funcrec.errors import UsageError
from funcrec.lang.expr import parse
from funcrec.report.answers.adding import added_up, answered
from funcrec.report.apart import groups_apart, told_apart
from funcrec.report.calls import State
from funcrec.report.cluster import TraceFile
from funcrec.report.conditions import holds
from funcrec.report.facts import Facts
from funcrec.report.filters import Selection
from funcrec.report.grouping import column_name, group
from funcrec.report.labels import function_names
from funcrec.report.request import FilterRequest, Names
from funcrec.report.stream import Finished, Stream
from funcrec.report.summary import Summary, average_ns, deviation_ns, merge, percentile_ns, summarise
from funcrec.report.trace import Trace
from funcrec.report.views.table import Column, Row, duration_column, text_column
from funcrec.report.windows import SIZE

ERROR = "err != nil"


@dataclass(frozen=True, slots=True)
class StatRequest:
    """What to add up.

    Attributes:
        filters: which calls.
        by: one or more groupings.
        spread: with standard deviations.
        errors: count the calls whose result `err` is not nil.
        sources: tell where functions are defined.
        names: how functions are called.
    """

    filters: FilterRequest
    by: tuple[str, ...] = ("func",)
    spread: bool = False
    errors: bool = False
    sources: bool = False
    names: Names = Names.FULL


@dataclass(frozen=True, slots=True)
class Stat:
    """The answer, for one trace or many: facts of each, totals, and `file:line` of functions by name."""

    facts: list[Facts]
    summary: Summary
    sources: dict[str, str]


def stat_task(file: TraceFile, request: StatRequest) -> Stat:
    """Add up one trace."""
    return stat_of(Trace(file.path), file.name, request)


def stat_of(trace: Trace, name: str, request: StatRequest, size: int = SIZE) -> Stat:
    """Add up a trace, window by window (of about `size` events) where groups and errors can be told apart."""
    apart = groups_apart(trace, request.by) and not (request.errors and not _errors_apart(trace))
    return answered(trace, request.filters, size, lambda stream: _added(stream, trace, name, request), apart=apart)


def _added(stream: Finished | Stream, trace: Trace, name: str, request: StatRequest) -> Stat:
    facts, summary = added_up(stream, trace, name, lambda part: _summary(part, name, request), merge)
    sources = _sources(trace, request.names) if request.sources else {}
    return Stat([facts], replace(summary, span_ns=facts.span_ns), sources)


def _summary(selection: Selection, name: str, request: StatRequest) -> Summary:
    calls = selection.calls
    groups = group(selection, request.by, file=name, names=request.names)
    start, end, own, state = (selection.of(each) for each in (calls.start_ns, calls.end_ns, calls.self_ns, calls.state))
    error = _errors(selection) if request.errors else None
    return summarise(groups, np.where(end >= 0, end - start, -1), own, state, error=error, spread=request.spread)


def _sources(trace: Trace, names: Names) -> dict[str, str]:
    named = zip(function_names(trace, names), trace.functions, strict=True)
    return {name: f"{function.file}:{function.line}" for name, function in named if function.file}


def _errors_apart(trace: Trace) -> bool:
    try:
        return told_apart(trace, parse(ERROR))
    except UsageError:
        return True  # there are none


def _errors(selection: Selection) -> "np.ndarray[tuple[int], np.dtype[np.bool_]] | None":
    try:
        return selection.of_own(holds(selection.trace, selection.own, ERROR))
    except UsageError:
        return None  # no function of this trace has such a value


def merge_stat(parts: Sequence[Stat]) -> Stat:
    """The answer of all traces."""
    sources = {name: source for part in parts for name, source in part.sources.items()}
    return Stat([each for part in parts for each in part.facts], merge([part.summary for part in parts]), sources)


def columns(by: Sequence[str]) -> list[Column]:
    """All columns there are, in the order of the machine contract."""
    keys = [text_column(name, "function" if name == "func" else name) for name in map(column_name, by)]
    return [
        *keys,
        Column("calls"),
        Column("rate", "calls/s", lambda value: f"{value:.6g}"),
        duration_column("total_ns"),
        duration_column("self_ns"),
        duration_column("min_ns"),
        duration_column("avg_ns"),
        duration_column("p50_ns"),
        duration_column("p90_ns"),
        duration_column("p99_ns"),
        duration_column("p999_ns"),
        duration_column("max_ns"),
        duration_column("stddev_ns"),
        Column("errors"),
        Column("panics"),
        *(Column(state.label) for state in State if state != State.PANICKED),
        text_column("source"),
    ]


MACHINE = ("calls", "total_ns", "self_ns", "min_ns", "avg_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns")
PEOPLE = ("total_ns", "self_ns", "calls", "avg_ns", "p50_ns", "p99_ns", "max_ns")


def rows_of(stat: Stat, by: Sequence[str]) -> list[Row]:
    """One row per group with a value for every column; None where nothing is known."""
    summary = stat.summary
    names = [column_name(each) for each in by]
    percentiles = {f"p{what}_ns": percentile_ns(summary, float(f"0.{what}")) for what in ("50", "90", "99", "999")}
    reals = {"avg_ns": average_ns(summary), "stddev_ns": deviation_ns(summary), **percentiles}
    seconds = summary.span_ns / 1e9
    rows: list[Row] = []
    for at, key in enumerate(summary.keys):
        ended = int(summary.ended[at])
        name = key[names.index("func")] if "func" in names else None
        rows.append(
            {
                **dict(zip(names, key, strict=True)),
                "calls": int(summary.calls[at]),
                "rate": round(int(summary.calls[at]) / seconds, 3) if seconds > 0 else None,
                "total_ns": int(summary.total_ns[at]) if ended else None,
                "self_ns": int(summary.self_ns[at]) if ended else None,
                "min_ns": int(summary.min_ns[at]) if ended else None,
                "max_ns": int(summary.max_ns[at]) if ended else None,
                **{what: None if np.isnan(column[at]) else round(float(column[at])) for what, column in reals.items()},
                "errors": int(summary.errors[at]),
                "panics": int(summary.states[at, State.PANICKED]),
                **{state.label: int(summary.states[at, state]) for state in State if state != State.PANICKED},
                "source": stat.sources.get(str(name)),
            }
        )
    return rows

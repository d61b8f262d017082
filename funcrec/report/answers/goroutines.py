"""goroutines: who started whom, from where, for how long, and what of it was busy."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.cluster import TraceFile
from funcrec.report.exact import sum_by
from funcrec.report.facts import Facts, facts_of
from funcrec.report.filters import Selection, select
from funcrec.report.grouping import encode_pairs
from funcrec.report.labels import caller_names, short_name
from funcrec.report.request import FilterRequest, Names
from funcrec.report.trace import Trace
from funcrec.report.views.table import Row

UNKNOWN = "unknown"
_WRAPPER = re.compile(r"\.gowrap\d+$")


@dataclass(frozen=True, slots=True)
class GoroutinesRequest:
    """Which calls count, and how functions are called."""

    filters: FilterRequest
    names: Names = Names.FULL


@dataclass(frozen=True, slots=True)
class Goroutines:
    """The goroutines of one trace."""

    facts: Facts
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class _Lives:
    """What calls say about K goroutines, times in monotonic ns; `ended` is a State, -1 where no call tells."""

    keys: list[tuple[int, int]]
    calls: NDArray[np.int64]
    busy_ns: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    last_ns: NDArray[np.int64]
    ended: NDArray[np.int64]


def goroutines_task(file: TraceFile, request: GoroutinesRequest) -> Goroutines:
    """List the goroutines of one trace; under a filter those that have a call shown."""
    selection = select(Trace(file.path), request.filters)
    return Goroutines(facts_of(selection, file.name), list_goroutines(selection, file.name, request.names))


def list_goroutines(selection: Selection, file: str, names: Names) -> list[Row]:
    """One row per goroutine in the order of their starts: what it is, who started it, and what calls say about it."""
    trace, lives = selection.trace, _lives(selection)
    at = {key: number for number, key in enumerate(lives.keys)}
    known = {(record.pid, record.goid): record for record in trace.goroutines}
    everything = {**known, **at} if selection.is_everything else at
    callers = caller_names(trace, names)
    rows: list[Row] = []
    for pid, goid in everything:
        record, number = known.get((pid, goid)), at.get((pid, goid))
        site = trace.call_sites[record.created_at - 1] if record is not None and record.created_at else None
        entry = record.entry if record is not None and record.entry else None
        seen = [record.first_ns] if record is not None else []
        seen += [int(lives.first_ns[number])] if number is not None else []
        ended = UNKNOWN if number is None or lives.ended[number] < 0 else State(lives.ended[number]).label
        last = None if number is None or ended == State.OPEN.label else int(lives.last_ns[number]) - trace.start_ns
        rows.append(
            {
                "trace": file,
                "pid": pid,
                "goid": goid,
                "parent": record.parent or None if record is not None else None,
                "created_by": callers[record.created_at] if record is not None and site is not None else None,
                "file": site.file or None if site is not None else None,
                "line": site.line if site is not None and site.file else None,
                "entry": short_name(entry) if entry is not None and names == Names.SHORT else entry,
                "start_ns": min(seen) - trace.start_ns,
                "end_ns": last if last is None or last >= 0 else None,
                "calls": int(lives.calls[number]) if number is not None else 0,
                "busy_ns": int(lives.busy_ns[number]) if number is not None else 0,
                "ended": ended,
            }
        )
    return sorted(rows, key=lambda row: (row["start_ns"], row["pid"], row["goid"]))


def _lives(selection: Selection) -> _Lives:
    """Add up the calls shown by goroutine."""
    calls = selection.calls
    codes, keys = encode_pairs(selection.of(calls.pid), selection.of(calls.goid))
    k = len(keys)
    start, end, state = (selection.of(each) for each in (calls.start_ns, calls.end_ns, calls.state))
    outer = selection.of(selection.parents) < 0
    busy = outer & (end >= 0)
    first, last = np.full(k, np.iinfo(np.int64).max), np.full(k, -1, np.int64)
    np.minimum.at(first, codes, start)
    np.maximum.at(last, codes, np.maximum(start, end))
    ended = np.full(k, -1, np.int64)
    entry = {(record.pid, record.goid): record.entry for record in selection.trace.goroutines}
    entries = _entry_calls(selection, codes, [entry.get(key, "") for key in keys])
    told = np.flatnonzero(entries | (state == State.GOEXIT))  # Goexit ends the goroutine from wherever it is called
    ended[codes[told]] = state[told]
    ended[codes[state == State.OPEN]] = State.OPEN
    ended[ended == State.LOST] = -1
    return _Lives(
        keys, np.bincount(codes, minlength=k), sum_by(codes[busy], (end - start)[busy], k), first, last, ended
    )


def _entry_calls(selection: Selection, codes: NDArray[np.intp], entry: list[str]) -> NDArray[np.bool_]:
    """Which calls shown are the whole of their goroutine: those of the function that it was started with.

    `go f(x)` starts a wrapper (`main.main.gowrap1`, Go 1.22 and later) that does nothing but call f.
    """
    if len(selection) == 0:
        return np.zeros(0, np.bool_)
    trace, calls = selection.trace, selection.calls
    number = {name: at for at, name in enumerate(entry)}
    entry_code = np.array([number[name] for name in entry], np.int64)[codes]
    function_code = np.array([number.get(function.name, -1) for function in trace.functions], np.int64)
    callers = ["", *(site.name if _WRAPPER.search(site.name) else "" for site in trace.call_sites)]
    caller_code = np.array([number.get(name, -1) if name else -1 for name in callers], np.int64)
    mine: NDArray[np.bool_] = function_code[selection.of(calls.function)] == entry_code
    mine |= caller_code[selection.of(calls.caller)] == entry_code
    mine &= selection.of(calls.parent) < 0
    return mine

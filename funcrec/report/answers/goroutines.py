"""goroutines: who started whom, from where, for how long, and what of it was busy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.report.answers.adding import added_up, answered
from funcrec.report.calls import State
from funcrec.report.cluster import TraceFile
from funcrec.report.exact import sum_by
from funcrec.report.facts import Facts
from funcrec.report.filters import Selection
from funcrec.report.grouping import encode_pairs
from funcrec.report.labels import caller_names, short_name
from funcrec.report.request import FilterRequest, Names
from funcrec.report.stream import Finished, Stream
from funcrec.report.summary import places_of
from funcrec.report.trace import Trace
from funcrec.report.views.table import Row
from funcrec.report.windows import SIZE

UNKNOWN = "unknown"
_NEVER = np.iinfo(np.int64).max
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
    """What calls say about K goroutines (pid and goid), times in monotonic ns.

    Attributes:
        told: the State of the last call that tells how the goroutine ended, -1 where none does. told_ns: its start.
        open: bool, a call goes on.
    """

    keys: list[tuple[int, int]]
    calls: NDArray[np.int64]
    busy_ns: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    last_ns: NDArray[np.int64]
    told: NDArray[np.int64]
    told_ns: NDArray[np.int64]
    open: NDArray[np.bool_]

    def ended(self, number: int) -> str:
        """How a goroutine ended, or that nobody knows."""
        told = State.OPEN if self.open[number] else self.told[number]
        return UNKNOWN if told < 0 or told == State.LOST else State(told).label


def goroutines_task(file: TraceFile, request: GoroutinesRequest) -> Goroutines:
    """List the goroutines of one trace; under a filter those that have a call shown."""
    return goroutines_of(Trace(file.path), file.name, request)


def goroutines_of(trace: Trace, name: str, request: GoroutinesRequest, size: int = SIZE) -> Goroutines:
    """List the goroutines of a trace, window by window (of about `size` events)."""
    # Which calls are outermost of those shown depends on callers that are still open.
    at_ends = not request.filters.of_ends
    return answered(trace, request.filters, size, lambda stream: _added(stream, trace, name, request), at_ends=at_ends)


def _added(stream: Finished | Stream, trace: Trace, name: str, request: GoroutinesRequest) -> Goroutines:
    facts, lives = added_up(stream, trace, name, _lives, _merged)
    return Goroutines(facts, _rows(trace, lives, name, request.names, everything=facts.shown == facts.calls))


def list_goroutines(selection: Selection, file: str, names: Names) -> list[Row]:
    """One row per goroutine in the order of their starts: what it is, who started it, and what calls say about it."""
    return _rows(selection.trace, _lives(selection), file, names, everything=selection.is_everything)


def _rows(trace: Trace, lives: _Lives, file: str, names: Names, *, everything: bool) -> list[Row]:
    at = {key: number for number, key in enumerate(lives.keys)}
    known = {(record.pid, record.goid): record for record in trace.goroutines}
    listed = {**known, **at} if everything else at
    callers = caller_names(trace, names)
    rows: list[Row] = []
    for pid, goid in listed:
        record, number = known.get((pid, goid)), at.get((pid, goid))
        site = trace.call_sites[record.created_at - 1] if record is not None and record.created_at else None
        entry = record.entry if record is not None and record.entry else None
        seen = [record.first_ns] if record is not None else []
        seen += [int(lives.first_ns[number])] if number is not None else []
        ended = UNKNOWN if number is None else lives.ended(number)
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
    first, last = np.full(k, _NEVER), np.full(k, -1, np.int64)
    np.minimum.at(first, codes, start)
    np.maximum.at(last, codes, np.maximum(start, end))
    entry = {(record.pid, record.goid): record.entry for record in selection.trace.goroutines}
    entries = _entry_calls(selection, codes, [entry.get(key, "") for key in keys])
    telling = np.flatnonzero(entries | (state == State.GOEXIT))  # Goexit ends the goroutine from wherever it is called
    telling = telling[np.argsort(start[telling], kind="stable")]
    told, told_ns, still = np.full(k, -1, np.int64), np.full(k, -1, np.int64), np.zeros(k, np.bool_)
    told[codes[telling]], told_ns[codes[telling]] = state[telling], start[telling]
    still[codes[state == State.OPEN]] = True
    calls_of, busy_ns = np.bincount(codes, minlength=k), sum_by(codes[busy], (end - start)[busy], k)
    return _Lives(keys, calls_of, busy_ns, first, last, told, told_ns, still)


def _merged(parts: Sequence[_Lives]) -> _Lives:
    """What the calls behind all parts say, those that were over earlier first."""
    place: dict[tuple[int, int], int] = {}
    moved = [places_of(part.keys, place) for part in parts]
    k = len(place)
    nothing = np.zeros(k, np.int64)
    whole = _Lives(
        list(place), nothing, nothing.copy(), nothing + _NEVER, nothing - 1, nothing - 1, nothing - 1, nothing > 0
    )
    for part, to in zip(parts, moved, strict=True):
        whole.calls[to] += part.calls
        whole.busy_ns[to] += part.busy_ns
        whole.first_ns[to] = np.minimum(whole.first_ns[to], part.first_ns)
        whole.last_ns[to] = np.maximum(whole.last_ns[to], part.last_ns)
        whole.open[to] |= part.open
        # Of calls that begin at one time the inner one tells, which was over before.
        later = part.told_ns > whole.told_ns[to]
        whole.told[to[later]], whole.told_ns[to[later]] = part.told[later], part.told_ns[later]
    return whole


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

"""What every view says about its traces before it answers: how much is shown, how calls ended, what is missing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.filters import Selection
from funcrec.report.grouping import encode
from funcrec.report.overhead import total_cost_ns
from funcrec.report.request import Overhead
from funcrec.report.views.heading import cost_text, note_lines


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of one trace under a filter; small, so that they travel from workers.

    Attributes:
        file: as the user calls it.
        calls: in the trace; shown: that passed the filter.
        states: shown calls by `State`.
        functions, goroutines: that have shown calls.
        lost_events, lost_values: that happened and are not in the trace.
        damage: what is wrong with the file, one line; None: nothing.
        shortcomings: all that is known to be missing, a line each.
        span_ns: recorded time.
        cost_ns: estimated cost of all probe hits, 0 when it was not measured.
        cost: a line about it.
        kept: that cost is part of the durations.
        guard: lines about functions that were not recorded to the end.
    """

    file: str
    calls: int
    shown: int
    states: tuple[int, ...]
    functions: int
    goroutines: int
    lost_events: int
    lost_values: int
    damage: str | None
    shortcomings: tuple[str, ...]
    span_ns: int
    cost_ns: float
    cost: str
    kept: bool
    guard: tuple[str, ...] = ()


def facts_of(selection: Selection, file: str) -> Facts:
    """Collect the facts of a selection."""
    trace, calls = selection.trace, selection.calls
    states = np.bincount(selection.of(calls.state), minlength=len(State))
    return Facts(
        file=file,
        calls=len(calls),
        shown=len(selection),
        states=tuple(states.tolist()),
        functions=int(np.count_nonzero(np.bincount(selection.of(calls.function)))),
        goroutines=_count_goroutines(selection.of(calls.pid), selection.of(calls.goid)),
        lost_events=trace.lost_events,
        lost_values=trace.lost_values,
        damage=trace.damage,
        shortcomings=tuple(trace.shortcomings),
        span_ns=trace.end_ns - trace.start_ns,
        cost_ns=float(total_cost_ns(trace)),
        cost=cost_text(selection),
        kept=selection.request.overhead == Overhead.KEEP,
        guard=tuple(note_lines(trace)),
    )


def _count_goroutines(pid: NDArray[np.uint32], goid: NDArray[np.uint64]) -> int:
    if len(pid) == 0:
        return 0
    low, high = goid.min(), goid.max()
    if (pid == pid[0]).all() and int(high) - int(low) < 1 << 22:
        return int(np.count_nonzero(np.bincount((goid - low).astype(np.intp))))
    process, goroutine = encode(pid)[0], encode(goid)[0]
    return len(encode(process * (int(goroutine.max()) + 1) + goroutine)[1])

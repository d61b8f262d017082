"""What every view says about its traces before it answers: how much is shown, how calls ended, what is missing."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.filters import Selection
from funcrec.report.grouping import distinct_pairs
from funcrec.report.overhead import site_costs, total_cost_ns
from funcrec.report.request import Overhead
from funcrec.report.trace import Trace
from funcrec.report.views.heading import busy_ns, cost_line, cost_text, note_lines


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
    tally = Tally(selection.trace)
    tally.add(selection)
    return tally.facts(file, None)


class Tally:
    """Counts what the parts of a trace show."""

    def __init__(self, trace: Trace) -> None:
        self._calls = self._shown = self._busy_ns = 0
        self._states = np.zeros(len(State), np.int64)
        self._functions = np.zeros(len(trace.functions), np.bool_)
        self._goroutines: set[tuple[int, int]] = set()
        self._trace, self._kept, self._cost = trace, True, ""
        self._measured = bool(site_costs(trace).any())

    def add(self, selection: Selection) -> None:
        """Take in a part."""
        calls, since = selection.calls, selection.since
        self._calls += selection.total - since
        self._kept = selection.request.overhead == Overhead.KEEP
        if selection.window is None or selection.window.total is not None:  # there is no other part
            self._cost = cost_text(selection)
        self._shown += len(selection)
        self._states += np.bincount(selection.of(calls.state), minlength=len(State))
        self._functions |= np.bincount(selection.of(calls.function), minlength=len(self._functions)) > 0
        self._goroutines |= distinct_pairs(selection.of(calls.pid), selection.of(calls.goid))
        if self._measured and selection.window is not None:
            own = slice(since, None)
            self._busy_ns += busy_ns(replace(calls, **{name: getattr(calls, name)[own] for name in _BUSY}))

    def facts(self, file: str, hits: NDArray[np.int64] | None) -> Facts:
        """Return the facts, once all parts were taken in; `hits` are those of each site, None with a single part."""
        trace, kept = self._trace, self._kept
        cost = total_cost_ns(trace, hits)
        return Facts(
            file=file,
            calls=self._calls,
            shown=self._shown,
            states=tuple(self._states.tolist()),
            functions=int(np.count_nonzero(self._functions)),
            goroutines=len(self._goroutines),
            lost_events=trace.lost_events,
            lost_values=trace.lost_values,
            damage=trace.damage,
            shortcomings=tuple(trace.shortcomings),
            span_ns=trace.end_ns - trace.start_ns,
            cost_ns=float(cost),
            cost=self._cost or cost_line(trace, cost, self._busy_ns, kept=kept),
            kept=kept,
            guard=tuple(note_lines(trace)),
        )


_BUSY = ("start_ns", "end_ns", "depth")

"""Which lines a call graph has, and in which order."""

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.filters import Selection
from funcrec.report.nesting import levels

Index = NDArray[np.int64]


class LineKind(IntEnum):
    """What a line shows."""

    LEAF = 0  # a call on one line
    BEGIN = 1  # a call whose callees follow, and its end
    END = 2
    NOTE = 3  # not a call


@dataclass(frozen=True)
class Lines:
    """k lines in order.

    Attributes:
        row: the call, for a note its number. kind: a `LineKind`. time_ns: monotonic.
        level: by row of the trace, number of shown callers (0 for calls not shown).
    """

    row: Index
    kind: NDArray[np.uint8]
    time_ns: Index
    level: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def with_notes(self, at: Index, times_ns: Index) -> "Lines":
        """Insert notes 0, 1, ... before the lines `at` (ascending)."""
        return Lines(
            np.insert(self.row, at, np.arange(len(at))),
            np.insert(self.kind, at, LineKind.NOTE),
            np.insert(self.time_ns, at, times_ns),
            self.level,
        )


def call_lines(selection: Selection) -> Lines:
    """Return the lines of the calls shown, by time.

    A call with shown callees gets a line where it begins and one where it ends; one whose end is not known (lost, or
    recorded by entries only) only has the first.
    """
    calls, rows = selection.calls, selection.rows
    level = np.zeros(len(calls), dtype=np.int64)
    level[rows] = levels(selection.parents, calls.depth, rows)
    callers = selection.parents[rows]
    has_callees = np.zeros(len(calls), dtype=bool)
    has_callees[callers[callers >= 0]] = True
    nested = has_callees[rows] & (calls.state[rows] <= State.OPEN)
    closed = rows[nested]
    end_ns = calls.end_ns[closed]
    still = calls.state[closed] == State.OPEN
    end_ns[still] = open_until(selection, closed[still])
    row = np.concatenate((rows, closed))
    kind = np.full(len(row), LineKind.END, dtype=np.uint8)
    kind[: len(rows)] = np.where(nested, LineKind.BEGIN, LineKind.LEAF)
    time_ns = np.concatenate((calls.start_ns[rows], end_ns))
    order = _order(selection, row, kind, time_ns, level)
    return Lines(row[order], kind[order], time_ns[order], level)


def open_until(selection: Selection, rows: Index) -> Index:
    """Return the time up to which open calls are known to have run: the end of their process or of the trace."""
    calls, trace = selection.calls, selection.trace
    result = np.full(len(rows), trace.end_ns, dtype=np.int64)
    start_ns, pid = calls.start_ns[rows], calls.pid[rows]
    for process in trace.processes if len(rows) else ():
        if process.end_ns >= 0:
            result[(pid == process.pid) & (start_ns >= process.start_ns) & (start_ns <= process.end_ns)] = (
                process.end_ns
            )
    return np.maximum(result, start_ns)


def _order(selection: Selection, row: Index, kind: NDArray[np.uint8], time_ns: Index, level: Index) -> Index:
    """Order lines by time; lines of one time as they nest: an end comes after everything inside its call."""
    order = np.argsort(time_ns)
    ordered = time_ns[order]
    equal = ordered[1:] == ordered[:-1]
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] |= equal
    tied[:-1] |= equal
    at = np.flatnonzero(tied)
    if len(at):
        members = order[at]
        ends = kind[members] == LineKind.END
        place = np.where(ends, _last_inside(selection)[row[members]], row[members])
        inward = np.where(ends, -level[row[members]], 0)
        order[at] = members[np.lexsort((inward, ends, place, time_ns[members]))]
    return order


def _last_inside(selection: Selection) -> Index:
    """For each call the highest row of what it called, directly or not; its own when it called nothing."""
    calls = selection.calls
    last = np.arange(len(calls))
    by_depth = np.argsort(calls.depth, kind="stable")
    bounds = np.flatnonzero(np.diff(calls.depth[by_depth].astype(np.int64), prepend=-1, append=1 << 40))
    for low, high in reversed(list(pairwise(bounds.tolist()))):
        level = by_depth[low:high]
        level = level[calls.parent[level] >= 0]
        np.maximum.at(last, calls.parent[level], last[level])
    return last

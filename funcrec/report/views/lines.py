"""Which lines a call graph has, and in which order."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.filters import Selection
from funcrec.report.nesting import fold_up, levels
from funcrec.report.windows import Window

Index = NDArray[np.int64]
Rows = NDArray[Any]  # rows as i32 or i64


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
        row: the call, for a note its number; i32 where that is enough. kind: a `LineKind`. time_ns: monotonic.
        level: by row of the trace, number of shown callers (0 for calls not shown).
    """

    row: Rows
    kind: NDArray[np.uint8]
    time_ns: Index
    level: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.row)

    def with_notes(self, at: Index, times_ns: Index) -> "Lines":
        """Insert notes 0, 1, ... before the lines `at` (ascending)."""
        if len(at) == 0:
            return self
        return Lines(
            np.insert(self.row, at, np.arange(len(at), dtype=self.row.dtype)),
            np.insert(self.kind, at, LineKind.NOTE),
            np.insert(self.time_ns, at, times_ns),
            self.level,
        )


class Reached:
    """How far calls that outlive a window reached so far: for each the highest number of what it called."""

    def __init__(self) -> None:
        self._event, self._last = np.empty(0, np.int64), np.empty(0, np.int64)

    def take(self, window: Window) -> Index:
        """Take in a window; return the highest number of what each of its calls called until now, or its own."""
        calls = window.calls
        own = window.ids.astype(np.int64)
        old = np.arange(window.first)
        if len(self._event) and len(old):
            event = calls.entry_event[old]
            at = np.minimum(np.searchsorted(self._event, event), len(self._event) - 1)
            own[old] = np.where(self._event[at] == event, np.maximum(self._last[at], own[old]), own[old])
        last = fold_up(np.maximum, own, calls.parent, calls.depth)
        stays = np.flatnonzero((calls.end_ns >= window.end_ns) | (calls.end_ns < 0))
        stays = stays[np.argsort(calls.entry_event[stays])]
        self._event, self._last = calls.entry_event[stays], last[stays]
        return last


def window_lines(selection: Selection, window: Window, reached: Reached) -> Lines:
    """Return the lines of a window of all calls: `call_lines` of the whole trace, as far as they are of its time."""
    calls = window.calls
    called = window.called if window.called is not None else np.zeros(len(calls), np.bool_)
    rows = np.arange(window.first, len(calls))
    ends = np.flatnonzero(called & (calls.state <= State.OPEN))
    end_ns = calls.end_ns[ends]
    still = calls.state[ends] == State.OPEN
    end_ns[still] = open_until(selection, ends[still])
    here = (end_ns >= window.begin_ns) & (end_ns < window.end_ns)
    nested = called[rows] & (calls.state[rows] <= State.OPEN)
    row = np.concatenate((rows, ends[here]))
    kind = np.full(len(row), LineKind.END, dtype=np.uint8)
    kind[: len(rows)] = np.where(nested, LineKind.BEGIN, LineKind.LEAF)
    time_ns = np.concatenate((calls.start_ns[rows], end_ns[here]))
    last = reached.take(window)
    order = _order(row, kind, time_ns, calls.depth, window.ids, lambda: last)
    return Lines(row[order], kind[order], time_ns[order], calls.depth)


def call_lines(selection: Selection) -> Lines:
    """Return the lines of the calls shown, by time.

    A call with shown callees gets a line where it begins and one where it ends; one whose end is not known (lost, or
    recorded by entries only) only has the first.
    """
    calls, rows = selection.calls, selection.rows
    nested = _has_callees(selection)[rows] & (calls.state[rows] <= State.OPEN)
    level = _levels(selection)
    # There are half again as many lines as calls: narrow numbers, and nothing kept longer than it is needed.
    row = np.concatenate((rows, rows[nested])).astype(np.int32 if len(calls) < 1 << 31 else np.int64)
    kind = np.full(len(row), LineKind.END, dtype=np.uint8)
    kind[: len(rows)] = np.where(nested, LineKind.BEGIN, LineKind.LEAF)
    del nested
    time_ns = np.empty(len(row), dtype=np.int64)
    time_ns[: len(rows)] = calls.start_ns[rows]
    closed = row[len(rows) :]
    end_ns = calls.end_ns[closed]
    still = calls.state[closed] == State.OPEN
    end_ns[still] = open_until(selection, closed[still])
    time_ns[len(rows) :] = end_ns
    del closed, end_ns, still
    order = _order(row, kind, time_ns, level, None, lambda: _last_inside(selection))
    row, kind = row[order], kind[order]
    return Lines(row, kind, time_ns[order], level)


def _has_callees(selection: Selection) -> NDArray[np.bool_]:
    callers = selection.parents if selection.is_everything else selection.parents[selection.rows]
    result = np.zeros(len(selection.calls) + 1, dtype=bool)
    result[callers] = True  # -1 marks the one place too many
    return result[:-1]


def _levels(selection: Selection) -> NDArray[np.uint32]:
    if selection.is_everything:
        return selection.calls.depth
    result = np.zeros(len(selection.calls), dtype=np.uint32)
    result[selection.rows] = levels(selection.parents, selection.calls.depth, selection.rows)
    return result


def open_until(selection: Selection, rows: Rows) -> Index:
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


def _order(
    row: Rows,
    kind: NDArray[np.uint8],
    time_ns: Index,
    level: NDArray[np.uint32],
    numbers: Index | None,
    last_inside: Callable[[], Rows],
) -> Index:
    """Order lines by time; lines of one time as they nest: an end comes after everything inside its call.

    `numbers` are those of rows, None: themselves; `last_inside` gives the highest number of what each row called.
    """
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
        own = row[members] if numbers is None else numbers[row[members]]
        place = np.where(ends, last_inside()[row[members]], own)
        inward = np.where(ends, -level[row[members]].astype(np.int64), 0)
        order[at] = members[np.lexsort((inward, ends, place, time_ns[members]))]
    return order


def _last_inside(selection: Selection) -> Rows:
    """For each call the highest row of what it called, directly or not; its own when it called nothing."""
    calls = selection.calls
    own = np.arange(len(calls), dtype=np.int32 if len(calls) < 1 << 31 else np.int64)
    return fold_up(np.maximum, own, calls.parent, calls.depth)

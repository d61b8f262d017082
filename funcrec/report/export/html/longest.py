"""The calls that a page shows one by one: the longest, told apart while all go by."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.export.source import Source
from funcrec.report.export.timeline import Index, Timeline
from funcrec.report.valuecells import Cells, listed
from funcrec.report.valuestore import store_of

Columns = dict[str, NDArray[Any]]


class Longest:
    """Keeps the longest calls of the parts of a trace, and what is told of each.

    A caller lasts no less than what it calls, and is kept first of equal ones, so that trees stay whole.

    Args:
        most: keep so many.

    Attributes:
        columns: of the calls kept, by track and start: `track`, `number` in the trace, `duration`, `start`, `function`,
            `depth`, `state`, `caller`, `thread`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._least = 0  # shorter ones are not kept
        self._pieces: list[Columns] = []
        self.columns: Columns = {}
        self._source: Source | None = None

    def __len__(self) -> int:
        return len(self.columns["number"])

    def add(self, timeline: Timeline) -> None:
        """Take in a part."""
        self._source = source = timeline.source
        duration = timeline.end_ns - timeline.start_ns
        at = np.flatnonzero(timeline.fresh & (duration >= self._least))
        row, calls = timeline.row[at], source.calls
        piece = {
            "track": timeline.track_numbers[timeline.track[at]] if len(at) else at,
            "number": source.numbers(row),
            "duration": duration[at],
            "start": timeline.start_ns[at],
            "function": timeline.function[at],
            "depth": timeline.depth[at].astype(np.uint32),
            "state": timeline.state[at],
            "caller": timeline.caller[at],
            "thread": calls.tid[row],
        }
        if source.window is not None and source.cells is not None:
            piece |= {"entry_event": calls.entry_event[row], "exit_event": calls.exit_event[row]}
        self._pieces.append(piece)
        if sum(len(each["number"]) for each in self._pieces) > self._most + self._most // 4:
            self._cut()

    def end(self) -> None:
        """All parts have been taken in."""
        self._cut()
        self.columns = self._pieces.pop()
        self._take(np.lexsort((self.columns["number"], self.columns["track"])), self.columns)

    def longest(self, most: int) -> Index:
        """Return the places of the longest of them, ascending."""
        return _longest(self.columns, most)

    @property
    def has_values(self) -> bool:
        """Whether calls of this trace may have values."""
        return self._source is not None and self._source.cells is not None

    def values(self, at: Index) -> Cells:
        """Return arguments and results of some of them as JSON."""
        source, columns = self._source, self.columns
        if source is None or source.cells is None:
            raise ValueError("a trace without values")
        if source.window is None:
            return listed(source.values(columns["number"][at]))
        events = columns["entry_event"], columns["exit_event"]
        store = store_of(source.trace)
        by_place = replace(source, cells=lambda places: store.cells(*(each[places] for each in events)))
        return listed(by_place.values(at))

    def _cut(self) -> None:
        first = self._pieces[0]
        joined = {name: np.concatenate([each[name] for each in self._pieces]) for name in first}
        self._pieces = [joined]
        if len(joined["number"]) > self._most:
            self._take(_longest(joined, self._most), joined)
            self._least = int(joined["duration"].min(initial=0))

    @staticmethod
    def _take(at: Index, columns: Columns) -> None:
        for name in columns:
            columns[name] = columns[name][at]


def _longest(columns: Columns, most: int) -> Index:
    """Ascending places of the longest calls, of equal ones those that stand first on their tracks."""
    duration = columns["duration"]
    n = len(duration)
    if n <= most:
        return np.arange(n)
    if most == 0:
        return np.arange(0)
    least = np.partition(duration, n - most)[n - most]
    kept = duration > least
    equal = np.flatnonzero(duration == least)
    first = np.lexsort((columns["number"][equal], columns["track"][equal]))
    kept[equal[first[: most - np.count_nonzero(kept)]]] = True
    return np.flatnonzero(kept)

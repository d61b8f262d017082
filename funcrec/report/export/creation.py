"""Who started whom, drawn from call to call: the arrows of the timeline viewers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.report.export.timeline import Index, Timeline, Track

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

_NONE = -1


@dataclass(frozen=True, slots=True)
class End:
    """One end of an arrow: a call by its number in the trace, its track's number, its start since the trace's."""

    call: int
    track: int
    start_ns: int


@dataclass(frozen=True, slots=True)
class Creation:
    """An arrow from the call where the go statement is to the first call of the goroutine."""

    origin: End
    target: End


class Creations:
    """Finds an arrow for each goroutine whose creating call is shown, over the parts of a trace.

    The creating call is the latest call of the function that holds the go statement, on the parent goroutine, that
    began before the new goroutine was first seen. Without such a call there is no arrow: nothing is guessed from other
    functions.
    """

    def __init__(self, trace: "Trace") -> None:
        known = [record for record in trace.goroutines if 0 < record.created_at <= len(trace.call_sites)]
        self._own: dict[tuple[int, int], list[int]] = {}
        by_parent: dict[tuple[int, int], dict[str, list[int]]] = {}
        for number, record in enumerate(known):
            self._own.setdefault((record.pid, record.goid), []).append(number)
            creator = trace.call_sites[record.created_at - 1].name
            by_parent.setdefault((record.pid, record.parent), {}).setdefault(creator, []).append(number)
        functions: dict[str, list[int]] = {}
        for number, function in enumerate(trace.functions):
            functions.setdefault(function.name, []).append(number)
        self._by_parent = {
            parent: [(np.array(functions.get(name, [])), np.array(members)) for name, members in creators.items()]
            for parent, creators in by_parent.items()
        }
        # Up to when the creating call of each goroutine began, since the trace's start.
        self._limit = np.array([record.first_ns - trace.start_ns for record in known], np.int64)
        # Call, track and start of both ends.
        self._origin, self._target = (np.full((len(known), 3), _NONE, np.int64) for _ in range(2))

    def __bool__(self) -> bool:
        """Whether the trace knows who created any goroutine, and where."""
        return len(self._limit) > 0

    def add(self, timeline: Timeline) -> None:
        """Take in a part; parts come in order."""
        tracks = [track for track in timeline.tracks if track.stack == 0 and track.goid != 0]
        for track in tracks:
            for number in self._own.get((track.pid, track.goid), []) if track.new else []:
                start_ns = int(timeline.start_ns[track.first])
                self._target[number] = self._call(timeline, track.first), track.number, start_ns
                self._limit[number] = min(self._limit[number], start_ns)
        fresh = timeline.fresh
        for track in tracks:
            for functions, members in self._by_parent.get((track.pid, track.goid), []):
                self._origins(timeline, fresh, track, functions, members)

    def _origins(
        self, timeline: Timeline, fresh: NDArray[np.bool_], track: Track, functions: Index, members: Index
    ) -> None:
        own = slice(track.first, track.first + track.count)
        calls = track.first + np.flatnonzero(np.isin(timeline.function[own], functions) & fresh[own])
        at = np.searchsorted(timeline.start_ns[calls], self._limit[members], side="right") - 1
        found, calls = members[at >= 0], calls[at[at >= 0]]
        rows = timeline.source.numbers(timeline.row[calls])
        self._origin[found] = np.stack((rows, np.full(len(rows), track.number), timeline.start_ns[calls]), 1)

    @staticmethod
    def _call(timeline: Timeline, at: int) -> int:
        return int(timeline.source.numbers(timeline.row[at : at + 1])[0])

    def found(self) -> Iterator[Creation]:
        """Yield the arrows, in the order of the goroutines in the trace."""
        whole = (self._origin[:, 0] >= 0) & (self._target[:, 0] >= 0)
        for origin, target in zip(self._origin[whole].tolist(), self._target[whole].tolist(), strict=True):
            yield Creation(End(*origin), End(*target))

"""Who started whom, drawn from call to call: the arrows of the timeline viewers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from funcrec.report.export.timeline import Timeline
from funcrec.trace.records import GoroutineRecord


@dataclass(frozen=True, slots=True)
class Creation:
    """An arrow from timeline call `origin` (where the go statement is) to `target`, the first call of the goroutine."""

    origin: int
    target: int
    goroutine: GoroutineRecord


def creations(timeline: Timeline) -> Iterator[Creation]:
    """Yield an arrow for each goroutine whose creating call is in the timeline.

    The creating call is the latest call of the function that holds the go statement, on the parent goroutine, that
    began before the new goroutine was first seen. Without such a call there is no arrow: nothing is guessed from other
    functions.
    """
    trace = timeline.source.trace
    tracks = {(t.pid, t.goid): t for t in timeline.tracks if t.stack == 0 and t.goid != 0}
    names: dict[str, list[int]] = {}
    for number, function in enumerate(trace.functions):
        names.setdefault(function.name, []).append(number)
    origins: dict[tuple[int, int, str], np.ndarray] = {}
    for record in trace.goroutines:
        own, parent = tracks.get((record.pid, record.goid)), tracks.get((record.pid, record.parent))
        if own is None or parent is None or not 0 < record.created_at <= len(trace.call_sites):
            continue
        creator = trace.call_sites[record.created_at - 1].name
        key = (parent.pid, parent.goid, creator)
        if key not in origins:
            of_parent = timeline.function[parent.first : parent.first + parent.count]
            origins[key] = parent.first + np.flatnonzero(np.isin(of_parent, names.get(creator, [])))
        starts = timeline.start_ns[origins[key]]
        seen = min(record.first_ns - trace.start_ns, int(timeline.start_ns[own.first]))
        at = int(np.searchsorted(starts, seen, side="right")) - 1
        if at >= 0:
            yield Creation(int(origins[key][at]), own.first, record)

"""Bring events into stored order: one run for each (process, goroutine, stack), time order inside.

Drained events come as pieces, each from one CPU's ring, so long stretches share a goroutine: only the stretches are
compared, and the events follow by a radix sort on a small number.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.trace.records import I64, U32, U64, EventColumns

_RADIX = 1 << 16


def group(events: EventColumns) -> tuple[NDArray[np.intp], I64]:
    """Return the stored order and the length of each run.

    Args:
        events: n >= 1 events in any order; equal times keep their order.

    Returns:
        order (n): positions in `events`; lengths (runs), in ascending order of (pid, goid, stack).
    """
    ids, runs = _stack_ids(events.pid, events.goid, events.stack)
    time = events.time_ns
    if np.any(time[1:] < time[:-1]):
        by_time = np.argsort(time, kind="stable")
        order = by_time[_radix_argsort(ids[by_time], runs)]
    else:
        order = _radix_argsort(ids, runs)
    return order, np.bincount(ids, minlength=runs)


def _stack_ids(pid: U32, goid: U64, stack: U64) -> tuple[U32, int]:
    """Number the stacks in ascending order; return the number of each event's stack and how many there are."""
    starts = boundaries(pid, goid, stack)
    keys = (stack[starts], goid[starts], pid[starts])
    by_key = np.lexsort(keys)
    new = np.zeros(len(starts), bool)
    new[boundaries(*(key[by_key] for key in keys))[1:]] = True
    ids = np.empty(len(starts), np.uint32)
    ids[by_key] = np.cumsum(new)
    return np.repeat(ids, np.diff(starts, append=len(pid))), int(ids.max()) + 1


def run_lengths(events: EventColumns) -> I64:
    """Return the lengths of the runs of events in stored order."""
    return np.diff(boundaries(events.pid, events.goid, events.stack), append=len(events)).astype(np.int64)


def boundaries(*columns: NDArray[Any]) -> NDArray[np.intp]:
    """Positions where a stretch of rows that are equal in every column begins; the first is 0."""
    change = np.ones(len(columns[0]), bool)
    np.logical_or.reduce([column[1:] != column[:-1] for column in columns], out=change[1:])
    return np.flatnonzero(change)


def _radix_argsort(ids: U32, count: int) -> NDArray[np.intp]:
    # numpy sorts 16-bit integers by radix, wider ones by comparison, which takes six times as long.
    order = np.argsort(ids.astype(np.uint16), kind="stable")
    if count > _RADIX:
        order = order[np.argsort((ids >> 16).astype(np.uint16)[order], kind="stable")]
    return order

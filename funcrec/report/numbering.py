"""The numbers of calls in the whole trace, found without making all of them: how many began before each."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import Calls
from funcrec.report.streams import Index, read_blocks, site_roles
from funcrec.trace.records import EventColumns, SiteRole
from funcrec.trace.spans import Spans

if TYPE_CHECKING:
    from funcrec.report.trace import Trace


def numbers_of(trace: "Trace", spans: Spans, calls: Calls) -> Index:
    """Return the number of each of some calls of goroutines' own stacks, one program in each process.

    Blocks that are over before a call began are counted as a whole, those that are not are read.

    Raises:
        TraceError: a block cannot be read.
    """
    infos = trace.reader.blocks
    t_min, t_max = (np.array([getattr(info, name) for info in infos], np.int64) for name in ("t_min", "t_max"))
    start_ns = calls.start_ns
    by_end = np.argsort(t_max, kind="stable")
    counted = np.append(0, np.cumsum(spans.calls[by_end]))
    numbers: Index = counted[np.searchsorted(t_max[by_end], start_ns)]
    roles = site_roles(trace.sites)
    begins = (roles == SiteRole.ENTRY) | (roles == SiteRole.POINT)
    by_start = np.argsort(start_ns)
    ordered = start_ns[by_start]
    low, high = np.searchsorted(ordered, t_min), np.searchsorted(ordered, t_max, side="right")
    for block in np.flatnonzero(low < high).tolist():
        events = next(read_blocks(trace, [block]))
        entry = np.flatnonzero(begins[events.site])
        at = by_start[low[block] : high[block]]
        numbers[at] += _before(events.take(entry), infos[block].first_event + entry, calls, at)
    return numbers


def _before(entries: EventColumns, number: Index, calls: Calls, at: NDArray[np.intp]) -> Index:
    """Count the entries before each of the calls `at`."""
    times, start_ns = np.sort(entries.time_ns), calls.start_ns[at]
    before = np.searchsorted(times, start_ns)
    same = np.searchsorted(times, start_ns, side="right") - before
    # Mostly the only entry of that time is its own.
    tied = np.flatnonzero(same > (_contains(number, calls.entry_event[at])))
    if len(tied):
        before[tied] += _ties(entries, number, calls, at[tied])
    return before


def _ties(entries: EventColumns, number: Index, calls: Calls, at: NDArray[np.intp]) -> Index:
    """Count the entries of the time of each call that stand before it."""
    mine = np.flatnonzero(np.isin(entries.time_ns, calls.start_ns[at]))
    theirs: tuple[NDArray[Any], ...] = (calls.entry_event, calls.goid, calls.pid, calls.start_ns)
    ours: tuple[NDArray[Any], ...] = (number, entries.goid, entries.pid, entries.time_ns)
    keys = [np.concatenate((own[mine], other[at])) for own, other in zip(ours, theirs, strict=True)]
    is_call = np.repeat([False, True], [len(mine), len(at)])
    # A call stands before its own entry here, so that this is not counted.
    order = np.lexsort((~is_call, *keys))
    seen = np.cumsum(~is_call[order])
    time_ns = keys[-1][order]
    begins = np.append(True, time_ns[1:] != time_ns[:-1])
    earlier = np.where(begins, seen - ~is_call[order], 0)
    seen -= np.maximum.accumulate(earlier)
    result = np.empty(len(order), np.int64)
    result[order] = seen
    return result[len(mine) :]


def _contains(ascending: Index, values: Index) -> NDArray[np.int64]:
    if len(ascending) == 0:
        return np.zeros(len(values), np.int64)
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: Index = (ascending[at] == values).astype(np.int64)
    return found

"""All events of a trace, grouped by the stack they happened on and in time order: what pairing works on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import TraceError
from funcrec.trace.records import EventColumns, SiteRecord, SiteRole

if TYPE_CHECKING:
    from funcrec.report.recording import Recording

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Stacks:
    """k stacks, sorted by process, image, goroutine stacks before system stacks, then number.

    Attributes:
        start: i64[k + 1], the events of stack s are start[s]:start[s + 1].
        pid: u32[k]. image: i64[k], which of the programs that ran in the process one after the other.
        number: u64[k], goid or (system) the stack field of the events. system: bool[k].
    """

    start: Index
    pid: NDArray[np.uint32]
    image: Index
    number: NDArray[np.uint64]
    system: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pid)


@dataclass(frozen=True)
class Runs:
    """Stretches of consecutive events of one (pid, image, goid, stack), in file order; `first` is an event number."""

    first: Index
    pid: NDArray[np.uint32]
    goid: NDArray[np.uint64]
    stack: NDArray[np.uint64]
    image: Index

    def goid_of(self, events: Index) -> NDArray[np.uint64]:
        """Return the goroutine of each event number."""
        return self.goid[np.searchsorted(self.first, events, side="right") - 1]


@dataclass(frozen=True)
class Streams:
    """n events, by stack and then time (equal times: stored order).

    Attributes:
        stacks: whose they are.
        runs: what the file says of them, by event number.
        time_ns: i64[n]. site: u32[n]. depth: u32[n], bytes.
        event: event number (position in the file), u32[n] or i64[n].
        tid, caller: u32[n], in file order, so by event number.
        number: i64[n], number in the file of each event when these are a part of it, in which `event` counts then.
    """

    stacks: Stacks
    runs: Runs
    time_ns: Index
    site: NDArray[np.uint32]
    depth: NDArray[np.uint32]
    event: NDArray[Any]
    tid: NDArray[np.uint32]
    caller: NDArray[np.uint32]
    number: Index | None = None

    def numbers(self, events: NDArray[Any]) -> Index:
        """Return the numbers in the file of some of `event`."""
        return events.astype(np.int64) if self.number is None else self.number[events]


def site_roles(sites: list[SiteRecord]) -> NDArray[np.uint8]:
    """Return the role of each site."""
    return np.array([site.role for site in sites], dtype=np.uint8)


def site_functions(sites: list[SiteRecord]) -> NDArray[np.uint32]:
    """Return the function of each site."""
    return np.array([site.function for site in sites], dtype=np.uint32)


def read_streams(trace: "Recording") -> Streams:
    """Read and order all events.

    Raises:
        TraceError: a block cannot be read.
    """
    columns = FileColumns(trace.stored)
    state_sites = site_roles(trace.sites) >= SiteRole.RECOVERY
    pieces = [columns.take(events, state_sites) for events in read_blocks(trace)]
    columns.cut()
    return arrange(columns, join_runs(pieces, columns, trace.sites))


def arrange(columns: "FileColumns", runs: Runs, number: Index | None = None) -> Streams:
    """Order events by stack and time; the columns are used up.

    Args:
        columns: in file order.
        runs: their runs.
        number: as in `Streams`.
    """
    stacks, order = _order(runs, columns.time_ns)
    time_ns = columns.time_ns[order]
    columns.time_ns = time_ns  # frees the unordered column before the next is made
    site = columns.site[order]
    columns.site = site
    depth = columns.depth[order]
    event = order.astype(np.uint32) if len(order) < 1 << 32 else order
    return Streams(stacks, runs, time_ns, site, depth, event, columns.tid, columns.caller, number)


def read_blocks(trace: "Recording", numbers: Sequence[int] | None = None) -> Iterator[EventColumns]:
    """Yield the events of some blocks, or of each.

    Raises:
        TraceError: a block cannot be read.
    """
    chosen = range(len(trace.reader.blocks)) if numbers is None else numbers
    for number, events in zip(chosen, trace.reader.events_of(chosen), strict=True):
        if len(events) and int(events.site.max()) >= len(trace.sites):
            cause = f"block {number} of {trace.path} has an event of an unknown site"
            raise TraceError(cause, remedy="record it again")
        yield events


class FileColumns:
    """Columns of n events in file order, filled part by part."""

    def __init__(self, n: int) -> None:
        self.n = 0
        self.time_ns = np.empty(n, dtype=np.int64)
        self.site = np.empty(n, dtype=np.uint32)
        self.depth = np.empty(n, dtype=np.uint32)
        self.tid = np.empty(n, dtype=np.uint32)
        self.caller = np.empty(n, dtype=np.uint32)

    def take(
        self, events: EventColumns, state_sites: NDArray[np.bool_], *, apart: bool = False
    ) -> tuple[NDArray[Any], ...]:
        """Append a block; return its runs (with `apart` each event is one): first event, pid, goid, stack."""
        at = slice(self.n, self.n + len(events))
        for name in ("time_ns", "site", "depth", "tid", "caller"):
            getattr(self, name)[at] = getattr(events, name)
        stack = events.stack
        if stack.any() and state_sites.any():
            # What ends a goroutine's frames counts for its own stack, wherever it was seen.
            stack = np.where(state_sites[events.site], np.uint64(0), stack)
        begins = np.ones(len(events), dtype=bool)
        begins[1:] = events.goid[1:] != events.goid[:-1]
        begins[1:] |= events.pid[1:] != events.pid[:-1]
        begins[1:] |= stack[1:] != stack[:-1]
        begins |= apart
        first = np.flatnonzero(begins)
        self.n += len(events)
        return first + at.start, events.pid[first], events.goid[first], stack[first]

    def cut(self) -> None:
        """Drop the room that damaged blocks did not fill."""
        for name in ("time_ns", "site", "depth", "tid", "caller"):
            setattr(self, name, getattr(self, name)[: self.n])


def join_runs(pieces: list[tuple[NDArray[Any], ...]], columns: FileColumns, sites: list[SiteRecord]) -> Runs:
    """Join the runs of all blocks; those of processes in which several programs ran are cut where one begins."""
    if not pieces:
        none = np.empty(0, dtype=np.uint64)
        return Runs(none.astype(np.int64), none.astype(np.uint32), none, none, none.astype(np.int64))
    first, pid, goid, stack = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    starts = np.flatnonzero((site_roles(sites) == SiteRole.START)[columns.site])
    began = columns.time_ns[starts]
    of = pid[np.searchsorted(first, starts, side="right") - 1]
    lasts = np.append(first[1:], columns.n)
    image = np.zeros(len(first), dtype=np.int64)
    cuts, images = [], []
    for process in np.unique(of).tolist():
        times = np.sort(began[of == process])
        for run in np.flatnonzero(pid == process).tolist():
            number = np.searchsorted(times, columns.time_ns[first[run] : lasts[run]], side="right")
            image[run] = number[0]
            inside = np.flatnonzero(np.diff(number)) + 1
            cuts.append(first[run] + inside)
            images.append(number[inside])
    if not any(len(each) for each in cuts):
        return Runs(first, pid, goid, stack, image)
    cut = np.concatenate(cuts)
    order = np.argsort(np.concatenate((first, cut)), kind="stable")
    whole = np.concatenate((np.arange(len(first)), np.searchsorted(first, cut, side="right") - 1))[order]
    return Runs(
        np.concatenate((first, cut))[order],
        pid[whole],
        goid[whole],
        stack[whole],
        np.concatenate((image, *images))[order],
    )


def _order(runs: Runs, time_ns: Index) -> tuple[Stacks, Index]:
    """Return the stacks, and the event numbers by stack and time."""
    system = runs.stack != 0
    number = np.where(system, runs.stack, runs.goid)
    length = np.diff(runs.first, append=len(time_ns))
    by_stack = np.lexsort((number, system, runs.image, runs.pid))
    pid, image, number, system = runs.pid[by_stack], runs.image[by_stack], number[by_stack], system[by_stack]
    length, first = length[by_stack], runs.first[by_stack]
    new = np.ones(len(first), dtype=bool)
    new[1:] = (pid[1:] != pid[:-1]) | (number[1:] != number[:-1]) | (system[1:] != system[:-1])
    new[1:] |= image[1:] != image[:-1]
    begins = np.cumsum(length) - length
    start = np.append(begins[new], len(time_ns))
    order = np.arange(len(time_ns))
    order += np.repeat(first - begins, length)
    _sort_times(order, time_ns, start)
    return Stacks(start, pid[new], image[new], number[new], system[new]), order


def _sort_times(order: Index, time_ns: Index, start: Index) -> None:
    """Put events of one stack into time order where blocks of the file overlap in time; equal times stay as stored."""
    ordered = time_ns[order]
    back = np.flatnonzero(ordered[1:] < ordered[:-1]) + 1
    stack = np.searchsorted(start, back, side="right") - 1
    for each in np.unique(stack[start[stack] != back]):
        at = slice(start[each], start[each + 1])
        order[at] = order[at][np.argsort(ordered[at], kind="stable")]

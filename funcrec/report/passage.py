"""The calls of a trace, a stretch of time after the other: memory does not grow with the trace.

A window holds all events between two times, however the blocks of the file overlap. It is paired by the same code as a
whole trace, behind the entries of the frames that are open when it begins. How those that outlive a window end, only
later windows say, while an export writes a call where it begins: so a first passage looks ahead and keeps the ends of
calls that outlive a window, of these alone; a second one makes the calls.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import Calls, State
from funcrec.report.earlier import LowestDepths
from funcrec.report.faults import lost_faults
from funcrec.report.letgo import NEVER
from funcrec.report.pairing import (
    Ends,
    Frames,
    by_start,
    call_columns,
    find_frames,
    make_table,
    mind_unseen_ends,
    self_times,
)
from funcrec.report.portions import Carried, Part, Portion, stretches
from funcrec.report.streams import FileColumns, Index, Runs, Streams, arrange, join_runs, site_roles
from funcrec.report.windows import SIZE, ApartError, Foresight, Known, Told, Window
from funcrec.trace.records import EventColumns, SiteRole

if TYPE_CHECKING:
    from funcrec.report.recording import Recording


def look_ahead(trace: "Recording", size: int = SIZE, most_open: int | None = None) -> "Foresight | None":
    """Return how the calls end that outlive a window; None when the trace is to be one window.

    Some traces are one window: small ones, those in which more frames are open at a time than a window has events, in
    which calls of system stacks hang on calls of goroutines, or in which a fault takes back what an earlier window
    told, or may have done so unseen.

    Raises:
        TraceError: a block cannot be read.
    """
    if trace.stored <= size or lost_faults(trace):
        return None
    passage = Passage(trace, size)
    if not passage.run(most_open):
        return None
    if not trace.lost and not any(note.functions for note in trace.notes):
        return passage.foresight()
    # Whose callees calls are depends on how their callers ended: time in callees is known after another passage.
    passage = Passage(trace, size, passage.foresight())
    passage.run(most_open)
    return passage.foresight()


class Passage:
    """One way through a trace, from the first window to the last.

    Args:
        trace: the recording.
        size: events of a window, about.
        foresight: what an earlier passage learnt; without it no calls can be made.
        portion: of the trace; None: all of it.
        wanted: numbers of entry events, ascending: what becomes of these calls is learnt in any case.
        earlier: windows tell frames that were entered before the recording.
    """

    def __init__(
        self,
        trace: "Recording",
        size: int,
        foresight: Foresight | None = None,
        portion: Portion | None = None,
        wanted: Index | None = None,
        *,
        earlier: bool = False,
    ) -> None:
        self._trace, self._size, self._known = trace, size, foresight
        self._portion = Portion.all_of(trace) if portion is None else portion
        self._wanted = wanted
        self._lowest = LowestDepths() if earlier else None
        roles = self._roles = site_roles(trace.sites)
        self._state_sites = roles >= SiteRole.RECOVERY
        self._starts, self._faults = (np.flatnonzero(roles == role) for role in (SiteRole.START, SiteRole.FAULT))
        self._images: dict[int, int] = {}  # programs that began in each process before this window
        self._replaced = False  # frames of a program were open when another began
        self._hits = np.zeros(len(trace.sites), np.int64)
        self._carried = self._portion.carried
        self._learnt: list[tuple[NDArray[Any], ...]] = []
        self._stacks: list[tuple[NDArray[np.uint32], NDArray[np.uint64]]] = []

    def begin(self) -> Carried | None:
        """Go through the first window; return what is open after it, None when windows do not suffice."""
        parts, _ = next(stretches(self._trace, self._size, self._portion))
        streams = self._streams(parts)
        if streams.stacks.system.any():
            return None
        part = self._pair(streams, last=False)
        self._carry(part, np.flatnonzero(~part.over), None)
        return self._carried

    def run(self, most_open: int | None = None) -> bool:
        """Go through to the end; False, at once, when windows do not suffice.

        Frames that are open at a time may be as many as a window has events, unless something else is said.
        """
        for number, (parts, until) in enumerate(stretches(self._trace, self._size, self._portion)):
            streams = self._streams(parts)
            if streams.stacks.system.any() or (number and self._takes_back(streams)):
                return False
            part = self._pair(streams, last=until == NEVER and self._portion.to_end)
            self._carry(part, np.flatnonzero(~part.over), None)
            del streams, part  # the next window takes as much
            if len(self._carried) > (self._size if most_open is None else most_open):
                return False  # what every window would begin with is as large as all of it
        return True

    @property
    def still_open(self) -> Index:
        """Numbers of the entries of frames that are open after the windows so far."""
        return self._carried.number

    def windows(self) -> Iterator[Window]:
        """Yield the calls of each window."""
        if self._known is None:
            return
        begin_ns, born, known = 0, 0, self._known.known
        for parts, until in stretches(self._trace, self._size, self._portion):
            first = len(self._carried)
            part = self._pair(self._streams(parts), last=until == NEVER and self._portion.to_end)
            order, ids = self._numbered(part, born)
            born += len(order) - first
            still = np.flatnonzero(~part.over[order])
            self._carry(part, order[still], ids[still])
            earlier = () if self._lowest is None else self._lowest.new(part.streams, self._roles, part.frames.earlier)
            table, called = self._table(part, order), part.called[order]
            window = Window(table, ids, first, begin_ns, until, known, called=called, earlier=earlier)
            del part, order, ids, still, table, called  # the next window takes as much
            yield window
            del window
            begin_ns = until

    def finished(self, *, numbered: bool = False) -> Iterator[Window]:
        """Yield the calls that are over in each window, in no order, behind those that are still open.

        Nothing has to be known of later windows, so that one passage is enough. They have `ids` where these are asked
        for.

        Raises:
            ApartError: how a call ended is not told by its own events alone, or one window must have all of them.
            TraceError: a block cannot be read.
        """
        nothing = Known(np.empty(0, np.uint32), np.empty(0, np.uint64))
        begin_ns = born = 0
        if not self._ends_are_told():
            raise ApartError
        for part, until in self._passed():
            over = part.over if until != NEVER else np.ones(len(part.over), np.bool_)
            still = np.flatnonzero(~over)
            order = np.concatenate((still, np.flatnonzero(over)))
            ids = order[:0]
            if numbered:
                first = len(self._carried)
                by_row = np.empty(len(over), np.int64)
                rows, numbers = self._numbered(part, born)
                by_row[rows] = numbers
                born += len(rows) - first
                ids = by_row[order]
            self._carry(part, still, ids[: len(still)] if numbered else None)
            window = Window(self._table(part, order), ids, len(still), begin_ns, until, nothing)
            del part, order, ids  # the next window takes as much
            yield window
            del window
            begin_ns = until
        if not self._ends_are_told():  # damage came to light
            raise ApartError

    def _numbered(self, part: "_Part", born: int) -> tuple[Index, Index]:
        """Rows of a window by start, and the numbers of their calls: those that begin here count from `born` on."""
        order = by_start(part.streams.time_ns[part.frames.entry])
        # By start, too, numbers of frames that are carried ascend.
        carried = np.sort(self._carried.ids)
        return order, np.concatenate((carried, born + np.arange(len(order) - len(carried))))

    def told(self) -> "Iterator[Told]":
        """Yield the calls of each window, as the events up to its end tell them.

        Raises:
            ApartError: one window must have all of them.
            TraceError: a block cannot be read.
        """
        born = 0
        for part, _ in self._passed():
            first = len(self._carried)
            order, ids = self._numbered(part, born)
            born += len(order) - first
            still = np.flatnonzero(~part.over[order])
            self._carry(part, order[still], ids[still])
            earlier = [] if self._lowest is None else self._lowest.new(part.streams, self._roles, part.frames.earlier)
            told = Told(self._table(part, order), ids, first, part.ends.over_ns[order], earlier)
            del part, order, ids, still  # the next window takes as much
            yield told
            del told

    def _passed(self) -> "Iterator[tuple[_Part, int]]":
        """Pair window by window, and say until when each is, as long as windows suffice."""
        for number, (parts, until) in enumerate(stretches(self._trace, self._size, self._portion)):
            streams = self._streams(parts)
            if streams.stacks.system.any() or (number and self._takes_back(streams)):
                raise ApartError
            part = self._pair(streams, last=until == NEVER and self._portion.to_end)
            del streams
            yield part, until
            del part
            if len(self._carried) > self._size:
                raise ApartError

    def _ends_are_told(self) -> bool:
        trace = self._trace
        return not (trace.lost or any(note.functions for note in trace.notes) or lost_faults(trace))

    @property
    def hits(self) -> Index:
        """Number of events of each site in the windows so far."""
        return self._hits

    def foresight(self) -> Foresight:
        """Return what was learnt on the way; to be asked at its end."""
        event, over_ns, exit_event, state, callees_ns, called = (
            np.concatenate(each) for each in zip(*self._learnt, strict=True)
        )
        order = np.argsort(event)
        pids, goids = (np.unique(np.concatenate(each)) for each in zip(*self._stacks, strict=True))
        ends = Ends(over_ns[order], exit_event[order])
        trace = self._trace
        nested = not (self._replaced or trace.lost or any(note.functions for note in trace.notes))
        nested &= bool((state <= State.OPEN).all())
        rest = (Known(pids, goids), self._hits, nested)
        return Foresight(event[order], ends, state[order], callees_ns[order], called[order], *rest)

    def _streams(self, parts: list[Part]) -> Streams:
        """Order the events of a window, behind the entries of the frames that are open when it begins."""
        carried, sites = self._carried, self._trace.sites
        columns = FileColumns(len(carried) + sum(len(number) for _, number in parts))
        pieces = [columns.take(carried.entries, self._state_sites, apart=True)]
        pieces += [columns.take(events, self._state_sites) for events, _ in parts]
        runs = join_runs(pieces, columns, sites)
        if len(self._starts):
            runs = self._with_images(runs, columns)
        number = np.concatenate((carried.number, *(number for _, number in parts)))
        parts.clear()  # the columns have all of it; the reader of blocks keeps what comes later
        return arrange(columns, runs, number)

    def _with_images(self, runs: Runs, columns: FileColumns) -> Runs:
        """Count programs from the begin of the trace on, not of the window."""
        image = runs.image + np.array([self._images.get(pid, 0) for pid in runs.pid.tolist()], dtype=np.int64)
        image[: len(self._carried)] = self._carried.image
        starts = np.flatnonzero(np.isin(columns.site, self._starts))
        for pid in runs.pid[np.searchsorted(runs.first, starts, side="right") - 1].tolist():
            self._images[pid] = self._images.get(pid, 0) + 1
        return replace(runs, image=image)

    def _takes_back(self, streams: Streams) -> bool:
        """Whether a fault is the first event of a stack in this window: exits in earlier ones may not have happened."""
        if len(self._faults) == 0:
            return False
        at = np.flatnonzero(np.isin(streams.site, self._faults))
        return bool((np.isin(at, streams.stacks.start) | (streams.event[at - 1] < len(self._carried))).any())

    def _pair(self, streams: Streams, *, last: bool) -> "_Part":
        """Pair a window, learn how carried frames ended, and use what is known of those that outlive it."""
        trace, carried = self._trace, self._carried
        frames = find_frames(streams, trace)
        ends, over = Ends.of(streams, frames), frames.is_over(streams)
        local = streams.event[frames.entry]
        old = local < len(carried)
        number = streams.numbers(local)
        kept = old if self._wanted is None else old | np.isin(number, self._wanted)
        outlives = kept if last else kept | ~over
        for site, sign in ((streams.site, 1), (carried.entries.site, -1)):
            self._hits += sign * np.bincount(site, minlength=len(self._hits))
        used = np.unique(frames.stack)
        self._stacks.append((np.unique(streams.stacks.pid[used]), np.unique(streams.stacks.number[used])))
        done = np.flatnonzero(kept & over) if not last else np.flatnonzero(kept)
        learnt = (number[done], ends.over_ns[done], ends.exit_event[done], frames.state[done])
        at = np.flatnonzero(outlives)
        called = np.zeros(len(number), np.bool_)
        called[old] = carried.called[local[old]]
        if self._known is not None:
            later = at[~over[at]]
            place = self._known.place(number[later])
            ends.over_ns[later] = self._known.ends.over_ns[place]
            ends.exit_event[later] = self._known.ends.exit_event[place]
            frames.state[later] = self._known.state[place]
            called[later] |= self._known.called[place]
            start_ns, single = streams.time_ns[frames.entry], frames.end == frames.entry
            mind_unseen_ends(trace, frames, start_ns, ends.over_ns, single)
        called[frames.parent[frames.parent >= 0]] = True
        callees_ns = np.zeros(len(number), dtype=np.int64)
        callees_ns[old] = carried.callees_ns[local[old]]
        _add_callees(callees_ns, streams.time_ns[frames.entry], frames, ends.over_ns, over, outlives)
        self._learnt.append((*learnt, callees_ns[done], called[done]))
        return _Part(streams, frames, ends, over, at, number, callees_ns, called)

    def _carry(self, part: "_Part", rows: Index, ids: Index | None) -> None:
        """Keep the frames that are open when a window ends."""
        streams, frames = part.streams, part.frames
        entry, stack = frames.entry[rows], frames.stack[rows]
        local = streams.event[entry]
        entries = EventColumns(
            time_ns=streams.time_ns[entry],
            pid=streams.stacks.pid[stack],
            goid=streams.stacks.number[stack],
            stack=np.zeros(len(rows), np.uint64),
            tid=streams.tid[local],
            site=streams.site[entry],
            depth=streams.depth[entry],
            caller=streams.caller[local],
        )
        image = streams.stacks.image[stack]
        now = [self._images.get(pid, 0) for pid in entries.pid.tolist()] if len(self._starts) else []
        self._replaced |= bool((image != now).any()) if now else False
        ids = rows if ids is None else ids
        self._carried = Carried(entries, part.number[rows], image, ids, part.callees_ns[rows], part.called[rows])

    def _table(self, part: "_Part", order: Index) -> Calls:
        streams, at, known = part.streams, part.outlives, self._known
        columns = call_columns(streams, part.frames, part.ends)
        start_ns, end_ns = columns["start_ns"], columns["end_ns"]
        own = self_times(start_ns, end_ns, columns["parent"])
        callees_ns = part.callees_ns[at] if known is None else known.callees_ns[known.place(part.number[at])]
        own[at] = np.where(end_ns[at] < 0, -1, np.maximum(end_ns[at] - start_ns[at] - callees_ns, 0))
        columns["self_ns"] = own
        return make_table(columns, order, streams.stacks, streams.runs, streams.tid, streams.caller, streams.number)


@dataclass(frozen=True)
class _Part:
    """The m frames of a window, in the order of the stream.

    Attributes:
        over: bool[m], it ended in this window or before. outlives: rows of those that began before or end later.
        number: i64[m], entry events. callees_ns: i64[m], of frames that outlive a window, time in callees so far.
        called: bool[m], whether there were any, as far as is known.
    """

    streams: Streams
    frames: Frames
    ends: Ends
    over: NDArray[np.bool_]
    outlives: Index
    number: Index
    callees_ns: Index
    called: NDArray[np.bool_]


def _add_callees(
    callees_ns: Index,
    start_ns: Index,
    frames: Frames,
    over_ns: Index,
    over: NDArray[np.bool_],
    outlives: NDArray[np.bool_],
) -> None:
    """Add the time of the calls that ended in this window to callers that outlive one."""
    parent = frames.parent
    child = np.flatnonzero(over & (parent >= 0) & (frames.state <= State.GOEXIT))
    child = child[outlives[parent[child]]]
    above = parent[child]
    # Callers whose end nobody saw have no time of their own anyhow.
    inside = np.minimum(over_ns[child], over_ns[above]) - np.maximum(start_ns[child], start_ns[above])
    np.add.at(callees_ns, above, np.maximum(inside, 0))

"""The calls of a stretch of time, or of some goroutines, made of the blocks that they need instead of all.

What outlasts a block is told by the file (`funcrec.trace.spans`): which frames are open where the stretch begins, and
in which block those end that go on after it. What cannot be decided so, or contradicts the blocks that are read, is
left to a reading of everything, which gives the same calls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import TraceError
from funcrec.report.callees import have_callees
from funcrec.report.calls import State
from funcrec.report.faults import lost_faults
from funcrec.report.letgo import NEVER
from funcrec.report.numbering import numbers_of
from funcrec.report.pairing import Ends
from funcrec.report.passage import Passage
from funcrec.report.portions import Carried, Portion
from funcrec.report.request import FilterRequest
from funcrec.report.streams import Index
from funcrec.report.trace import calls_of
from funcrec.report.windows import SIZE, Foresight, Known, Window
from funcrec.trace.grouping import boundaries
from funcrec.trace.records import EventColumns
from funcrec.trace.spans import Spans

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

_MOST_BLOCKS = 32  # to read for the first lines; who would have to read more goes through all instead
_MAX_GOID = (1 << 64) - 1


@dataclass(frozen=True)
class Bounds:
    """A stretch of time, monotonic ns; both ends belong to it."""

    first_ns: int
    last_ns: int


@dataclass(frozen=True)
class _Part(Window):
    """The only window of a request, whose numbers are found when they are asked for."""

    trace: "Trace | None" = None
    spans: Spans | None = None

    def numbers(self, rows: Index) -> Index:
        """Return the numbers in the whole trace of some rows; -1 stays -1."""
        return np.where(rows >= 0, self._numbers[rows], -1) if len(self.calls) else rows

    @cached_property
    def _numbers(self) -> Index:
        if self.trace is None or self.spans is None:
            raise ValueError("a part of no trace")
        return numbers_of(self.trace, self.spans, self.calls)


def excerpt(
    trace: "Trace", request: FilterRequest, bounds: Bounds | None, limit: int, *, own: bool = True
) -> Window | None:
    """Return the calls that overlap a stretch of time and their callers, of the goroutines that were asked for.

    Args:
        trace: the recording.
        request: the filters; it has a time range or goroutines.
        bounds: of the time range; None: all of the trace.
        limit: more events than these are not kept at once.
        own: `self_ns` is needed; it takes reading all that the calls lived through.

    Returns:
        None when all of the trace has to be read.
    """
    spans = _usable_spans(trace, timed=bounds is not None)
    if spans is None:
        return None
    try:
        return _Excerpt(trace, spans, request.goroutines, bounds, limit, own=own).window(request)
    except TraceError:
        return None  # to be told where it matters


def _usable_spans(trace: "Trace", *, timed: bool) -> Spans | None:
    reader = trace.reader
    if trace.closing is None or trace.damage is not None or getattr(reader, "site_events", None) is None:
        return None
    if lost_faults(trace) or (timed and any(note.functions for note in trace.notes)):
        return None  # what is over may be open all the same
    spans: Spans | None = reader.spans()
    said = spans is not None and int(spans.calls.sum()) == calls_of(reader.site_events, trace.sites)
    return spans if said else None


def foresee(trace: "Trace", size: int) -> Foresight | None:
    """Return how the calls end that outlive the first window, without a passage through all; None where it takes one.

    Args:
        trace: the recording.
        size: events of a window, about.
    """
    spans = None if trace.lost else _usable_spans(trace, timed=True)
    if spans is None:
        return None
    try:
        return _Excerpt(trace, spans, (), None, 1 << 62, own=False).of_first_window(size)
    except TraceError:
        return None


class _Excerpt:
    def __init__(
        self,
        trace: "Trace",
        spans: Spans,
        goroutines: tuple[tuple[int, int], ...],
        bounds: Bounds | None,
        limit: int,
        *,
        own: bool,
    ) -> None:
        self._trace, self._spans, self._limit, self._own = trace, spans, limit, own
        self._ranges = [(min(low, _MAX_GOID), min(high, _MAX_GOID)) for low, high in goroutines]
        self._bounds = bounds
        infos = trace.reader.blocks
        self._blocks = len(infos)
        self._first_event = np.array([info.first_event for info in infos], np.int64)
        self._n = np.array([info.n for info in infos], np.int64)
        t_min, t_max = (np.array([getattr(info, name) for info in infos], np.int64) for name in ("t_min", "t_max"))
        self._begin, self._end = 0, self._blocks  # blocks before and after have nothing that began in the stretch
        if bounds is not None:
            self._begin = _first(t_max >= bounds.first_ns)
            self._end = max(self._blocks - _first((t_min <= bounds.last_ns)[::-1]), self._begin)
        self._number = self._first_event[spans.born] + spans.event
        self._entry_only = bool(trace.header.options.get("entry_only"))
        self._kept = 0
        self._most = self._blocks  # to read on the way to ends

    def window(self, request: FilterRequest) -> Window | None:
        """Make the window; None where it would show more than it can know."""
        blocks = self._main_blocks()
        if self._bounds is not None and not self._ranges and int(self._n[blocks].sum()) > self._limit:
            return None
        spans = self._spans
        mine = self._asked(spans.entries.goid) if self._ranges else np.ones(len(spans.born), bool)
        before = (spans.born < self._begin) & (spans.ended >= self._begin)
        after = (spans.born < self._end) & (spans.ended >= self._end)
        carried = np.flatnonzero(mine & before)
        rows = np.flatnonzero(mine & (before | after))
        portion = Portion(
            blocks.tolist(), self._carried(carried), self._end == self._blocks, self._choose if self._ranges else None
        )
        passage = Passage(self._trace, 1 << 62, self._foresight(rows), portion)
        window = next(passage.windows())
        if not np.array_equal(np.sort(passage.still_open), self._number[mine & after]):
            return None
        return self._checked(window, request)

    def of_first_window(self, size: int) -> Foresight | None:
        """Return what becomes of the frames that are open after the first window."""
        carried = Passage(self._trace, size).begin()
        if carried is None:
            return None
        order = np.argsort(carried.number)
        number, goids = carried.number[order], carried.entries.goid[order]
        entries, called = carried.entries.take(order), carried.called[order]
        born = np.searchsorted(self._first_event, number, side="right") - 1
        # A window ends at a time, not with a block: some frames end in the block they began in all the same.
        ended = np.append(born, self._spans.ended)[self._place(number, len(born))]
        k = len(number)
        ends = Ends(np.full(k, NEVER), np.full(k, -1, np.int64))
        state = np.full(k, State.ENTRY if self._entry_only else State.OPEN, np.uint8)
        done = np.flatnonzero(ended < self._blocks)
        self._most = _MOST_BLOCKS
        if len(done):
            found = self._follow(goids[done], ended[done], ended[done], number[done])
            _take_ends(found, number[done], done, ends, state)
        look = np.flatnonzero(~called)
        frames = (entries.take(look), number[look], born[look], ended[look])
        called[look] = have_callees(self._trace, self._spans, *frames)
        rest = (np.zeros(k, np.int64), called, Known(np.empty(0, np.uint32), np.empty(0, np.uint64)))
        return Foresight(number, ends, state, *rest, self._trace.reader.site_events, nested=False)

    def _place(self, number: Index, k: int) -> Index:
        """For each of k entries k plus its place among the spans, or its own place when it is not there."""
        if len(self._number) == 0:
            return np.arange(k)
        at = np.minimum(np.searchsorted(self._number, number), len(self._number) - 1)
        return np.where(self._number[at] == number, k + at, np.arange(k))

    def _checked(self, window: Window, request: FilterRequest) -> Window | None:
        """Take the window unless something that it does not know is asked."""
        trace, calls = self._trace, window.calls
        goids = np.union1d(calls.goid, np.array([facts.goid for facts in trace.goroutines], np.uint64))
        for low, high in self._ranges:
            if not ((goids >= np.uint64(low)) & (goids <= np.uint64(high))).any():
                return None
        pids = {*np.unique(calls.pid).tolist(), *(process.pid for process in trace.processes)}
        if not pids.issuperset(request.pids):
            return None
        total = int(self._spans.calls.sum())
        known = Known.of(calls)
        return _Part(calls, window.ids, 0, 0, NEVER, known, total, trace=trace, spans=self._spans)

    def _main_blocks(self) -> NDArray[np.intp]:
        inside = np.zeros(self._blocks, bool)
        inside[self._begin : self._end] = True
        if self._ranges:
            inside &= self._spans.may_have(self._asked)
        return np.flatnonzero(inside)

    def _asked(self, goids: NDArray[np.uint64]) -> NDArray[np.bool_]:
        mask = np.zeros(len(goids), bool)
        for low, high in self._ranges:
            mask |= (goids >= np.uint64(low)) & (goids <= np.uint64(high))
        return mask

    def _choose(self, _: int, events: EventColumns) -> NDArray[np.bool_]:
        chosen = _by_run(events.goid, self._asked)
        self._kept += int(np.count_nonzero(chosen))
        if self._kept > self._limit:
            raise TraceError("too many events at once", remedy="read the trace window by window")
        return chosen

    def _carried(self, rows: NDArray[Any]) -> Carried:
        return Carried.of(self._spans.entries.take(rows), self._number[rows])

    def _foresight(self, rows: NDArray[np.intp]) -> Foresight:
        """What becomes of the frames that are open where the stretch begins or ends."""
        k = len(rows)
        ends = Ends(np.full(k, NEVER), np.full(k, -1, np.int64))
        state = np.full(k, State.ENTRY if self._entry_only else State.OPEN, np.uint8)
        callees_ns = np.zeros(k, np.int64)
        spans = self._spans
        called = np.zeros(k, np.bool_)  # not asked for
        last_ns = NEVER if self._bounds is None else self._bounds.last_ns
        later = (spans.ended[rows] >= self._end) | self._own
        wanted = np.flatnonzero((spans.ended[rows] < self._blocks) & later & (spans.entries.time_ns[rows] <= last_ns))
        if len(wanted) and not self._entry_only:
            asked = rows[wanted]
            low = spans.born[asked] if self._own else spans.ended[asked]
            found = self._follow(spans.entries.goid[asked], low, spans.ended[asked], self._number[asked])
            callees_ns[wanted] = found.callees_ns[_take_ends(found, self._number[asked], wanted, ends, state)]
        nobody = Known(np.empty(0, np.uint32), np.empty(0, np.uint64))
        rest = (nobody, np.empty(0, np.int64))
        return Foresight(self._number[rows], ends, state, callees_ns, called, *rest, nested=False)

    def _follow(self, goids: NDArray[np.uint64], low: Index, high: Index, wanted: Index) -> Foresight:
        """Go with some calls to their ends.

        Args:
            goids, wanted: goroutines of the calls, and numbers of their entries, ascending.
            low, high: the block in which each ends, and where to begin: there too, or where the call began.
        """
        spans = self._spans
        lives = _Lives.of(goids, low, high)
        first = lives.begin(spans.entries.goid, self._blocks)
        carried = np.flatnonzero((spans.born < first) & (spans.ended >= first) & (first < self._blocks))
        portion = Portion(lives.blocks(spans), self._carried(carried), to_end=True, choose=lives.choose)
        if len(portion.blocks) > self._most:
            raise TraceError("too many blocks have to be read", remedy="read all of it")
        passage = Passage(self._trace, SIZE, None, portion, wanted)
        if not passage.run():
            raise TraceError("too many frames are open at once", remedy="read all of it")
        if self._trace.lost:
            # Whose callees calls are depends on how their callers ended.
            passage = Passage(self._trace, SIZE, passage.foresight(), portion, wanted)
            passage.run()
        return passage.foresight()


def _take_ends(
    found: Foresight, number: Index, at: NDArray[np.intp], ends: Ends, state: NDArray[np.uint8]
) -> NDArray[np.intp]:
    """Put down how calls end that were gone with; return where they stand in what was found.

    Args:
        found: how calls end.
        number: of the entries of some of them.
        at, ends, state: where in these columns they are put down.
    """
    place = found.place(number)
    ends.over_ns[at], ends.exit_event[at] = found.ends.over_ns[place], found.ends.exit_event[place]
    state[at] = found.state[place]
    if (ends.over_ns[at] == NEVER).any():
        raise TraceError("a call does not end where the file says", remedy="read all of it")
    return place


@dataclass(frozen=True)
class _Lives:
    """From which block to which each of some goroutines, ascending, is of interest."""

    goids: NDArray[np.uint64]
    low: Index
    high: Index

    @classmethod
    def of(cls, goids: NDArray[np.uint64], low: Index, high: Index) -> "_Lives":
        """Join what is said of the same goroutine."""
        each, which = np.unique(goids, return_inverse=True)
        first, last = np.full(len(each), np.iinfo(np.int64).max), np.full(len(each), -1)
        np.minimum.at(first, which, low)
        np.maximum.at(last, which, high)
        return cls(each, first, last)

    def begin(self, goids: NDArray[np.uint64], blocks: int) -> Index:
        """Return the first block for each of other goroutines; the number of blocks where there is none."""
        at = np.minimum(np.searchsorted(self.goids, goids), len(self.goids) - 1)
        return np.where(self.goids[at] == goids, self.low[at], blocks)

    def blocks(self, spans: Spans) -> list[int]:
        """Return the blocks to read."""
        counts = np.diff(spans.goids_at)
        number = np.repeat(np.arange(len(counts)), counts)
        hit = np.bincount(number[self._live(spans.goids, number)], minlength=len(counts)) > 0
        steps = np.zeros(len(counts) + 1, np.int64)
        np.add.at(steps, self.low, 1)
        np.add.at(steps, self.high + 1, -1)
        unlisted = (counts == 0) & (np.cumsum(steps)[:-1] > 0)
        found: list[int] = np.flatnonzero(hit | unlisted).tolist()
        return found

    def choose(self, number: int, events: EventColumns) -> NDArray[np.bool_]:
        """Return which events of a block are of interest."""
        return _by_run(events.goid, lambda goids: self._live(goids, np.full(len(goids), number)))

    def _live(self, goids: NDArray[np.uint64], block: Index) -> NDArray[np.bool_]:
        at = np.minimum(np.searchsorted(self.goids, goids), len(self.goids) - 1)
        live: NDArray[np.bool_] = (self.goids[at] == goids) & (self.low[at] <= block) & (block <= self.high[at])
        return live


def _by_run(goids: NDArray[np.uint64], asked: Callable[[NDArray[np.uint64]], NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Ask once for each stretch of equal numbers."""
    begins = boundaries(goids)
    return np.repeat(asked(goids[begins]), np.diff(begins, append=len(goids)))


def _first(mask: NDArray[np.bool_]) -> int:
    """Where a mask is true first; its length when it never is."""
    return int(mask.argmax()) if mask.any() else len(mask)

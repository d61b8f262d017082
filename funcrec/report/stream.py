"""The calls that pass the filters, in pieces: what is written call by call needs no more memory for a larger trace."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.ahead import made_ahead
from funcrec.lang.expr import parse, walk
from funcrec.report.apart import told_apart
from funcrec.report.excerpt import Bounds, excerpt
from funcrec.report.filters import Selection, bounds_of, functions_named, mask_of, select
from funcrec.report.leading import Leading, look_ahead_leading
from funcrec.report.letgo import NEVER
from funcrec.report.passage import Passage, look_ahead
from funcrec.report.request import FilterRequest, Overhead
from funcrec.report.windows import SIZE, ApartError, Foresight

if TYPE_CHECKING:
    from funcrec.report.trace import Trace


_WINDOWS = 8  # as many events as these have are kept at once rather than read twice
# Calls that last long began in many blocks, which every window reads again for their values: so often and no more.
_READINGS = 8


class Stream:
    """Selections that follow one another; together they are what `select` gives.

    Making one applies the filters to the first window, so that what is wrong with them is told at once.

    Args:
        trace: the recording.
        request: the filters. Those that ask what calls cost (`overhead`), and conditions on values that depend on one
            another (`told_apart`), need all calls at once.
        size: events of a window, about.
        at_once: make one piece of it in any case.
        own: `self_ns` is needed; without, less of a trace is read.

    Attributes:
        calls: calls of the trace, and `shown`, those that pass; counted as they go by.

    Raises:
        UsageError: a filter does not parse or names nothing in the trace.
        TraceError: the trace cannot be read.
    """

    def __init__(
        self, trace: "Trace", request: FilterRequest, size: int = SIZE, *, at_once: bool = False, own: bool = True
    ) -> None:
        self.trace, self.request = trace, request
        self.calls = self.shown = 0
        self._size, self._at_once = size, at_once or _needs_everything(trace, request)
        self._part = part_of(trace, request, size, at_once=at_once, own=own)
        self._leading: Leading | None = None
        if request.caller_filter and not self._at_once:
            self._look_where_calls_lead()
        first = next(self._made())
        self._only = first if self.foresight is None else None

    @cached_property
    def foresight(self) -> Foresight | None:
        """What is known of all windows; None when there is only one."""
        return None if self._at_once or self._part is not None else look_ahead(self.trace, self._size)

    def _look_where_calls_lead(self) -> None:
        functions = functions_named(self.trace, self.request.caller_filter)
        try:
            if self.trace.stored <= self._size:
                raise ApartError
            self._leading = look_ahead_leading(self.trace, functions, self._size)
        except ApartError:
            self._at_once = True

    @property
    def hits(self) -> NDArray[np.int64] | None:
        """Number of events of each site; None when there is only one part."""
        return None if self.foresight is None else self.foresight.hits

    def whole(self) -> Selection:
        """Return all calls at once."""
        selection = self._only or select(self.trace, self.request)
        self.calls, self.shown = selection.total, len(selection)
        return selection

    def __iter__(self) -> Iterator[Selection]:
        calls = shown = 0  # of this time: some look at a trace twice
        for selection in made_ahead(self._made()) if self._only is None else (self._only,):
            calls += selection.total - selection.since
            shown += len(selection)
            self.calls, self.shown = calls, shown
            yield selection

    def _made(self) -> Iterator[Selection]:
        if self._part is not None:
            yield self._part
            return
        if self.foresight is None:
            yield select(self.trace, self.request)
            return
        rest = replace(self.request, caller_filter=())
        ids, passed = np.empty(0, np.int64), np.empty(0, np.bool_)
        for window in Passage(self.trace, self._size, self.foresight).windows():
            mask = mask_of(self.trace, window.calls, rest, window.known, window.first)
            if self._leading is not None:
                mask &= self._leading.mask(window.calls)
            # What passes of those that go on is known from before.
            mask[: window.first] = passed[np.searchsorted(ids, window.ids[: window.first])]
            ids, passed = window.ids, mask
            yield Selection(self.trace, window.calls, mask, self.request, window)


class Finished:
    """What a stream has, as one passage tells it: calls when they are over, in no order.

    Args:
        trace, request, size: as for `Stream`.
        numbered: calls are told by their numbers in the whole trace.

    Raises:
        ApartError: the trace or the filters need more than one passage; also while it is gone through.
    """

    def __init__(self, trace: "Trace", request: FilterRequest, size: int = SIZE, *, numbered: bool = False) -> None:
        # These filters look at all of the trace, or take a part of it.
        of_all = request.time_range or request.goroutines or request.pids or _needs_everything(trace, request)
        if trace.stored <= size or of_all:
            raise ApartError
        self._trace, self._request, self._numbered = trace, request, numbered
        self._passage = Passage(trace, size)
        callers = request.caller_filter
        self._leading = Leading(functions_named(trace, callers)) if callers else None

    def __iter__(self) -> Iterator[Selection]:
        return made_ahead(self._made())

    def _made(self) -> Iterator[Selection]:
        rest = replace(self._request, caller_filter=())
        limit = self._reads() + _READINGS * len(self._trace.reader.blocks)
        for window in self._passage.finished(numbered=self._numbered):
            mask = mask_of(self._trace, window.calls, rest, window.known, window.first)
            if self._leading is not None:
                mask &= self._leading.mask_and_go_on(window.calls, window.first)
            yield Selection(self._trace, window.calls, mask, self._request, window)
            if self._reads() > limit:
                raise ApartError

    def _reads(self) -> int:
        """How often blocks were read for their values."""
        if not self._trace.reader.plans:
            return 0
        from funcrec.report.valuestore import store_of

        return store_of(self._trace).reads

    @property
    def hits(self) -> NDArray[np.int64]:
        """Number of events of each site; to be asked at the end."""
        return self._passage.hits


def part_of(
    trace: "Trace", request: FilterRequest, size: int = SIZE, *, at_once: bool = False, own: bool = True
) -> Selection | None:
    """Return what passes when that takes a part of the trace only; else None.

    Args:
        trace, request: as for `Stream`.
        size: a trace of fewer events is read as a whole.
        at_once: the other way would keep all of the trace.
        own: `self_ns` is needed.

    Raises:
        UsageError: a filter does not parse or names nothing in the trace.
        TraceError: the trace cannot be read.
    """
    events = trace.stored
    if events <= size or (request.time_range is None and not request.goroutines):
        return None
    if request.caller_filter or _needs_everything(trace, request):
        return None
    first_ns, last_ns = (None, None) if request.time_range is None else bounds_of(trace, request.time_range)
    timed = first_ns is not None or last_ns is not None
    bounds = Bounds(-NEVER if first_ns is None else first_ns, NEVER if last_ns is None else last_ns) if timed else None
    limit = events // 2 if at_once else min(events // 2, _WINDOWS * size)
    own |= any(str(node) == "self" for condition in request.where for node in walk(parse(condition)))
    window = excerpt(trace, request, bounds, limit, own=own)
    if window is None:
        return None
    mask = mask_of(trace, window.calls, request, window.known)
    selection = Selection(trace, window.calls, mask, request, window)
    # Of all calls, more can be said: what they cost, and what was there before them.
    return selection if len(selection) < selection.total else None


def _needs_everything(trace: "Trace", request: FilterRequest) -> bool:
    """Whether a filter asks more of a call than how it began, how it ended, who called it and what it leads to.

    Raises:
        UsageError: a condition does not parse or names nothing in the trace.
    """
    whole = request.overhead == Overhead.SUBTRACT
    return whole or not all(told_apart(trace, parse(condition)) for condition in request.where)

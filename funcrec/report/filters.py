"""Every filter as a mask over the calls of a trace; filters combine with `and`, in any order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import UsageError
from funcrec.lang.pattern import compile_glob
from funcrec.report.calls import Calls, State
from funcrec.report.columns import Mask
from funcrec.report.conditions import holds
from funcrec.report.nesting import nearest_shown, with_callees, with_callers
from funcrec.report.request import FilterRequest, OutputRequest, Overhead, TimeRange
from funcrec.report.windows import Known, Window

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

__all__ = ["FilterRequest", "OutputRequest", "Selection", "TimeRange", "select"]


@dataclass(frozen=True)
class Selection:
    """The calls of a view.

    Attributes:
        trace: the recording.
        calls: all calls of the trace (durations without the probes' cost when that was asked for).
        mask: bool per call, True for those shown.
        request: what was asked.
        window: which part of the trace `calls` are, None when they are all; those before `since` were shown in earlier
            parts.
    """

    trace: "Trace"
    calls: Calls
    mask: Mask
    request: FilterRequest
    window: Window | None = None

    @property
    def since(self) -> int:
        """Row of the first call that belongs to this part; those before are callers."""
        return 0 if self.window is None else self.window.first

    @cached_property
    def own(self) -> Calls:
        """The calls of this part, without callers that began before; `parent` counts as in `calls`."""
        return own_of(self.calls, self.since)

    def of_own(self, column: NDArray[Any]) -> NDArray[Any]:
        """Return the rows shown of a column over `own`, which may have one element for all."""
        whole = np.broadcast_to(column, (len(self.own),))
        return whole if self.is_everything else whole[self.rows - self.since]

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers of the calls shown, ascending."""
        return self.since + np.flatnonzero(self.mask[self.since :])

    @property
    def total(self) -> int:
        """How many calls the trace has, for all that is known here."""
        total = None if self.window is None else self.window.total
        return len(self.calls) if total is None else total

    def numbers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers in the whole trace of some rows; -1 stays -1."""
        return rows if self.window is None else self.window.numbers(rows)

    @cached_property
    def parents(self) -> NDArray[np.int64]:
        """For every call of the trace its nearest shown caller, -1 for none."""
        return nearest_shown(self.calls.parent, self.mask)

    @property
    def is_everything(self) -> bool:
        """True when no call is left out."""
        return len(self) == len(self.calls)

    def of(self, column: NDArray[Any]) -> NDArray[Any]:
        """Return the rows shown of a column over all calls; the column itself, not a copy, when that is everything."""
        return column if self.is_everything else column[self.rows]

    def first(self, count: int | None) -> "Selection":
        """Return the first calls only; all when count is None."""
        if count is None or count >= len(self):
            return self
        mask = self.mask.copy()
        mask[self.rows[count:]] = False
        return replace(self, mask=mask)

    def above(self, depth: int) -> "Selection":
        """Return the calls with fewer recorded callers only."""
        shallow = self.calls.depth < depth
        return self if shallow.all() else replace(self, mask=self.mask & shallow)

    def __len__(self) -> int:
        return len(self.rows)


def select(trace: "Trace", request: FilterRequest) -> Selection:
    """Apply all filters.

    Raises:
        UsageError: a filter does not parse or names nothing in the trace.
        TraceError: the trace cannot be read.
    """
    calls = trace.table()
    if request.overhead == Overhead.SUBTRACT:
        from funcrec.report.overhead import without_overhead

        calls = without_overhead(trace)
    mask = mask_of(trace, calls, request, Known.of(calls))
    return Selection(trace, calls, mask, request)


def own_of(calls: Calls, since: int) -> Calls:
    """Return the calls from a row on; `parent` counts as before."""
    return calls if since == 0 else Calls(*(getattr(calls, name)[since:] for name in Calls.__dataclass_fields__))


def mask_of(trace: "Trace", calls: Calls, request: FilterRequest, known: Known, since: int = 0) -> Mask:
    """Return which calls pass all filters.

    Args:
        trace: the recording.
        calls: all of it, or some and their callers.
        request: the filters.
        known: what occurs in the whole trace.
        since: conditions are held against the calls from this row on only, and let those before pass.

    Raises:
        UsageError: a filter does not parse or names nothing in the trace.
        TraceError: the trace cannot be read.
    """
    mask = np.ones(len(calls), dtype=bool)
    for each in _masks(trace, calls, request, known):
        mask &= each
    own = own_of(calls, since)
    for condition in request.where:
        mask[since:] &= holds(trace, own, condition)
    return mask


def _masks(trace: "Trace", calls: Calls, request: FilterRequest, known: Known) -> Iterator[Mask]:
    if request.pids:
        yield _pids(trace, calls, request.pids, known)
    if request.goroutines:
        yield _goroutines(trace, calls, request.goroutines, known)
    if request.min_ns is not None:
        yield (calls.end_ns >= 0) & (calls.end_ns - calls.start_ns >= request.min_ns)
    if request.max_ns is not None:
        yield (calls.end_ns >= 0) & (calls.end_ns - calls.start_ns <= request.max_ns)
    if request.depth is not None:
        yield calls.depth < request.depth
    if request.time_range is not None:
        yield _window(trace, calls, request.time_range)
    if request.filter:
        yield with_callees(calls.parent, _named(trace, calls, request.filter))
    if request.notrace:
        yield ~with_callees(calls.parent, _named(trace, calls, request.notrace))
    if request.hide:
        yield ~_named(trace, calls, request.hide)
    if request.caller_filter:
        yield with_callers(calls.parent, _named(trace, calls, request.caller_filter))


def _pids(trace: "Trace", calls: Calls, pids: Sequence[int], known: Known) -> Mask:
    numbers = {*known.pids.tolist(), *(process.pid for process in trace.processes)}
    for pid in pids:
        if pid not in numbers:
            raise UsageError(f"the trace has no process {pid}", remedy="its processes are " + _some(sorted(numbers)))
    return np.isin(calls.pid, np.array(pids, dtype=np.uint64))


def _goroutines(trace: "Trace", calls: Calls, ranges: Sequence[tuple[int, int]], known: Known) -> Mask:
    numbers = np.union1d(known.goids, np.array([facts.goid for facts in trace.goroutines], dtype=np.uint64))
    mask = np.zeros(len(calls), dtype=bool)
    for first, last in ranges:
        low, high = np.uint64(min(first, _MAX)), np.uint64(min(last, _MAX))
        if np.searchsorted(numbers, low) == np.searchsorted(numbers, high, side="right"):
            what = f"goroutine {first}" if first == last else f"goroutine from {first} to {last}"
            remedy = "its goroutines are " + _some(numbers.tolist())
            raise UsageError(f"the trace has no {what}", remedy=remedy)
        mask |= (calls.goid >= low) & (calls.goid <= high)
    return mask


_MAX = (1 << 64) - 1


def _some(numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:10])
    return (shown + f" and {len(numbers) - 10} more" if len(numbers) > 10 else shown) or "none"


def _window(trace: "Trace", calls: Calls, window: TimeRange) -> Mask:
    """Calls that overlap the window. An open call reaches to the end, one without a known end counts by its start."""
    end_ns = np.where(calls.end_ns >= 0, calls.end_ns, calls.start_ns)
    end_ns[calls.state == State.OPEN] = max(trace.end_ns, int(end_ns.max(initial=0)))
    first_ns, last_ns = bounds_of(trace, window)
    mask = np.ones(len(calls), dtype=bool)
    if first_ns is not None:
        mask &= end_ns >= first_ns
    if last_ns is not None:
        mask &= calls.start_ns <= last_ns
    return mask


def bounds_of(trace: "Trace", window: TimeRange) -> tuple[int | None, int | None]:
    """Return first and last time of a window, monotonic ns; None: no bound.

    Raises:
        UsageError: it ends before it begins.
    """
    length, zero = trace.end_ns - trace.start_ns, trace.start_ns
    first = None if window.start is None else window.start.resolve(length)
    last = None if window.end is None else window.end.resolve(length)
    if first is not None and last is not None and last < first:
        raise UsageError(f"the time range '{window.text}' ends before it begins", remedy="write the earlier time first")
    return None if first is None else zero + first, None if last is None else zero + last


def _named(trace: "Trace", calls: Calls, globs: Sequence[str]) -> Mask:
    """Calls of the functions that match any of the globs."""
    return functions_named(trace, globs)[calls.function]


def functions_named(trace: "Trace", globs: Sequence[str]) -> Mask:
    """Return which functions match any of the globs.

    Raises:
        UsageError: a glob that matches none.
    """
    names = [function.name for function in trace.functions]
    wanted = np.zeros(len(names), dtype=bool)
    for glob in globs:
        found = _matching(compile_glob(glob), trace)
        if not found:
            raise UsageError(f"no function of the trace matches '{glob}'", remedy=_near(glob, names))
        wanted[found] = True
    return wanted


def _matching(matches: Callable[[str], bool], trace: "Trace") -> list[int]:
    return [number for number, function in enumerate(trace.functions) if not function.hidden and matches(function.name)]


def _near(glob: str, names: list[str]) -> str:
    word = glob.strip("*?").lower()
    near = get_close_matches(glob, names, 3) or [name for name in names if word and word in name.lower()][:3]
    if not near:
        by_end = {name.rpartition(".")[2]: name for name in names}
        near = [by_end[end] for end in get_close_matches(word.rpartition(".")[2], by_end, 3)]
    return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?" if near else "funcrec info lists them"

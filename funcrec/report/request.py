"""What a user asked of a view: which calls, and how to print them. Plain data, loads nothing heavy."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from funcrec.errors import UsageError
from funcrec.units import parse_duration_ns


class Format(StrEnum):
    """Forms of output that every view has."""

    TEXT = "text"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


class Names(StrEnum):
    """How function names are shown."""

    FULL = "full"
    SHORT = "short"


class Color(StrEnum):
    """When to colour; YES and NO are other tools' words for ALWAYS and NEVER."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"
    YES = "yes"
    NO = "no"


class Overhead(StrEnum):
    """Whether the estimated cost of the probes stays in durations."""

    KEEP = "keep"
    SUBTRACT = "subtract"


@dataclass(frozen=True, slots=True)
class TimeBound:
    """One end of a window: ns since the start of the trace, or `percent` of its length."""

    ns: int = 0
    percent: float | None = None

    def resolve(self, length_ns: int) -> int:
        """Return ns since the start of a trace of the given length."""
        return self.ns if self.percent is None else int(length_ns * self.percent / 100)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A window of the trace; None is an open end. `text` is what was typed."""

    text: str
    start: TimeBound | None
    end: TimeBound | None


@dataclass(frozen=True, slots=True)
class FilterRequest:
    """The filters of one view; they combine with `and`, an empty one lets everything pass.

    Attributes:
        min_ns, max_ns: duration at least, at most.
        goroutines: (first, last) ranges of goroutine ids, both ends included.
        where: conditions in the expression grammar, all must hold.
        filter, notrace, hide, caller_filter: globs over function names (-F, -N, -H, -C), any of them.
        depth: only calls with fewer recorded callers.
        time_range: calls that overlap this window.
        pids: process ids.
        overhead: keep or subtract the estimated cost of the probes.
    """

    min_ns: int | None = None
    max_ns: int | None = None
    goroutines: tuple[tuple[int, int], ...] = ()
    where: tuple[str, ...] = ()
    filter: tuple[str, ...] = ()
    notrace: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    caller_filter: tuple[str, ...] = ()
    depth: int | None = None
    time_range: TimeRange | None = None
    pids: tuple[int, ...] = ()
    overhead: Overhead = Overhead.KEEP

    @property
    def of_ends(self) -> bool:
        """Whether calls pass by how they ended."""
        return self.min_ns is not None or self.max_ns is not None or bool(self.where)


@dataclass(frozen=True, slots=True)
class OutputRequest:
    """How a view prints; None means the view's own default.

    Attributes:
        fields: columns by name, `+x` and `-x` change the default, `help` lists them.
        sort: columns to sort by, `-` in front turns the order.
        top: at most so many rows.
        strict: lost events or damage make the exit code 3.
    """

    format: Format = Format.TEXT
    fields: str | None = None
    sort: str | None = None
    top: int | None = None
    color: Color = Color.AUTO
    pager: bool = True
    names: Names = Names.FULL
    srcline: bool = False
    strict: bool = False


def filter_request(
    *,
    goroutines: str | Iterable[int] = (),
    time_range: str | None = None,
    pids: int | Iterable[int] = (),
    **filters: Any,
) -> FilterRequest:
    """Make a request of Python values: what may be several may also be one, ranges are text as on the command line.

    Raises:
        UsageError: a range that does not parse.
    """
    ranges = parse_ranges(goroutines) if isinstance(goroutines, str) else tuple((goid, goid) for goid in goroutines)
    several = ("where", "filter", "notrace", "hide", "caller_filter")
    for name in several:
        if isinstance(filters.get(name), str):
            filters[name] = (filters[name],)
    return FilterRequest(
        goroutines=ranges,
        time_range=None if time_range is None else parse_time_range(time_range),
        pids=(pids,) if isinstance(pids, int) else tuple(pids),
        **filters,
    )


def parse_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Parse `1,7,20-30` into (first, last) pairs.

    Raises:
        UsageError: not numbers, or a range that ends before it begins.
    """
    ranges = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"'{text}' is not a list of goroutines", remedy="write ids and ranges, such as 1,7,20-30")
        low, high = int(first), int(last) if dash else int(first)
        if high < low:
            raise UsageError(f"the range '{part.strip()}' ends before it begins", remedy=f"write {high}-{low}")
        ranges.append((low, high))
    return tuple(ranges)


def _parse_bound(text: str) -> TimeBound | None:
    text = text.strip()
    if not text:
        return None
    if not text.endswith("%"):
        return TimeBound(ns=parse_duration_ns(text))
    try:
        percent = float(text[:-1])
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise UsageError(f"'{text}' is not a share of the trace", remedy="write 0% to 100%, such as 10%~20%")
    return TimeBound(percent=percent)


def parse_time_range(text: str) -> TimeRange:
    """Parse `A~B`, `A+LENGTH`, `A~` or `~B`; A and B are durations since the start of the trace or percentages.

    Raises:
        UsageError: neither form, a bad unit, or both ends open.
    """
    if "~" in text:
        first, _, last = text.partition("~")
        start, end = _parse_bound(first), _parse_bound(last)
    elif "+" in text:
        first, _, length = text.partition("+")
        start = _parse_bound(first) or TimeBound()
        span = _parse_bound(length)
        if span is None or (span.percent is None) != (start.percent is None):
            raise UsageError(f"'{text}' has no length to add", remedy="write a start and a length, such as 1s+200ms")
        percent = None if start.percent is None or span.percent is None else start.percent + span.percent
        end = TimeBound(ns=start.ns + span.ns, percent=percent)
    else:
        raise UsageError(f"'{text}' is not a time range", remedy="write A~B or A+LENGTH, such as 1s~1.5s or 10%~20%")
    if start is None and end is None:
        raise UsageError(f"the time range '{text}' has no end at all", remedy="write A~B, A~ or ~B, such as 1s~")
    return TimeRange(text, start, end)

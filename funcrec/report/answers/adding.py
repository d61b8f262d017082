"""What is made of each part of a trace, and added up: the way that answers take through windows."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from funcrec.report.facts import Facts, Tally
from funcrec.report.filters import Selection
from funcrec.report.request import FilterRequest
from funcrec.report.stream import Finished, Stream
from funcrec.report.trace import Trace
from funcrec.report.windows import ApartError

_TOGETHER = 4  # parts that are merged at a time
T = TypeVar("T")


def answered(
    trace: Trace,
    request: FilterRequest,
    size: int,
    answer: Callable[[Finished | Stream], T],
    *,
    apart: bool = True,
    at_ends: bool = True,
    numbered: bool = False,
) -> T:
    """Give an answer the calls of a trace when they are over, where one passage tells all of them, else as they begin.

    Args:
        trace, request: whose calls.
        size: events of a window, about.
        answer: of what it is given; called again when a passage does not suffice.
        apart: what is made of some calls is what is made of them among all; else there is one part.
        at_ends: nothing has to be known of callers that go on.
        numbered: as for `Finished`.

    Raises:
        UsageError: a filter does not parse or names nothing in the trace.
        TraceError: the trace cannot be read.
    """
    if apart and at_ends:
        with suppress(ApartError):
            return answer(Finished(trace, request, size, numbered=numbered))
    return answer(Stream(trace, request, size, at_once=not apart))


def added_up(
    stream: Finished | Stream,
    trace: Trace,
    file: str,
    make: Callable[[Selection], T],
    merge: Callable[[list[T]], T],
) -> tuple[Facts, T]:
    """Return the facts of a trace and the sum of what is made of its parts.

    Raises:
        ApartError: the parts do not add up, and all calls are needed at once.
        TraceError: the trace cannot be read.
    """
    made = list[T]()

    def take(selection: Selection) -> None:
        made.append(make(selection))
        if len(made) == _TOGETHER:
            made[:] = [merge(made)]

    return go_through(stream, trace, file, take), merge(made)


def go_through(stream: Finished | Stream, trace: Trace, file: str, take: Callable[[Selection], None]) -> Facts:
    """Hand over the parts of a trace one by one; return its facts.

    Raises:
        ApartError: the parts do not add up, and all calls are needed at once.
        TraceError: the trace cannot be read.
    """
    tally = Tally(trace)
    for selection in stream:
        tally.add(selection)
        take(selection)
        del selection  # while the next one is made
    return tally.facts(file, stream.hits)

"""What is made of each part of a trace, and added up: the way that answers take through windows."""

from collections.abc import Callable
from typing import TypeVar

from funcrec.report.facts import Facts, Tally
from funcrec.report.filters import Selection
from funcrec.report.stream import Finished, Stream
from funcrec.report.trace import Trace

_TOGETHER = 4  # parts that are merged at a time
T = TypeVar("T")


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

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
    tally, made = Tally(trace), list[T]()
    for selection in stream:
        tally.add(selection)
        made.append(make(selection))
        if len(made) == _TOGETHER:
            made = [merge(made)]
        del selection  # while the next one is made
    return tally.facts(file, stream.hits), merge(made)

"""All calls of a large trace as they pass by, window by window, for what is shown line by line.

How calls end that outlive a window is known after a passage through all of it. Nobody should wait for that to see the
first lines: where the file tells enough, the first window is made without.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from funcrec.errors import TraceError
from funcrec.report.excerpt import foresee
from funcrec.report.passage import Passage, look_ahead
from funcrec.report.streams import Index
from funcrec.report.windows import SIZE, Foresight, Window

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

_UNKNOWN = (1 << 64) - 1


@dataclass(frozen=True)
class Passing:
    """The windows, to be gone through once, and what is known before they are.

    Attributes:
        windows: with `called` and `earlier`.
        hits: i64, number of events of each site of the trace.
        last_goid: no goroutine has a higher number.
        processes: how many there are.
    """

    windows: Iterator[Window]
    hits: Index
    last_goid: int
    processes: int


def pass_through(trace: "Trace", size: int = SIZE) -> Passing | None:
    """Go through a trace; None when it is to be one window.

    Args:
        trace: the recording.
        size: events of a window, about.

    Raises:
        TraceError: a block cannot be read.
    """
    # Calls of functions that were let go are open at the end of the trace, whatever window they were over in.
    if trace.stored <= size or any(note.functions for note in trace.notes):
        return None
    processes = len({process.pid for process in trace.processes})
    last_goid = max(getattr(block, "goid_max", _UNKNOWN) for block in trace.reader.blocks)
    early = foresee(trace, size) if processes and last_goid < _UNKNOWN else None
    if early is not None:
        return Passing(_begin_at_once(trace, size, early), early.hits, last_goid, processes)
    ahead = look_ahead(trace, size)
    if ahead is None:
        return None
    if last_goid == _UNKNOWN:
        last_goid = int(ahead.known.goids.max(initial=0))
    windows = Passage(trace, size, ahead, earlier=True).windows()
    return Passing(windows, ahead.hits, last_goid, processes or len(ahead.known.pids))


def _begin_at_once(trace: "Trace", size: int, early: Foresight) -> Iterator[Window]:
    yield next(Passage(trace, size, early, earlier=True).windows())
    # The file tells of no more than MAX_STANDING frames that are open between two blocks.
    ahead = look_ahead(trace, size, 1 << 62)
    if ahead is None:
        raise TraceError("the trace changes while it is read", remedy="read it again when nobody writes to it")
    windows = Passage(trace, size, ahead, earlier=True).windows()
    next(windows)
    yield from windows

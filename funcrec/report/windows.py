"""What is told of a window: calls that began in a stretch of time, or were over in it, and how the rest will end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import TraceError
from funcrec.report.calls import Calls
from funcrec.report.earlier import EarlierFrame
from funcrec.report.pairing import Ends
from funcrec.report.streams import Index

SIZE = 1 << 19  # events of a window, about


@dataclass(frozen=True)
class Window:
    """The calls that began in a stretch of time, and their callers.

    Attributes:
        calls: first those that began before and were still open, then those that began here, both by start.
        ids: i64, number in the whole trace of each of `calls`.
        first: row of the first call that began here.
        begin_ns, end_ns: what happened from the one to just before the other is in this window.
        known: what occurs in the whole trace.
        total: number of calls of the trace when this is the only window, and not all of it.
        called: bool, which of `calls` called something, in this window or another; None where nobody asked.
        earlier: frames that ended here and were entered before the recording began; where somebody asked.
    """

    calls: Calls
    ids: Index
    first: int
    begin_ns: int
    end_ns: int
    known: "Known"
    total: int | None = None
    called: NDArray[np.bool_] | None = None
    earlier: Sequence[EarlierFrame] = ()

    def numbers(self, rows: Index) -> Index:
        """Return the numbers in the whole trace of some rows; -1 stays -1."""
        return np.where(rows >= 0, self.ids[rows], -1) if len(self.ids) else rows


@dataclass(frozen=True, slots=True)
class Known:
    """Processes and goroutines of the calls of a trace, ascending."""

    pids: NDArray[np.uint32]
    goids: NDArray[np.uint64]

    @classmethod
    def of(cls, calls: Calls) -> "Known":
        """Those of some calls."""
        return cls(np.unique(calls.pid), np.unique(calls.goid))


@dataclass(frozen=True)
class Foresight:
    """How k calls ended that outlived a window.

    Attributes:
        entry_event: i64[k], ascending: which calls.
        ends: what ended them. state: u8[k], as the events alone say.
        callees_ns: i64[k], time in direct callees. called: bool[k], whether there were any.
        known: what occurs in the trace.
        hits: i64, number of events of each site of the trace.
        nested: every one that is over was seen to end, and no program began where frames of another were open: whatever
            is not over goes on to the end of the trace.
    """

    entry_event: Index
    ends: Ends
    state: NDArray[np.uint8]
    callees_ns: Index
    called: NDArray[np.bool_]
    known: Known
    hits: Index
    nested: bool

    def place(self, entry_event: Index) -> Index:
        """Return where calls stand here.

        Raises:
            TraceError: one is not known: the file is not what it was, or said what is not true.
        """
        place = np.searchsorted(self.entry_event, entry_event)
        inside = place < len(self.entry_event)
        if not inside.all() or (self.entry_event[place] != entry_event).any():
            raise TraceError("the trace changes while it is read", remedy="read it again when nobody writes to it")
        return place


@dataclass(frozen=True)
class Told:
    """Calls as the events up to the end of a window tell them: those that were open before, then those that began.

    Attributes:
        calls, ids, first: as in `Window`.
        over_ns: i64, time of the event that showed each to be over; NEVER when none did so far.
        earlier: as in `Window`.
    """

    calls: Calls
    ids: Index
    first: int
    over_ns: Index
    earlier: Sequence[EarlierFrame]


class ApartError(Exception):
    """Calls cannot be told window by window in one passage."""

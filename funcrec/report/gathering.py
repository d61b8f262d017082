"""All calls of a trace in columns that are made once: windows are paired one after the other and put where they belong.

Pairing takes several times the room of the calls that it makes. Here no more than a window of events is paired at a
time, and each is let go of before the next is read, so that a trace takes little more than its calls.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import Calls, State
from funcrec.report.earlier import EarlierFrame
from funcrec.report.faults import lost_faults
from funcrec.report.letgo import NEVER
from funcrec.report.pairing import Ended, Paired, mind_unseen_ends, self_times
from funcrec.report.passage import Passage
from funcrec.report.streams import Index
from funcrec.report.windows import ApartError, Told

if TYPE_CHECKING:
    from funcrec.report.recording import Recording

SIZE = 1 << 18  # events of a window, about: more are no quicker, and take more room
_ZERO = np.zeros(1, np.uint64)
_TYPES: dict[str, Any] = {
    "start_ns": np.int64,
    "end_ns": np.int64,
    "self_ns": np.int64,
    "state": np.uint8,
    "function": np.uint32,
    "pid": np.uint32,
    "tid": np.uint32,
    "goid": np.uint64,
    "depth": np.uint32,
    "parent": np.int64,
    "caller": np.uint32,
    "entry_event": np.int64,
    "exit_event": np.int64,
}
_ENDS = ("end_ns", "self_ns", "state", "exit_event")


def gather(trace: "Recording", size: int = SIZE) -> Paired | None:
    """Make the calls of all events of a trace; None when windows do not suffice.

    Args:
        trace: the recording.
        size: events of a window, about.

    Raises:
        TraceError: a block cannot be read.
    """
    if trace.stored <= size or lost_faults(trace):
        return None
    passage = Passage(trace, size, earlier=True)
    columns = _Columns(doubtful=_is_doubtful(trace))
    earlier: list[EarlierFrame] = []
    try:
        for told in passage.told():
            columns.put(told)
            earlier += told.earlier
            del told  # the next window takes as much
    except ApartError:
        return None
    if lost_faults(trace) or _is_doubtful(trace) != columns.doubtful:
        return None  # damage came to light
    return Paired(columns.calls(trace), passage.hits, earlier)


def _is_doubtful(trace: "Recording") -> bool:
    """Whether calls may be over without anybody having seen it."""
    return bool(trace.lost) or any(note.functions for note in trace.notes)


class _Columns:
    """Columns of all calls, by start.

    Args:
        doubtful: when calls were shown to be over is needed at the end.
    """

    def __init__(self, *, doubtful: bool) -> None:
        self.doubtful = doubtful
        self._n = 0
        self._of: dict[str, NDArray[Any]] = {name: np.empty(0, kind) for name, kind in _TYPES.items()}
        if doubtful:
            self._of["over_ns"] = np.empty(0, np.int64)

    def put(self, told: Told) -> None:
        """Take in the calls that began in a window, and how those ended that began before."""
        calls, first, ids = told.calls, told.first, told.ids
        new = slice(self._n, self._n + len(ids) - first)
        parent = calls.parent[first:]
        columns = {name: getattr(calls, name) for name in _TYPES}
        columns["over_ns"] = told.over_ns
        for name, column in self._of.items():
            # Large blocks grow where they are, or their pages move: nothing is copied, and no room is taken in advance.
            column.resize(new.stop, refcheck=False)  # nobody else has them
            column[new] = columns[name][first:]
        self._of["parent"][new] = np.where(parent >= 0, ids[parent], -1)
        self._n = new.stop
        done = np.flatnonzero(told.over_ns[:first] < NEVER)
        for name in (*_ENDS, *(["over_ns"] if self.doubtful else [])):
            self._of[name][ids[done]] = columns[name][done]

    def calls(self, trace: "Recording") -> Calls:
        """Return all of them; the columns are used up."""
        if self.doubtful:
            self._mind_unseen_ends(trace)
        # Windows have no system stacks.
        return Calls(stack=np.broadcast_to(_ZERO, self._n), **self._of)

    def _mind_unseen_ends(self, trace: "Recording") -> None:
        of = self._of
        over_ns: Index = of.pop("over_ns")
        ended = Ended(of["function"], of["state"], of["depth"].view(np.int32), of["parent"])
        mind_unseen_ends(trace, ended, of["start_ns"], over_ns, of["entry_event"] == of["exit_event"])
        of["depth"] = ended.level.view(np.uint32)
        of["end_ns"] = np.where(of["state"] <= State.GOEXIT, over_ns, -1)
        del over_ns
        of["exit_event"][of["state"] != State.RETURNED] = -1
        of["self_ns"] = self_times(of["start_ns"], of["end_ns"], of["parent"])

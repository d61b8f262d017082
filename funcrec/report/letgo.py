"""Functions that the recorder let go: from a certain time on their events are missing, and nobody knows their frames.

A frame that was open then may have ended at any later time. So it has no end, and calls that begin later do not have
it as a parent but the nearest frame below it that is still seen (`formats/trace.md`, chapter 4, "Let go").
"""

import numpy as np
from numpy.typing import NDArray

from funcrec.report.streams import Index
from funcrec.trace.records import NoteRecord

MOMENTS = 64  # at which functions are let go in one trace; later ones are not believed
NEVER = np.iinfo(np.int64).max


def let_go_ns(notes: list[NoteRecord], functions: int) -> Index | None:
    """Return the time from which each function's events are missing, i64[functions]; None when no function's are."""
    since = np.full(functions, NEVER)
    moments: set[int] = set()
    for note in notes:
        if not note.functions or len(moments | {note.time_ns}) > MOMENTS:
            continue
        moments.add(note.time_ns)
        gone = np.array(note.functions)
        since[gone] = np.minimum(since[gone], note.time_ns)
    return since if moments else None


def adopt(parent: Index, start_ns: Index, left_ns: Index) -> bool:
    """Give calls that began after their parent was let go the nearest ancestor that was not; changes `parent`.

    Args:
        parent: frame or -1; a parent's number may be above its child's.
        start_ns: of each frame.
        left_ns: for frames that were open when their function was let go that time, else a time never reached.

    Returns:
        whether anything changed.
    """
    changed = False
    moments = np.unique(left_ns[left_ns < NEVER])
    for number, moment in enumerate(moments.tolist()):
        following = int(moments[number + 1]) if number + 1 < len(moments) else NEVER
        gone = left_ns <= moment
        late = (start_ns >= moment) & (start_ns < following) & (parent >= 0)
        late[late] = gone[parent[late]]
        if late.any():
            parent[late] = _nearest(parent, gone)[parent[late]]
            changed = True
    return changed


def _nearest(parent: Index, gone: NDArray[np.bool_]) -> Index:
    """For each frame itself or the nearest ancestor that is not gone, -1 for none; by doubling, however deep."""
    n = len(parent)
    jump = np.arange(n + 1)
    jump[:n][gone] = parent[gone]
    jump[jump < 0] = n  # stands for "none" and points to itself
    while True:
        further = jump[jump]
        if np.array_equal(further, jump):
            return np.where(jump[:n] == n, -1, jump[:n])
        jump = further


def depths(parent: Index) -> NDArray[np.int32]:
    """Number of ancestors of each frame; by doubling, however deep."""
    n = len(parent)
    jump = np.append(np.where(parent < 0, n, parent), n)
    count = (jump < n).astype(np.int32)
    while (jump < n).any():
        count += count[jump]
        jump = jump[jump]
    return count[:n]

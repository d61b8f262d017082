"""Frames that may be over without anybody having seen it: after losses, and of functions that the recorder let go.

A call that begins when its parent may be over belongs to the nearest frame below that one that is certain
(`formats/trace.md`, chapter 4, "Let go" and "Parents").
"""

import numpy as np
from numpy.typing import NDArray

from funcrec.report.streams import Index
from funcrec.trace.records import NoteRecord

CLIMB = 256  # frames that may be over in a row; above them no parent is certain
NEVER = np.iinfo(np.int64).max


def let_go_ns(notes: list[NoteRecord], functions: int) -> Index | None:
    """Return the time from which each function's events are missing, i64[functions]; None when no function's are."""
    since = np.full(functions, NEVER)
    naming = [note for note in notes if note.functions]
    for note in naming:
        gone = np.array(note.functions)
        since[gone] = np.minimum(since[gone], note.time_ns)
    return since if naming else None


def adopt(parent: Index, start_ns: Index, left_ns: Index) -> bool:
    """Give calls that began when their parent may have been over the nearest ancestor that was not; changes `parent`.

    Args:
        parent: frame or -1.
        start_ns: of each frame.
        left_ns: from when on each frame may be over, NEVER when its end is known or it has none.

    Returns:
        whether anything changed.
    """
    late = np.flatnonzero(parent >= 0)
    late = late[start_ns[late] >= left_ns[parent[late]]]
    # From one snapshot, so that the order of calls does not matter.
    above, found = parent.copy(), parent[late]
    number = np.arange(len(late))
    for _ in range(CLIMB):
        if len(number) == 0:
            break
        found[number] = above[found[number]]
        number = number[found[number] >= 0]
        number = number[start_ns[late[number]] >= left_ns[found[number]]]
    found[number] = -1
    parent[late] = found
    return len(late) > 0


def depths(parent: Index) -> NDArray[np.int32]:
    """Number of ancestors of each frame; by doubling, however deep."""
    n = len(parent)
    jump = np.append(np.where(parent < 0, n, parent), n)
    count = (jump < n).astype(np.int32)
    while (jump < n).any():
        count += count[jump]
        jump = jump[jump]
    return count[:n]

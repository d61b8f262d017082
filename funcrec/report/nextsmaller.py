"""The first later value that is not above a given one: the question by which a frame finds its end.

A pyramid of block minima answers it for any set of positions, in O(log distance) vector steps. Most calls are leaves or
small, so that nearly all queries are done after a few steps, and no shape of call tree is a bad case.
"""

import numpy as np
from numpy.typing import NDArray

U32 = NDArray[np.uint32]
Index = NDArray[np.int64]


def next_at_most(values: U32, queries: Index) -> Index:
    """For each query position q, find the first j > q with values[j] <= values[q].

    Args:
        values: n values.
        queries: k positions below n, any order.

    Returns:
        k positions; n where there is none.
    """
    n = len(values)
    block = np.minimum(queries + 1, max(n - 1, 0))
    limits = values[queries]
    # Most calls are leaves: their own exit follows at once.
    far = values[block] > limits
    found = np.where(far | (queries == n - 1), n, block)
    waiting = np.flatnonzero(far)
    block, limits = block[waiting] + 1, limits[waiting]
    if len(waiting):
        _climb(_pyramid(values), waiting, block, limits, found)
    return found


def _pyramid(values: U32) -> list[U32]:
    """Level k holds the minimum of each 2**k values; a missing last partner counts as the largest value."""
    levels = [values]
    while len(levels[-1]) > 1:
        below = levels[-1]
        half = len(below) // 2
        level = np.empty(half + len(below) % 2, dtype=np.uint32)
        np.minimum(below[: 2 * half : 2], below[1 : 2 * half : 2], out=level[:half])
        if len(below) % 2:
            level[half] = below[-1]
        levels.append(level)
    return levels


def _climb(levels: list[U32], waiting: Index, block: Index, limits: U32, found: Index) -> None:
    """Go up while blocks hold nothing small enough, then down to the first value that is.

    `block[i]` is the first block of the current level not yet looked at by query `waiting[i]`.
    """
    hits: list[tuple[Index, Index, U32]] = []
    for level in levels:
        if int(block.max()) >= len(level):
            inside = np.flatnonzero(block < len(level))
            waiting, block, limits = waiting[inside], block[inside], limits[inside]
        # An even block is the left half of its parent: looking at the parent covers both halves. Only the top has none.
        hit = level[block] <= limits
        hit &= ((block & 1) == 1) | (block == len(level) - 1)
        at = np.flatnonzero(hit)
        hits.append((waiting[at], block[at], limits[at]))
        at = np.flatnonzero(~hit)
        waiting, block, limits = waiting[at], (block[at] + 1) >> 1, limits[at]
        if len(waiting) == 0:
            break
    waiting, block, limits = hits.pop()
    for level in reversed(levels[: len(hits)]):
        block = block << 1
        block += level[block] > limits
        more = hits.pop()
        if len(more[0]):
            waiting = np.concatenate((waiting, more[0]))
            block = np.concatenate((block, more[1]))
            limits = np.concatenate((limits, more[2]))
    found[waiting] = block

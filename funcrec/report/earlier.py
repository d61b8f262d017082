"""Frames that were open before the recording began: known only by their exits, so they are no calls."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.report.streams import Index, Streams
from funcrec.trace.records import SiteRole

# Above any depth in bytes: tells stacks apart in one running minimum.
_STACK_STEP = np.int64(1) << 33


@dataclass(frozen=True, slots=True)
class EarlierFrame:
    """The exit of a frame that was entered before the recording: its time (monotonic ns), and what it is an exit of."""

    time_ns: int
    function: int
    pid: int
    goid: int
    image: int
    depth: int


def earlier_frames(
    streams: Streams, roles: NDArray[np.uint8], functions: NDArray[np.uint32], ended_by: Index
) -> list[EarlierFrame]:
    """Find the exits without an entry, at depths above which nothing was seen before on their stack.

    An exit without an entry that something shallower came before has lost its entry; that is told with the losses.

    Args:
        streams: all events.
        roles: u8, one per event.
        functions: u32, one per site.
        ended_by: positions of the exits that belong to calls.

    Returns:
        In order of time.
    """
    exits = roles == SiteRole.EXIT
    if np.count_nonzero(exits) == len(ended_by):
        return []
    exits[ended_by] = False
    at = np.flatnonzero(exits)
    stack = np.searchsorted(streams.stacks.start, at, side="right") - 1
    of_stack = np.repeat(np.arange(len(streams.stacks)), np.diff(streams.stacks.start))
    # RECOVERY, GOEXIT and the like speak of depths that are not their own.
    depth = np.where(roles <= SiteRole.POINT, streams.depth, np.uint32(0xFFFFFFFF)).astype(np.int64)
    lowest = np.minimum.accumulate(depth - of_stack * _STACK_STEP)
    first = at == streams.stacks.start[stack]
    new = first | (depth[at] - stack * _STACK_STEP < lowest[np.maximum(at - 1, 0)])
    at, stack = at[new], stack[new]
    goid = streams.runs.goid_of(streams.event[at].astype(np.int64))
    rows = zip(
        streams.time_ns[at].tolist(),
        functions[streams.site[at]].tolist(),
        streams.stacks.pid[stack].tolist(),
        goid.tolist(),
        streams.stacks.image[stack].tolist(),
        streams.depth[at].tolist(),
        strict=True,
    )
    return sorted((EarlierFrame(*row) for row in rows), key=lambda frame: frame.time_ns)


class LowestDepths:
    """The lowest depth at which anything was seen on each own stack, over windows that follow one another."""

    def __init__(self) -> None:
        self._lowest: dict[tuple[int, int, int], int] = {}

    def new(self, streams: Streams, roles: NDArray[np.uint8], found: list[EarlierFrame]) -> list[EarlierFrame]:
        """Take in a window; return which of the exits found in it nothing shallower came before, in any window.

        Args:
            streams: events of the window, those that began open frames before it among them.
            roles: u8, one per site.
            found: what `earlier_frames` says of the window alone.
        """
        never = np.uint32(0xFFFFFFFF)
        frames = [
            frame for frame in found if frame.depth < self._lowest.get((frame.pid, frame.image, frame.goid), never)
        ]
        if len(streams.site) == 0:
            return frames
        depth = np.where(roles[streams.site] <= SiteRole.POINT, streams.depth, never)
        stacks = streams.stacks
        lowest = np.minimum.reduceat(depth, stacks.start[:-1])
        keys = zip(stacks.pid.tolist(), stacks.image.tolist(), stacks.number.tolist(), strict=True)
        for key, value in zip(keys, lowest.tolist(), strict=True):
            self._lowest[key] = min(value, self._lowest.get(key, value))
        return frames

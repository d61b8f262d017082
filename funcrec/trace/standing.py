"""Which frames are open between two blocks, found while they are written: what a reader in the middle begins with.

Only the rules of `formats/trace.md`, chapter 4, that say when a frame is over; how it ended is the readers' business.
Where a block breaks the order that this relies on, track is lost for good: such a trace is read from its beginning.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.trace.records import I64, U8, U32, U64, EventColumns, SiteRole

MAX_STANDING = 1 << 18  # frames: with more open at a time, reading from the beginning is as well
MAX_LISTED = 1 << 12  # goroutines of a block: with more of them, hardly one is without any
_MAX_STACKS = 1 << 16  # whose last time is kept
_PID_BITS, _GOID_BITS = 22, 42  # PID_MAX_LIMIT of Linux 6.6 include/linux/threads.h; goids are counted from 1
_STEP = 33  # a stack's depths in bytes, told apart from those of the next by the bits above
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class BlockSpans:
    """What outlasts a block, or did so until now.

    Attributes:
        calls: calls that begin in it.
        goids: u64, goroutines that have events in it, ascending; empty when they are too many.
        event: i64[k], positions in it of the entries whose frames are open when it ends, ascending.
        entries: those k events.
        ended: i64, numbers of the frames that earlier blocks left open and that end in it; ascending.
    """

    calls: int
    goids: U64
    event: I64
    entries: EventColumns
    ended: I64


class Standing:
    """Frames that are open after the blocks so far, all on goroutines' own stacks."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, np.uint64)  # stack of each open frame, ascending; then by depth
        self._depths = np.zeros(0, np.uint32)
        self._numbers = np.zeros(0, np.int64)
        self._born = 0
        self._order = _Order()

    def add(self, events: EventColumns, lengths: I64, roles: U8) -> BlockSpans | None:
        """Take in a block in stored order; None, from then on always, once track is lost.

        Args:
            events: n events.
            lengths: of its runs.
            roles: of all sites.
        """
        starts = np.cumsum(lengths) - lengths
        role = roles[events.site]
        reach = _reach(role, events.depth)
        pid, goid = events.pid[starts], events.goid[starts]
        if reach is None or events.stack[starts].any() or not _fits(pid, goid):
            return None
        keys = pid.astype(np.uint64) << np.uint64(_GOID_BITS) | goid
        if not self._order.holds(events, keys, starts, lengths, role):
            return None
        # The least reach from each event on, those of one stack being all below those of the next.
        base = np.arange(len(starts), dtype=np.int64) << _STEP
        least = np.empty(len(events) + 1, np.int64)
        least[-1] = _NEVER
        own = np.repeat(base, lengths)
        own += reach
        np.minimum.accumulate(own[::-1], out=least[:-1][::-1])
        born = np.flatnonzero((least[1:] > own) & (role == SiteRole.ENTRY))
        ended = self._end(keys, least[starts] - base)
        self._begin(np.repeat(keys, lengths)[born] if len(born) else keys[:0], events.depth[born])
        if len(self._keys) > MAX_STANDING:
            return None
        calls = int(np.count_nonzero((role == SiteRole.ENTRY) | (role == SiteRole.POINT)))
        goids = np.unique(goid)
        goids = goids if len(goids) <= MAX_LISTED else goids[:0]
        return BlockSpans(calls, goids, born, events.take(born), ended)

    def _end(self, keys: U64, least: I64) -> I64:
        """Let go of the frames that runs end; `least` is how far down each run reaches."""
        if len(self._keys) == 0:
            return self._numbers
        run = np.minimum(np.searchsorted(keys, self._keys), len(keys) - 1)
        over = (keys[run] == self._keys) & (self._depths >= least[run])
        ended = np.sort(self._numbers[over])
        if len(ended):
            self._keys, self._depths, self._numbers = self._keys[~over], self._depths[~over], self._numbers[~over]
        return ended

    def _begin(self, keys: U64, depths: U32) -> None:
        if len(keys) == 0:
            return
        numbers = self._born + np.arange(len(keys))
        self._born += len(keys)
        keys = np.concatenate((self._keys, keys))
        order = np.argsort(keys, kind="stable")  # what is new lies deeper than what was there
        self._keys = keys[order]
        self._depths = np.concatenate((self._depths, depths))[order]
        self._numbers = np.concatenate((self._numbers, numbers))[order]


class _Order:
    """Whether blocks go on where earlier ones ended, stack by stack, and programs begin before their processes do."""

    def __init__(self) -> None:
        self._keys, self._last = np.zeros(0, np.uint64), np.zeros(0, np.int64)  # stacks and their last times
        self._floor = -1  # last time of the stacks that were forgotten
        self._pids: set[int] = set()
        self._began: dict[int, int] = {}

    def holds(self, events: EventColumns, keys: U64, starts: NDArray[Any], lengths: I64, role: U8) -> bool:
        """Take in a block."""
        first, last = events.time_ns[starts], events.time_ns[starts + lengths - 1]
        pids = events.pid[starts]
        return self._programs(events, pids, first, role) and self._times(keys, first, last)

    def _programs(self, events: EventColumns, pids: U32, first: I64, role: U8) -> bool:
        here = set(np.unique(pids).tolist())
        for at in np.flatnonzero(role == SiteRole.START).tolist():
            pid = int(events.pid[at])
            if pid in self._pids:
                return False
            self._began[pid] = max(int(events.time_ns[at]), self._began.get(pid, 0))
        self._pids |= here
        return all(int(first[pids == pid].min()) >= self._began[pid] for pid in here & self._began.keys())

    def _times(self, keys: U64, first: I64, last: I64) -> bool:
        at = np.minimum(np.searchsorted(self._keys, keys), max(len(self._keys) - 1, 0))
        known = self._keys[at] == keys if len(self._keys) else np.zeros(len(keys), bool)
        if (first[known] < self._last[at[known]]).any() or (first[~known] < self._floor).any():
            return False
        self._last[at[known]] = last[known]
        if known.all():
            return True
        keys = np.concatenate((self._keys, keys[~known]))
        times = np.concatenate((self._last, last[~known]))
        if len(keys) > _MAX_STACKS:
            recent = np.argsort(times)[len(keys) // 2 :]
            self._floor = max(self._floor, int(np.partition(times, len(keys) // 2)[: len(keys) // 2].max()))
            keys, times = keys[recent], times[recent]
        order = np.argsort(keys)
        self._keys, self._last = keys[order], times[order]
        return True


def _reach(role: U8, depth: U32) -> NDArray[np.uint32] | None:
    """The depth from which on each event ends frames; None where exits are taken back."""
    special = np.flatnonzero(role >= SiteRole.RECOVERY)
    if len(special) == 0:
        return depth
    kind = role[special]
    if (kind > SiteRole.START).any():
        return None
    reach = depth.copy()
    reach[special] = np.where(kind == SiteRole.RECOVERY, depth[special] + np.uint32(1), np.uint32(0))
    reach[special[kind == SiteRole.START]] = np.iinfo(np.uint32).max
    return reach


def _fits(pid: U32, goid: U64) -> bool:
    return int(pid.max()) < 1 << _PID_BITS and int(goid.max()) < 1 << _GOID_BITS

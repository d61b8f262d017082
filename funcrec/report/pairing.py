"""Events to calls: which entry belongs to which exit, and how the other calls ended.

A frame is (stack, function, depth), depth being the distance from the base of the stack. Open frames of a stack lie at
growing depths, so whatever happens at depth d proves that frames at d or deeper are over (RECOVERY: deeper than d;
GOEXIT and FATAL: all). Hence a frame ends at the first later event of its stack whose depth is not above its own, and
how it ended is read off that event: its own exit, a state event, or none that explains it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report import faults
from funcrec.report.calls import Calls, State
from funcrec.report.earlier import EarlierFrame, earlier_frames
from funcrec.report.letgo import NEVER, adopt, depths, let_go_ns
from funcrec.report.nextsmaller import next_at_most
from funcrec.report.streams import Index, Runs, Stacks, Streams, read_streams, site_functions, site_roles
from funcrec.report.untrusted import possible_ends, possible_entries
from funcrec.trace.records import SiteRole

if TYPE_CHECKING:
    from funcrec.report.recording import Recording


@dataclass
class Ended:
    """What losses may take back of m calls.

    Attributes:
        level: number of frames that were open below each. parent: frame or -1.
    """

    function: NDArray[np.uint32]
    state: NDArray[np.uint8]
    level: NDArray[np.int32]
    parent: Index


@dataclass
class Frames(Ended):
    """m calls in the order of the stream.

    Attributes:
        entry: position of the entry event. end: position of the event that ended it, the end of its stack if none did.
        stack: number of its stack.
        earlier: not among the m, see EarlierFrame.
    """

    entry: Index
    end: Index
    stack: NDArray[np.uint32]
    earlier: list[EarlierFrame]

    def is_over(self, streams: Streams) -> NDArray[np.bool_]:
        """Whether an event ended each frame."""
        return self.end < streams.stacks.start[1:][self.stack]


@dataclass(frozen=True, slots=True)
class Paired:
    """What the events of a trace say.

    Attributes:
        calls: all of them.
        hits: i64, number of events of each site.
        earlier: frames that were entered before the recording began.
    """

    calls: Calls
    hits: Index
    earlier: list[EarlierFrame]


def pair(trace: "Recording") -> Paired:
    """Make the calls of all events of a trace.

    Raises:
        TraceError: a block cannot be read.
    """
    streams = read_streams(trace)
    hits = np.bincount(streams.site, minlength=len(trace.sites))
    frames = find_frames(streams, trace)
    _join_system_stacks(streams, frames)
    ends = Ends.of(streams, frames)
    earlier = frames.earlier
    mind_unseen_ends(trace, frames, streams.time_ns[frames.entry], ends.over_ns, frames.end == frames.entry)
    _mind_unseen_faults(trace, streams, frames)
    columns = call_columns(streams, frames, ends)
    order = by_start(columns["start_ns"])
    rest = (streams.stacks, streams.runs, streams.tid, streams.caller)
    # The table is as large as all that it is made of: let go of each column once its successor is there.
    del streams, frames, ends
    columns["self_ns"] = self_times(columns["start_ns"], columns["end_ns"], columns["parent"])
    return Paired(make_table(columns, order, *rest), hits, earlier)


@dataclass
class Ends:
    """What ended each of m frames.

    Attributes:
        over_ns: i64, time of the event that showed it to be over; NEVER when none did.
        exit_event: i64, number of its exit if that is what ended it, -1.
    """

    over_ns: Index
    exit_event: Index

    @classmethod
    def of(cls, streams: Streams, frames: Frames) -> "Ends":
        """Read them off the events."""
        over_ns = np.full(len(frames.entry), NEVER)
        over = np.flatnonzero(frames.is_over(streams))
        over_ns[over] = streams.time_ns[frames.end[over]]
        exit_event = np.full(len(frames.entry), -1, dtype=np.int64)
        returned = np.flatnonzero(frames.state == State.RETURNED)
        exit_event[returned] = streams.numbers(streams.event[frames.end[returned]])
        return cls(over_ns, exit_event)


def call_columns(streams: Streams, frames: Frames, ends: Ends) -> dict[str, NDArray[Any]]:
    """Return columns of the calls in the order of the stream, for `make_table`: all but self_ns."""
    end_ns = np.where(frames.state <= State.GOEXIT, ends.over_ns, -1)
    ends.exit_event[frames.state != State.RETURNED] = -1
    entries = streams.event[frames.entry]
    return {
        "start_ns": streams.time_ns[frames.entry],
        "end_ns": end_ns,
        "state": frames.state,
        "function": frames.function,
        "depth": frames.level.view(np.uint32),
        "parent": frames.parent,
        "entry_event": entries,
        "exit_event": ends.exit_event,
        "stack": frames.stack,
    }


def mind_unseen_ends(
    trace: "Recording", frames: Ended, start_ns: Index, over_ns: Index, single: NDArray[np.bool_]
) -> None:
    """Take back what nobody can know: how calls ended, and what they called, after their end may have been missed.

    Args:
        trace: whose losses count.
        frames: in any order, changed in place; where parents change, `level` is another array.
        start_ns, over_ns: as in `Ends`.
        single: which calls are one event.
    """
    since = let_go_ns(trace.notes, len(trace.functions))
    if since is None and not trace.lost:
        return
    left_ns = np.full(len(start_ns), NEVER)
    entry_only = bool(trace.header.options.get("entry_only"))
    if trace.lost and not entry_only:
        left_ns = possible_ends(trace, frames.function, start_ns, over_ns)
        left_ns[single] = NEVER
        seen = frames.state == State.RETURNED
        seen &= possible_entries(trace, frames.function, start_ns, over_ns) == NEVER
        frames.state[(left_ns < NEVER) & ~seen] = State.LOST
        left_ns[frames.state != State.LOST] = NEVER
    if since is not None:
        of = since[frames.function]
        gone = (start_ns < of) & (over_ns >= of) & (of < NEVER)
        if not entry_only:
            frames.state[gone] = State.OPEN
        left_ns[gone] = np.minimum(left_ns[gone], of[gone])
    if adopt(frames.parent, start_ns, left_ns):
        frames.level = depths(frames.parent)


def _mind_unseen_faults(trace: "Recording", streams: Streams, frames: Frames) -> None:
    """Take back returns that an unseen fault may have taken back."""
    lost = faults.lost_faults(trace)
    if lost:
        roles = site_roles(trace.sites)[streams.site]
        returned = (frames.state == State.RETURNED) & (frames.end > frames.entry)
        returned &= ~streams.stacks.system[frames.stack]
        calls = np.flatnonzero(returned)
        frames.state[calls[faults.doubtful(lost, roles, streams, frames.end[calls])]] = State.LOST


def find_frames(streams: Streams, trace: "Recording") -> Frames:
    """Find the frames of ordered events, and what ended each."""
    roles = site_roles(trace.sites)[streams.site]
    functions = site_functions(trace.sites)
    faults.take_back(roles, streams, trace.sites)
    entry = np.flatnonzero((roles == SiteRole.ENTRY) | (roles == SiteRole.POINT))
    counts = np.diff(np.searchsorted(entry, streams.stacks.start))
    stack = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
    function = functions[streams.site[entry]]
    end = next_at_most(_reach(roles, streams.depth), entry)
    last = streams.stacks.start[1:][stack]
    np.minimum(end, last, out=end)
    point = roles[entry] == SiteRole.POINT
    end[point] = entry[point]

    state = np.full(len(entry), State.LOST, dtype=np.uint8)
    still = end == last
    del last
    ends = np.where(still, 0, end)
    role = roles[ends]
    returns = role == SiteRole.EXIT
    returns &= functions[streams.site[ends]] == function
    returns &= streams.depth[ends] == streams.depth[entry]
    del ends
    earlier = earlier_frames(streams, roles, functions, end[returns & ~still])
    state[returns | point] = State.RETURNED
    state[(role == SiteRole.RECOVERY) | (role == SiteRole.FATAL)] = State.PANICKED
    state[role == SiteRole.GOEXIT] = State.GOEXIT
    state[still] = State.OPEN
    if trace.header.options.get("entry_only"):
        state[:] = State.ENTRY
    level, parent = _nesting(roles, end, point)
    return Frames(function, state, level, parent, entry, end, stack, earlier)


def _reach(roles: NDArray[np.uint8], depth: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The depth from which on an event proves frames over."""
    special = np.flatnonzero(roles >= SiteRole.RECOVERY)
    if len(special) == 0:
        return depth
    reach = depth.copy()
    reach[special] = np.where(roles[special] == SiteRole.RECOVERY, depth[special] + np.uint32(1), np.uint32(0))
    reach[roles == SiteRole.START] = np.iinfo(np.uint32).max  # ends no frame: those before it are on other stacks
    return reach


def _nesting(roles: NDArray[np.uint8], end: Index, point: NDArray[np.bool_]) -> tuple[NDArray[np.int32], Index]:
    """Return each frame's level (number of frames open on the same stack when it began) and parent.

    A frame is a first child exactly if its level is one above that of the frame begun before it. Sorted by level, then
    time, the first children of one level stand in the order of their parents on the level above, and every other frame
    has the parent of the last first child before it.
    """
    m = len(end)
    small = len(roles) < 1 << 31
    begun = np.cumsum((roles == SiteRole.ENTRY) | (roles == SiteRole.POINT), dtype=np.int32 if small else np.int64)
    begun_before_end = begun[end - 1].astype(np.int64) if m else end
    begun_before_end[point] = np.flatnonzero(point) + 1
    del begun
    ended = np.cumsum(np.bincount(begun_before_end, minlength=m + 1)[:m])
    level = (np.arange(m) - ended).astype(np.int32)
    first = np.zeros(m, dtype=bool)
    first[1:] = level[1:] == level[:-1] + 1
    # Sixteen bits are sorted by counting.
    shallow = m == 0 or int(level.max()) < 1 << 16
    by_level = np.argsort(level.astype(np.uint16) if shallow else level, kind="stable")
    first_sorted = first[by_level]
    has_child = np.zeros(m, dtype=bool)
    has_child[:-1] = first[1:]
    parents = by_level[has_child[by_level]]
    parent = np.full(m, -1, dtype=np.int64)
    at = int(np.count_nonzero(level == 0))
    parent[by_level[at:]] = parents[np.cumsum(first_sorted)[at:] - 1]
    return level, parent


def _join_system_stacks(streams: Streams, frames: Frames) -> None:
    """Give the outermost frames of system stacks the frame of the goroutine's own stack that was open at their time."""
    stacks = streams.stacks
    root = np.flatnonzero(stacks.system[frames.stack] & (frames.level == 0))
    goid = streams.runs.goid_of(streams.event[frames.entry[root]].astype(np.int64))
    root, goid = root[goid != 0], goid[goid != 0]
    if len(root) == 0:
        return
    after = _last_event_before(streams, frames, root, goid)
    root, after = root[after >= 0], after[after >= 0]
    parent = _innermost_open(frames, after)
    root, parent = root[parent >= 0], parent[parent >= 0]
    frames.parent[root] = parent
    # Everything above such a frame is as much deeper as its new parent is deep.
    shift = np.zeros(len(frames.entry), dtype=np.int32)
    shift[root] = frames.level[parent] + 1
    begins = np.where(frames.level == 0, np.arange(len(shift)), 0)
    frames.level += shift[np.maximum.accumulate(begins)]


def _last_event_before(streams: Streams, frames: Frames, root: Index, goid: NDArray[np.uint64]) -> Index:
    """Position of the last event of the goroutine's own stack up to the time each frame began, -1 for none."""
    stacks = streams.stacks
    own = {
        (int(pid), int(image), int(number)): at
        for at, (pid, image, number) in enumerate(zip(stacks.pid, stacks.image, stacks.number, strict=True))
        if not stacks.system[at]
    }
    result = np.full(len(root), -1, dtype=np.int64)
    pid, image = stacks.pid[frames.stack[root]], stacks.image[frames.stack[root]]
    columns = np.stack((pid.astype(np.uint64), image.astype(np.uint64), goid))
    keys, which = np.unique(columns, axis=1, return_inverse=True)
    by_goroutine = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[by_goroutine], np.arange(keys.shape[1] + 1))
    for number, key in enumerate(keys.T.tolist()):
        stack = own.get(tuple(key))
        if stack is None:
            continue
        members = by_goroutine[bounds[number] : bounds[number + 1]]
        low, high = stacks.start[stack], stacks.start[stack + 1]
        times = streams.time_ns[frames.entry[root[members]]]
        found = np.searchsorted(streams.time_ns[low:high], times, side="right") - 1
        result[members] = np.where(found >= 0, found + low, -1)
    return result


def _innermost_open(frames: Frames, after: Index) -> Index:
    """The innermost frame open on the stack of each event, once the event is over; -1 for none."""
    m = len(frames.entry)
    begun = np.searchsorted(frames.entry, after, side="right")
    ended = np.searchsorted(np.sort(frames.end), after, side="right")
    level = begun - ended - 1
    # The frame wanted is the last one of its level that began by then.
    rank = frames.level.astype(np.int64) * m + np.arange(m)
    by_rank = np.argsort(rank)
    found = np.searchsorted(rank[by_rank], level * m + begun - 1, side="right") - 1
    return np.where(level >= 0, by_rank[np.maximum(found, 0)], -1)


def self_times(start_ns: Index, end_ns: Index, parent: Index) -> Index:
    """Return durations minus those of direct callees, as far as they lie inside; -1 where the end is unknown."""
    child = np.flatnonzero((parent >= 0) & (end_ns >= 0))
    above = parent[child]
    inside = np.minimum(end_ns[child], end_ns[above])
    inside -= np.maximum(start_ns[child], start_ns[above])
    np.maximum(inside, 0, out=inside)
    del child
    # Weights are summed as doubles, exact up to 2**53 ns = 104 days inside one call.
    callees = np.bincount(above, weights=inside, minlength=len(parent))
    del above, inside
    own = end_ns - start_ns
    own -= callees.astype(np.int64)
    np.maximum(own, 0, out=own)
    own[end_ns < 0] = -1
    return own


def make_table(
    columns: dict[str, NDArray[Any]],
    order: Index,
    stacks: Stacks,
    runs: Runs,
    tid: NDArray[np.uint32],
    caller: NDArray[np.uint32],
    number: Index | None = None,
) -> Calls:
    """Put the columns, which are in stream order, in the order of starts and add those that follow from them."""
    for name, column in columns.items():
        columns[name] = column[order]
    row = np.empty(len(order) + 1, dtype=np.int64)
    row[order] = np.arange(len(order))
    row[-1] = -1  # what parent -1 reads
    del order, column
    columns["parent"] = row[columns["parent"]]
    del row
    stack, event = columns["stack"], columns["entry_event"]
    system = stacks.system[stack]
    goid = stacks.number[stack]
    columns["stack"] = np.where(system, goid, np.uint64(0))
    if system.any():
        goid[system] = runs.goid_of(event[system].astype(np.int64))
    columns["entry_event"] = event.astype(np.int64) if number is None else number[event]
    return Calls(pid=stacks.pid[stack], goid=goid, tid=tid[event], caller=caller[event], **columns)


def by_start(start_ns: Index) -> Index:
    """Order by start; equal starts keep the order of the stream, where an outer call stands before an inner one.

    The vectorised quicksort is two to three times faster than a stable sort here, and ties are few.
    """
    order = np.argsort(start_ns)
    ordered = start_ns[order]
    equal = ordered[1:] == ordered[:-1]
    if equal.any():
        tied = np.zeros(len(order), dtype=bool)
        tied[1:] |= equal
        tied[:-1] |= equal
        at = np.flatnonzero(tied)
        members = order[at]
        order[at] = members[np.lexsort((members, start_ns[members]))]
    return order

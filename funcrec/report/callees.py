"""Whether frames that are innermost call anything yet: the next event on their stack that matters says so."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import TraceError
from funcrec.report.streams import Index, read_blocks, site_roles
from funcrec.trace.grouping import boundaries
from funcrec.trace.records import EventColumns, SiteRole
from funcrec.trace.spans import Spans

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

_MOST_BLOCKS = 32


def have_callees(
    trace: "Trace", spans: Spans, entries: EventColumns, number: Index, born: Index, ended: Index
) -> NDArray[np.bool_]:
    """Return which frames call something.

    Args:
        trace: without lost events.
        spans: of the trace.
        entries: of the frames, one for each stack.
        number, born: numbers of these events, and their blocks.
        ended: block in which each frame ends; the number of blocks when it does not.

    Raises:
        TraceError: too many blocks would have to be read.
    """
    found = np.zeros(len(number), np.bool_)
    roles = site_roles(trace.sites)
    waiting = {stack: at for at, stack in enumerate(zip(entries.pid.tolist(), entries.goid.tolist(), strict=True))}
    may_have = spans.may_have(lambda goids: np.isin(goids, entries.goid))
    blocks = np.flatnonzero(may_have) if waiting else np.empty(0, np.intp)
    blocks = blocks[blocks >= int(born.min(initial=len(spans.calls)))]
    read = 0
    for block in blocks.tolist():
        waiting = {stack: at for stack, at in waiting.items() if block <= ended[at]}
        if not waiting:
            break
        if not _listed(spans, block, {goid for _, goid in waiting}):
            continue
        if read >= _MOST_BLOCKS:
            raise TraceError("too many blocks have to be read", remedy="read all of it")
        read += 1
        events = next(read_blocks(trace, [block]))
        first = trace.reader.blocks[block].first_event
        for stack, run in _runs(events):
            at = waiting.get(stack, -1)
            if at < 0:
                continue
            part = slice(max(run.start, int(number[at]) + 1 - first), run.stop)
            answer = _answer(roles[events.site[part]], events.depth[part], int(entries.depth[at]))
            if answer is not None:
                found[at] = answer
                del waiting[stack]
    return found


def _listed(spans: Spans, block: int, goids: set[int]) -> bool:
    listed = spans.goids[spans.goids_at[block] : spans.goids_at[block + 1]]
    return len(listed) == 0 or not goids.isdisjoint(listed.tolist())


def _runs(events: EventColumns) -> list[tuple[tuple[int, int], slice]]:
    """The stacks of a block and where their events are."""
    first = boundaries(events.pid, events.goid)
    last = np.append(first[1:], len(events)).tolist()
    stacks = zip(events.pid[first].tolist(), events.goid[first].tolist(), strict=True)
    return [(stack, slice(begin, end)) for stack, begin, end in zip(stacks, first.tolist(), last, strict=True)]


def _answer(role: NDArray[np.uint8], depth: NDArray[np.uint32], own: int) -> bool | None:
    """Whether a frame calls something; None when these events do not tell."""
    begins = (role == SiteRole.ENTRY) | (role == SiteRole.POINT)
    ends = (role == SiteRole.EXIT) & (depth <= own) | (role == SiteRole.RECOVERY) & (depth < own)
    telling = np.flatnonzero(begins | ends | (role == SiteRole.GOEXIT) | (role == SiteRole.FATAL))
    return bool(begins[telling[0]] and depth[telling[0]] > own) if len(telling) else None

"""Exits that were told a moment too early: between the probe and the RET an instruction faulted, and a panic began."""

import numpy as np
from numpy.typing import NDArray

from funcrec.report.letgo import NEVER
from funcrec.report.recording import Recording
from funcrec.report.streams import Index, Streams, site_functions
from funcrec.report.untrusted import LossWindows, loss_windows
from funcrec.trace.records import SiteRecord, SiteRole

IDLE = SiteRole.START  # ends no frame and begins none


def take_back(roles: NDArray[np.uint8], streams: Streams, sites: list[SiteRecord]) -> None:
    """Make idle what did not happen: exits that a FAULT event takes back, and the FAULT events themselves.

    A hit may tell the exits of several frames, innermost first, at one time. A fault right after them takes back those
    of frames that it lies within, its depth being greater, when the innermost of these is of the function that faulted:
    else the goroutine has gone on since, in functions that are not recorded.

    Args:
        roles: u8[n], of the events in the order of the streams; changed in place.
        streams: all events.
        sites: of the trace.
    """
    faults = np.flatnonzero(roles == SiteRole.FAULT)
    if len(faults) == 0:
        return
    run = _runs_of_exits(roles, streams)
    before = np.maximum(faults - 1, 0)
    same_stack = ~np.isin(faults, streams.stacks.start)
    faulted = faults[same_stack & (roles[before] == SiteRole.EXIT)]
    roles[faults] = IDLE
    runs = run[faulted - 1]  # ascending and all different
    exits = np.flatnonzero((roles == SiteRole.EXIT) & np.isin(run, runs))
    fault = faulted[np.searchsorted(runs, run[exits])]
    within = streams.depth[exits] < streams.depth[fault]
    exits, fault = exits[within], fault[within]
    functions = site_functions(sites)
    _, innermost, member = np.unique(run[exits], return_index=True, return_inverse=True)
    own = functions[streams.site[exits[innermost]]] == functions[streams.site[fault[innermost]]]
    roles[exits[own[member]]] = IDLE


def lost_faults(trace: Recording) -> LossWindows:
    """Return when faults may have happened that nobody saw."""
    if not any(site.role == SiteRole.FAULT for site in trace.sites):
        return LossWindows()
    windows = loss_windows(trace.lost, trace.sites, SiteRole.FAULT, (SiteRole.FAULT,))
    return LossWindows(windows.everywhere)


def doubtful(lost: LossWindows, roles: NDArray[np.uint8], streams: Streams, exits: Index) -> NDArray[np.bool_]:
    """Return which of some exits a fault that nobody saw may have taken back.

    Args:
        lost: when such faults may have happened.
        roles: u8[n], of the events in the order of the streams, as they were recorded.
        streams: all events.
        exits: their positions, none on a system stack.
    """
    run = _runs_of_exits(roles, streams)
    after = np.searchsorted(run, run[exits], side="right")
    bounds = streams.stacks.start
    is_last = after == bounds[np.searchsorted(bounds, exits, side="right")]
    after_ns = np.where(is_last, NEVER, streams.time_ns[np.where(is_last, exits, after)])
    nothing = np.zeros(len(exits), dtype=np.uint32)
    overlaps: NDArray[np.bool_] = lost.first_overlap(nothing, streams.time_ns[exits], after_ns) < NEVER
    return overlaps


def _runs_of_exits(roles: NDArray[np.uint8], streams: Streams) -> NDArray[np.int64]:
    """Number the stretches of exits at one time on one stack; every other event is a stretch by itself."""
    begins = np.ones(len(roles), dtype=bool)
    is_exit = roles == SiteRole.EXIT
    begins[1:] = ~(is_exit[1:] & is_exit[:-1]) | (streams.time_ns[1:] != streams.time_ns[:-1])
    begins[streams.stacks.start[:-1]] = True
    return np.cumsum(begins)

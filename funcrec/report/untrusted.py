"""Which calls a loss of events makes doubtful.

An exit and the next entry of the same function at the same depth that were both lost leave two calls that look like
one. Such a pair cannot be told from a true one, so every call is doubted over whose span events were lost that could
have been these two.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.report.streams import Index
from funcrec.trace.records import LostRecord, SiteRecord, SiteRole

if TYPE_CHECKING:
    from funcrec.report.recording import Trace

Windows = list[tuple[int, int]]


def untrusted(
    trace: "Trace", function: NDArray[np.uint32], start_ns: Index, end_ns: Index, paired: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which of the `paired` calls overlap a loss that could hide an exit and an entry of theirs.

    A call made of two events has a doubtful end then; one made of a single event (POINT) never has.
    """
    doubt = np.zeros(len(function), dtype=bool)
    everywhere, by_function = loss_windows(trace.lost, trace.sites)
    ended = np.flatnonzero(paired) if everywhere or by_function else np.empty(0, dtype=np.int64)
    if everywhere and len(ended):
        doubt[ended] = _overlaps(start_ns[ended], end_ns[ended], everywhere)
    if by_function and len(ended):
        by_name = ended[np.argsort(function[ended], kind="stable")]
        wanted = np.array(sorted(by_function), dtype=np.uint32)
        low = np.searchsorted(function[by_name], wanted, side="left")
        high = np.searchsorted(function[by_name], wanted, side="right")
        for number, first, last in zip(wanted.tolist(), low, high, strict=True):
            calls = by_name[first:last]
            doubt[calls] |= _overlaps(start_ns[calls], end_ns[calls], by_function[number])
    return doubt


def loss_windows(lost: list[LostRecord], sites: list[SiteRecord]) -> tuple[Windows, dict[int, Windows]]:
    """Return the windows of losses that can concern any function, and those of single functions."""
    everywhere: Windows = []
    by_function: dict[int, Windows] = {}
    for record in lost:
        if record.kind != "events" or record.count <= 0:
            continue
        window = (record.first_ns, record.last_ns)
        if sum(record.by_site.values()) < record.count:
            everywhere.append(window)
            continue
        for function in _both_ways(record, sites):
            by_function.setdefault(function, []).append(window)
    return everywhere, by_function


def _both_ways(record: LostRecord, sites: list[SiteRecord]) -> set[int]:
    """Functions of which the record lost both something that enters and something that leaves."""
    known = [sites[number] for number, count in record.by_site.items() if count > 0 and number < len(sites)]
    entered = {site.function for site in known if site.role == SiteRole.ENTRY}
    left = {site.function for site in known if site.role == SiteRole.EXIT}
    return entered & left


def _overlaps(start_ns: Index, end_ns: Index, windows: Windows) -> NDArray[np.bool_]:
    """Whether [start, end] and any window share a time."""
    merged: list[list[int]] = []
    for first, last in sorted(windows):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    bounds = np.array(merged, dtype=np.int64)
    # The first window that ends at or after the call's start is the only one that has to be looked at.
    at = np.searchsorted(bounds[:, 1], start_ns, side="left")
    near = np.minimum(at, len(bounds) - 1)
    result: NDArray[np.bool_] = (at < len(bounds)) & (bounds[near, 0] <= end_ns)
    return result

"""What a loss of events makes doubtful: which calls may have ended, or begun anew, without anybody seeing it.

Each lost event had a site, of which at most the number at each is known. A loss that may hold the end of a call leaves
its true end unknown when something else ended it, and one that may also hold the next entry makes two calls look like
one. Such calls cannot be told from true ones.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.report.letgo import NEVER
from funcrec.report.streams import Index
from funcrec.trace.records import LostRecord, SiteRecord, SiteRole

if TYPE_CHECKING:
    from funcrec.report.recording import Recording

Windows = list[tuple[int, int]]
# Events that end frames of any function.
_ENDING = (SiteRole.RECOVERY, SiteRole.GOEXIT, SiteRole.FATAL)


@dataclass
class LossWindows:
    """When events of one kind were lost: of any function, or of single ones."""

    everywhere: Windows = field(default_factory=list)
    by_function: dict[int, Windows] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.everywhere or self.by_function)

    def first_overlap(self, function: NDArray[np.uint32], start_ns: Index, over_ns: Index) -> Index:
        """Return the first time in [start, over] at which such an event may have been lost, NEVER if at none."""
        first = np.full(len(function), NEVER)
        if self.everywhere:
            first = _first_overlap(start_ns, over_ns, self.everywhere)
        if not self.by_function:
            return first
        by_name = np.argsort(function, kind="stable")
        wanted = np.array(sorted(self.by_function), dtype=np.uint32)
        low = np.searchsorted(function[by_name], wanted, side="left")
        high = np.searchsorted(function[by_name], wanted, side="right")
        for number, begin, end in zip(wanted.tolist(), low, high, strict=True):
            calls = by_name[begin:end]
            own = _first_overlap(start_ns[calls], over_ns[calls], self.by_function[number])
            first[calls] = np.minimum(first[calls], own)
        return first


def possible_ends(trace: "Recording", function: NDArray[np.uint32], start_ns: Index, over_ns: Index) -> Index:
    """First time at which each call may have ended unseen, NEVER when that is out of the question.

    Args:
        trace: whose losses count.
        function, start_ns: of each call.
        over_ns: time of the event that showed it to be over; NEVER when none did.
    """
    return loss_windows(trace.lost, trace.sites, SiteRole.EXIT, _ENDING).first_overlap(function, start_ns, over_ns)


def possible_entries(trace: "Recording", function: NDArray[np.uint32], start_ns: Index, over_ns: Index) -> Index:
    """The same for another call of the function that may have begun."""
    return loss_windows(trace.lost, trace.sites, SiteRole.ENTRY, ()).first_overlap(function, start_ns, over_ns)


def loss_windows(
    lost: list[LostRecord], sites: list[SiteRecord], role: SiteRole, of_all: tuple[SiteRole, ...]
) -> LossWindows:
    """Return the windows of losses that may hold an event of a role, or one of `of_all` at the site of any function."""
    windows = LossWindows()
    for record in lost:
        if record.kind != "events" or record.count <= 0:
            continue
        window = (record.first_ns, record.last_ns)
        known = [sites[number] for number in record.by_site if number < len(sites)]
        if sum(record.by_site.values()) < record.count or any(site.role in of_all for site in known):
            windows.everywhere.append(window)
            continue
        for function in {site.function for site in known if site.role == role}:
            windows.by_function.setdefault(function, []).append(window)
    return windows


def _first_overlap(start_ns: Index, over_ns: Index, windows: Windows) -> Index:
    """First time that [start, over] and any window share, NEVER for none."""
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
    shared: Index = np.where(
        (at < len(bounds)) & (bounds[near, 0] <= over_ns), np.maximum(bounds[near, 0], start_ns), NEVER
    )
    return shared

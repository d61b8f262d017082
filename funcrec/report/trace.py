"""Trace: one recording with its calls, made of its events on demand."""

from functools import cached_property
from typing import TYPE_CHECKING

from funcrec.report.recording import Recording
from funcrec.trace.records import EVENTS_OF_ROLE, SiteRecord, SiteRole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from funcrec.report.calls import Calls
    from funcrec.report.earlier import EarlierFrame
    from funcrec.report.pairing import Paired


class Trace(Recording):
    """A recording, and the calls made of its events."""

    def table(self) -> "Calls":
        """Return all calls of the trace; made once, then kept."""
        return self._paired.calls

    @property
    def earlier(self) -> "list[EarlierFrame]":
        """Frames that were entered before the recording began, by their exits; they are no calls."""
        return self._paired.earlier

    @property
    def site_hits(self) -> "NDArray[np.int64]":
        """Number of recorded events of each site."""
        told: NDArray[np.int64] | None = getattr(self.reader, "site_events", None)
        return self._paired.hits if told is None or "_paired" in self.__dict__ else told

    @property
    def events(self) -> int:
        """Recorded entries and exits; what does both at once counts as two."""
        return events_of(self.site_hits, self.sites)

    @cached_property
    def _paired(self) -> "Paired":
        from funcrec.report.gathering import gather
        from funcrec.report.pairing import pair

        return gather(self) or pair(self)


def events_of(hits: "NDArray[np.int64]", sites: list[SiteRecord]) -> int:
    """Return how many entries and exits some events are, counted by site."""
    return sum(EVENTS_OF_ROLE.get(site.role, 0) * int(n) for site, n in zip(sites, hits, strict=True))


def calls_of(hits: "NDArray[np.int64]", sites: list[SiteRecord]) -> int:
    """Return how many calls begin in some events, counted by site."""
    begins = (SiteRole.ENTRY, SiteRole.POINT)
    return sum(int(n) for site, n in zip(sites, hits, strict=True) if site.role in begins)

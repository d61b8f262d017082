"""Every filter as a mask over the calls of a trace; filters combine with `and`, in any order."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import Calls
from funcrec.report.request import FilterRequest, OutputRequest, TimeRange

if TYPE_CHECKING:
    from funcrec.report.recording import Trace

__all__ = ["FilterRequest", "OutputRequest", "Selection", "TimeRange", "select"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """The calls of a view.

    Attributes:
        trace: the recording.
        calls: all calls of the trace (durations without the probes' cost when that was asked for).
        mask: bool per call, True for those shown.
        request: what was asked.
    """

    trace: "Trace"
    calls: Calls
    mask: Mask
    request: FilterRequest

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers of the calls shown, ascending."""
        return np.flatnonzero(self.mask)

    def __len__(self) -> int:
        return int(np.count_nonzero(self.mask))


def select(trace: "Trace", request: FilterRequest) -> Selection:
    """Apply all filters.

    Raises:
        UsageError: a filter does not parse or names nothing in the trace.
    """
    calls = trace.table()
    return Selection(trace, calls, np.ones(len(calls), dtype=bool), request)

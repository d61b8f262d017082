"""Which calls lead to some functions (-C), window by window: a caller may go on long before it calls one of them."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import Calls
from funcrec.report.columns import Mask
from funcrec.report.nesting import with_callers
from funcrec.report.passage import Passage

if TYPE_CHECKING:
    from funcrec.report.trace import Trace


class Leading:
    """Goes with the windows of calls that are over, in their order.

    Args:
        functions: bool, by function: those that are led to.
        known: numbers of the entries of calls that are known to lead there, whatever their own window says.
    """

    def __init__(self, functions: Mask, known: NDArray[np.int64] | None = None) -> None:
        self._functions = functions
        self._known = np.empty(0, np.int64) if known is None else known

    def mask(self, calls: Calls) -> Mask:
        """Return which calls of a window lead there, for all that is known."""
        marked = self._functions[calls.function] | np.isin(calls.entry_event, self._known)
        return with_callers(calls.parent, marked)

    def mask_and_go_on(self, calls: Calls, still: int) -> Mask:
        """Return the same, and keep it of the first so many calls, which go on."""
        mask = self.mask(calls)
        self._known = calls.entry_event[:still][mask[:still]]
        return mask


def look_ahead_leading(trace: "Trace", functions: Mask, size: int) -> Leading:
    """Go through a trace and learn which calls that outlive a window lead to some functions.

    Raises:
        ApartError: one window must have all calls.
        TraceError: a block cannot be read.
    """
    leading, found = Leading(functions), [np.empty(0, np.int64)]
    for window in Passage(trace, size).finished():
        outlives = leading.mask_and_go_on(window.calls, window.first)
        old = window.calls.start_ns < window.begin_ns
        found.append(window.calls.entry_event[outlives & old])
    return Leading(functions, np.unique(np.concatenate(found)))

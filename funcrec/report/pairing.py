"""Events to calls: which entry belongs to which exit, and how the other calls ended."""

from typing import TYPE_CHECKING

from funcrec.report.calls import Calls

if TYPE_CHECKING:
    from funcrec.report.recording import Trace


def pair(trace: "Trace") -> Calls:
    """Make the calls of all events of a trace."""
    raise NotImplementedError

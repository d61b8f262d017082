"""What every exporter reads: the calls of a trace, those to show, and the tables that name things.

Knows nothing of files or of any foreign format.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import Calls
from funcrec.report.labels import function_names
from funcrec.report.letgo import NEVER
from funcrec.report.request import Names
from funcrec.report.text import printable
from funcrec.report.windows import Known, Window

if TYPE_CHECKING:
    from funcrec.report.filters import Selection
    from funcrec.report.trace import Trace
    from funcrec.report.valuecells import Cells
    from funcrec.report.valuestore import Sides

NOTHING = "{}"


@dataclass(frozen=True, slots=True)
class Source:
    """A trace as exporters see it.

    Attributes:
        trace: names, places, processes, goroutines and losses.
        calls: all n calls of the trace.
        mask: bool[n], the calls to export.
        names: how functions are called.
        cells: rows of `calls` -> their values; None when the trace holds none.
        window: which part of the trace `calls` are; None when they are all.
    """

    trace: "Trace"
    calls: Calls
    mask: NDArray[np.bool_]
    names: Names = Names.FULL
    cells: "Callable[[NDArray[np.int64]], Sides] | None" = None
    window: Window | None = None

    @classmethod
    def of(cls, selection: "Selection", names: Names = Names.FULL) -> "Source":
        """The calls that a selection shows."""
        from funcrec.report.arguments import has_values, value_cells

        trace, calls = selection.trace, selection.calls
        if not has_values(trace):
            return cls(trace, calls, selection.mask, names, None, selection.window)
        return cls(trace, calls, selection.mask, names, partial(value_cells, trace, calls), selection.window)

    def values(self, rows: NDArray[np.int64], nothing: str = NOTHING) -> "tuple[Cells, Cells]":
        """Arguments of some calls and their results as JSON objects, or other text where there are none."""
        from funcrec.report.valuecells import united

        arguments, results = (
            united([(at, cells) for at, cells in side if cells.template != NOTHING], len(rows), nothing)
            for side in (self.cells(rows) if self.cells is not None else ([], []))
        )
        return arguments, results

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the calls to export that belong to this part."""
        return self.since + np.flatnonzero(self.mask[self.since :])

    @property
    def since(self) -> int:
        """Row of the first call that belongs to this part; those before are callers."""
        return 0 if self.window is None else self.window.first

    @property
    def until_ns(self) -> int:
        """Time at which this part ends, monotonic."""
        return NEVER if self.window is None else self.window.end_ns

    @property
    def known(self) -> Known:
        """What occurs in the whole trace."""
        return Known.of(self.calls) if self.window is None else self.window.known

    def numbers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers in the whole trace of some rows; -1 stays -1."""
        return rows if self.window is None else self.window.numbers(rows)

    @property
    def lost_events(self) -> int:
        """Number of events that could not be delivered, over the whole trace."""
        return self.trace.lost_events

    @property
    def function_names(self) -> list[str]:
        """Names of the trace's functions in its order, for display."""
        return [printable(name) for name in function_names(self.trace, self.names)]

    def where(self, caller: int) -> str:
        """`file:line` of a call site given as `Calls.caller` stores it (id + 1); "" when unknown."""
        sites = self.trace.call_sites
        if not 0 < caller <= len(sites) or not sites[caller - 1].file:
            return ""
        return f"{sites[caller - 1].file}:{sites[caller - 1].line}"

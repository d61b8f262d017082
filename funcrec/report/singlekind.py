"""One value of each shown call as one numpy column of one type: what people compute with outside of funcrec."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import UsageError
from funcrec.lang.expr import parse
from funcrec.report.columns import Kind, Mask, Part
from funcrec.report.conditions import evaluate

if TYPE_CHECKING:
    from funcrec.report.filters import Selection


@dataclass(frozen=True, slots=True)
class Single:
    """n values of one kind.

    Attributes:
        kind: NUMBER, TEXT or BOOL.
        known: bool[n], False where a call has no such value, or nil.
        values: i64, u64 or f64; bool; indexes into `labels`.
        labels: the distinct texts of TEXT.
    """

    kind: Kind
    known: Mask
    values: NDArray[Any]
    labels: tuple[str, ...] = ()

    def masked(self) -> "np.ma.MaskedArray[Any, Any]":
        """The values as a masked array; texts as objects."""
        values = self.values
        if self.kind is Kind.TEXT:
            labels = np.array([*self.labels, ""], dtype=object)
            values = labels[np.where(self.known, values, len(self.labels))]
        array: np.ma.MaskedArray[Any, Any] = np.ma.masked_array(values, mask=~self.known)
        return array


def single(selection: "Selection", expression: str) -> Single:
    """Evaluate an expression for the calls of a selection.

    Raises:
        UsageError: it does not parse, names nothing in the trace, or is a number for some calls and a text for others.
    """
    column = evaluate(selection.trace, selection.calls, parse(expression))
    shown = len(selection.calls)
    parts: dict[Kind, Part] = {}
    for kind, part in column.parts.items():
        known, values = (selection.of(np.broadcast_to(each, (shown,))) for each in (part.known, part.values))
        parts[kind] = Part(known, values, part.labels)
    parts.pop(Kind.NIL, None)
    found = {kind: part for kind, part in parts.items() if part.known.any()} or parts
    if len(found) > 1:
        kinds = " and ".join(kind.value for kind in found)
        remedy = "choose the calls of one function, as in calls(filter='main.f')"
        raise UsageError(f"'{expression}' is {kinds} in different calls", remedy=remedy)
    for kind, part in found.items():
        values = part.values
        if values.dtype == np.longdouble:
            values = values.astype(np.float64)
        return Single(kind, part.known, values, part.labels)
    nothing = np.zeros(len(selection), dtype=bool)
    return Single(Kind.TEXT, nothing, np.zeros(len(selection), np.int64))

"""Which expressions say of some calls what they say of them among all: these are worked out window by window."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from funcrec.lang.expr import Binary, Literal, Name, Node, Size, Unary, children, parse
from funcrec.report.builtin import BUILT_IN
from funcrec.report.grouping import APART, NAMED, column_name

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

_ARITHMETIC = ("+", "-", "*", "/", "//", "%")
_NIL = Literal(None)


def told_apart(trace: "Trace", node: Node, *, computed: bool = False) -> bool:
    """Whether an expression is worked out the same way for some calls as for all.

    Not where an interface may hold anything: what occurs decides what is compared. Nor where numbers are computed with
    that may be of several types, or have no sign and 64 bits: what occurs decides how wide they have to be.

    Args:
        trace: the recording.
        node: the expression.
        computed: it is an operand of arithmetic.

    Raises:
        UsageError: a name that the trace does not know.
    """
    if isinstance(node, Name | Size) or (isinstance(node, Unary) and node.operator == "*"):
        return _value_apart(trace, str(node), computed)
    if isinstance(node, Binary) and _NIL in (node.left, node.right):
        return all(_known(trace, each) for each in children(node))
    computed |= isinstance(node, Binary | Unary) and node.operator in _ARITHMETIC
    return all(told_apart(trace, each, computed=computed) for each in children(node))


def groups_apart(trace: "Trace", by: Sequence[str]) -> bool:
    """Whether groups of some calls are called what they are called among all.

    Raises:
        UsageError: neither a name nor an expression over this trace.
    """
    return all(_group_apart(trace, column_name(each)) for each in by)


def _group_apart(trace: "Trace", name: str) -> bool:
    if name == "goroutine":  # it has its process before it where there are several
        return len({process.pid for process in trace.processes}) == 1
    return name in APART if name in NAMED or name == "file" else told_apart(trace, parse(name))


def _known(trace: "Trace", node: Node) -> bool:
    """As `told_apart` of what is compared with nil: whether it is, a value always says."""
    return told_apart(trace, node) or isinstance(node, Name | Unary)


def _value_apart(trace: "Trace", name: str, computed: bool) -> bool:
    if name in BUILT_IN:
        return True
    from funcrec.report.arguments import type_of  # values are decoded only when a name asks for one

    type_ = type_of(trace, name)
    return not type_.dynamic and len(type_.numbers) <= 1 and not (computed and np.dtype(np.uint64) in type_.numbers)

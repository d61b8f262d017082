"""Expressions over the calls of a trace: every name a column, every operator one numpy pass.

A call that lacks a value makes what is computed from it unknown, and unknown passes no filter: neither `x > 3` nor
`not x > 3` holds for a call without `x`. `and` and `or` need only one side where that decides.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import UsageError
from funcrec.lang.expr import Binary, Literal, Name, Node, Size, Unary, parse
from funcrec.lang.pattern import compile_glob
from funcrec.report.builtin import BUILT_IN
from funcrec.report.calls import Calls
from funcrec.report.columns import Kind, Mask, Part, ValueColumn, constant
from funcrec.report.texts import HOLDS, UNKNOWN, CutText, matcher, undecided

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

_FUNCTION_NAMES = ("func", "caller")
_ARITHMETIC = ("+", "-", "*", "/", "//", "%")


def holds(trace: "Trace", calls: Calls, text: str) -> Mask:
    """Return for which calls a condition is true.

    Raises:
        UsageError: it does not parse, is no condition, or uses a name that the trace does not know.
    """
    part = _truth(evaluate(trace, calls, parse(text)), text)
    return np.broadcast_to(part.known & part.values, (len(calls),))


def evaluate(trace: "Trace", calls: Calls, node: Node) -> ValueColumn:
    """Return the value of an expression for every call; arrays of one element stand for all calls.

    Raises:
        UsageError: an unknown name, or operands that do not fit.
    """
    if isinstance(node, Literal):
        return constant(node.value)
    if isinstance(node, Name | Size) or (isinstance(node, Unary) and node.operator == "*"):
        return _named(trace, calls, node)
    if isinstance(node, Unary):
        operand = evaluate(trace, calls, node.operand)
        if node.operator == "not":
            part = _truth(operand, str(node.operand))
            return ValueColumn.booleans(~part.values, part.known)
        part = _part(operand, Kind.NUMBER, node)
        return ValueColumn.numbers(-_signed(part.values), part.known)
    left, right = evaluate(trace, calls, node.left), evaluate(trace, calls, node.right)
    if node.operator in ("and", "or"):
        return _logic(node, _truth(left, str(node.left)), _truth(right, str(node.right)))
    if node.operator in _ARITHMETIC:
        return _arithmetic(node.operator, _part(left, Kind.NUMBER, node), _part(right, Kind.NUMBER, node))
    if node.operator == "=~":
        return _glob(node, _part(left, Kind.TEXT, node))
    return _comparison(node, left, right)


def _named(trace: "Trace", calls: Calls, node: Node) -> ValueColumn:
    name = str(node)
    if name in BUILT_IN:
        return BUILT_IN[name](trace, calls)
    # Values are decoded only when a name asks for one.
    from funcrec.report.arguments import value_column

    return value_column(trace, calls, name)


def _part(column: ValueColumn, kind: Kind, node: Node) -> Part:
    part = column.parts.get(kind)
    if part is None:
        found = " or ".join(kind.value for kind in column.parts) or "nothing"
        raise UsageError(f"'{node}' needs {kind.value} and finds {found}", remedy="compare like with like")
    return part


def _truth(column: ValueColumn, text: str) -> Part:
    part = column.parts.get(Kind.BOOL)
    if part is None:
        raise UsageError(f"'{text}' is not a condition", remedy="compare it with something, such as dur > 1ms")
    return part


def _logic(node: Binary, left: Part, right: Part) -> ValueColumn:
    if node.operator == "and":
        decided = (left.known & ~left.values) | (right.known & ~right.values)
        return ValueColumn.booleans(left.values & right.values, (left.known & right.known) | decided)
    decided = (left.known & left.values) | (right.known & right.values)
    return ValueColumn.booleans(decided, (left.known & right.known) | decided)


def _signed(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers that can be subtracted: unsigned ones as i64, or as f64 where they do not fit."""
    if values.dtype != np.uint64:
        return values
    return values.astype(np.int64 if int(values.max(initial=0)) < 1 << 63 else np.float64)


def _arithmetic(operator: str, left: Part, right: Part) -> ValueColumn:
    a, b = _signed(left.values), _signed(right.values)
    known = left.known & right.known
    with np.errstate(all="ignore"):
        if operator in ("+", "-", "*"):
            return ValueColumn.numbers({"+": np.add, "-": np.subtract, "*": np.multiply}[operator](a, b), known)
        known = known & (b != 0)
        divisor = np.where(b == 0, b.dtype.type(1), b)
        if operator == "%":
            return ValueColumn.numbers(np.mod(a, divisor), known)
        whole = operator == "//" or (a.dtype.kind != "f" and b.dtype.kind != "f")
        return ValueColumn.numbers(np.floor_divide(a, divisor) if whole else np.divide(a, divisor), known)


def _glob(node: Binary, text: Part) -> ValueColumn:
    pattern = str(node.right.value) if isinstance(node.right, Literal) else ""
    if isinstance(node.left, Name) and str(node.left) in _FUNCTION_NAMES:
        names = compile_glob(pattern)
        table = np.array([names(label) for label in text.labels], dtype=bool)
        return ValueColumn.booleans(table[text.values], text.known)
    matches = matcher(pattern)
    truth = np.array([matches(label) for label in text.labels], dtype=np.int8)[text.values]
    return ValueColumn.booleans(truth == HOLDS, text.known & (truth != UNKNOWN))


def _comparison(node: Binary, left: ValueColumn, right: ValueColumn) -> ValueColumn:
    kinds = [kind for kind in Kind if kind in left.parts and kind in right.parts]
    if not kinds:
        found = [" or ".join(kind.value for kind in column.parts) or "nothing" for column in (left, right)]
        raise UsageError(f"'{node}' compares {found[0]} with {found[1]}", remedy="compare like with like")
    values = known = np.zeros(1, dtype=bool)
    for kind in kinds:
        a, b = left.parts[kind], right.parts[kind]
        values = np.where(known, values, _compare(node, kind, a, b))
        both = a.known & b.known
        known = known | (both & ~_undecided(a, b, both) if kind == Kind.TEXT else both)
    return ValueColumn.booleans(values, known)


def _undecided(left: Part, right: Part, both: Mask) -> Mask:
    """Where two texts compare in a way that only what was cut off one of them could tell."""
    cut = [np.array([isinstance(label, CutText) for label in part.labels], dtype=bool) for part in (left, right)]
    if not any(map(np.any, cut)):
        return np.zeros(1, dtype=bool)
    one, other, both = np.broadcast_arrays(left.values, right.values, both)
    involved = np.flatnonzero(both)
    involved = involved[cut[0][one[involved]] | cut[1][other[involved]]]
    pairs, which = np.unique(one[involved] * len(right.labels) + other[involved], return_inverse=True)
    split = [divmod(pair, len(right.labels)) for pair in pairs.tolist()]
    open_ = np.array([undecided(left.labels[a], right.labels[b]) for a, b in split], dtype=bool)
    found = np.zeros(len(both), dtype=bool)
    found[involved] = open_[which]
    return found


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def _compare(node: Binary, kind: Kind, left: Part, right: Part) -> Mask:
    if kind in (Kind.BOOL, Kind.NIL) and node.operator not in ("==", "!="):
        raise UsageError(f"'{node}' puts {kind.value} in order", remedy="compare it with == or !=")
    a, b = left.values, right.values
    if kind == Kind.TEXT:
        # Texts compare as their places in the alphabet of all texts involved.
        place = {label: number for number, label in enumerate(sorted({*left.labels, *right.labels}))}
        a = np.array([place[label] for label in left.labels], dtype=np.int64)[a]
        b = np.array([place[label] for label in right.labels], dtype=np.int64)[b]
    result: Mask = _OPERATORS[node.operator](a, b)
    return result

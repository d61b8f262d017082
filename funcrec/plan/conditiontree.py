"""The parts of a condition of --if, as the kernel tests them: what it asks, not yet where the values are. Pure."""

from dataclasses import dataclass, field
from typing import TypeAlias

from funcrec.errors import UsageError
from funcrec.lang.expr import Binary, Literal, Name, Node, Size, Unary, walk
from funcrec.plan.conditionloads import Kind

MAX_SLOTS = 16
MAX_LEAVES = 32
MAX_TEXT = 256  # bytes that a text is compared with
MAX_PIECE = 32  # bytes looked for in the middle of a text
ARITHMETIC = ("+", "-", "*", "/", "//", "%")
_BUILT_IN = ("goid", "pid", "func")
_AFTERWARDS = ("dur", "self", "start", "depth", "state", "caller", "tid")
_CAN = (
    "--if compares whole numbers, booleans, nil and texts of values, goid, pid and func; --where tests the rest later"
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A value by its place in `Lowered.slots`."""

    number: int


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """`goid` or `pid`."""

    name: str


@dataclass(frozen=True, slots=True)
class Calculation:
    """Arithmetic on whole numbers; divisions floor."""

    operator: str
    left: "Number"
    right: "Number"


Number: TypeAlias = int | Slot | BuiltIn | Calculation


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two numbers by `==`, `!=`, `<`, `<=`, `>` or `>=`; nil is the number 0."""

    operator: str
    left: Number
    right: Number


@dataclass(frozen=True, slots=True)
class TextEnds:
    """A text has this beginning and this end; `whole`: and nothing between."""

    slot: Slot
    prefix: bytes
    suffix: bytes
    whole: bool


@dataclass(frozen=True, slots=True)
class TextHas:
    """A text has this somewhere."""

    slot: Slot
    piece: bytes


@dataclass(frozen=True, slots=True)
class FunctionIs:
    """The function's name: known before anything runs."""

    operator: str
    text: str


Leaf: TypeAlias = Comparison | TextEnds | TextHas | FunctionIs | bool


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; of what is unknown: unknown."""

    operand: "Formula"


@dataclass(frozen=True, slots=True)
class Join:
    """`and` or `or`; known as soon as one side decides."""

    operator: str
    left: "Formula"
    right: "Formula"


Formula: TypeAlias = int | Not | Join  # a number is that of a leaf


@dataclass(slots=True)
class Lowered:
    """A condition in the kernel's terms.

    Attributes:
        slots: the values it names, each with what it is compared as.
        leaves: its parts without `and`, `or`, `not`.
        formula: how they make up the whole.
    """

    slots: list[tuple[str, Kind]] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    formula: Formula = 0


def slots_of(leaf: Leaf) -> set[int]:
    """The values that a leaf depends on."""
    if isinstance(leaf, Comparison):
        return _numbers(leaf.left) | _numbers(leaf.right)
    return {leaf.slot.number} if isinstance(leaf, TextEnds | TextHas) else set()


def _numbers(value: Number) -> set[int]:
    if isinstance(value, Calculation):
        return _numbers(value.left) | _numbers(value.right)
    return {value.number} if isinstance(value, Slot) else set()


def lower(tree: Node) -> Lowered:
    """Put a condition into the kernel's terms.

    Raises:
        UsageError: the kernel cannot test it, whatever the function.
    """
    lowering = _Lowering()
    lowering.out.formula = lowering.formula(tree)
    for what, count, most in (
        ("values", len(lowering.out.slots), MAX_SLOTS),
        ("parts", len(lowering.out.leaves), MAX_LEAVES),
    ):
        if count > most:
            raise UsageError(
                f"--if has {count} {what}, at most {most} are possible", remedy="test the rest with --where"
            )
    return lowering.out


def cannot(node: Node | str, why: str) -> UsageError:
    """The error for what the kernel cannot test."""
    return UsageError(f"--if cannot test '{node}' in the kernel: {why}", remedy=_CAN)


def _is_value(node: Node) -> bool:
    return (isinstance(node, Name) and str(node) not in _BUILT_IN) or (
        isinstance(node, Size | Unary)
        and (isinstance(node, Size) or node.operator == "*")
        and all(isinstance(inner, Name | Unary | Size) for inner in walk(node))
    )


class _Lowering:
    def __init__(self) -> None:
        self.out = Lowered()

    def formula(self, node: Node) -> Formula:
        if isinstance(node, Binary) and node.operator in ("and", "or"):
            return Join(node.operator, self.formula(node.left), self.formula(node.right))
        if isinstance(node, Unary) and node.operator == "not":
            return Not(self.formula(node.operand))
        if isinstance(node, Binary) and node.operator in ("==", "!=", "=~") and not _is_plain(node):
            return self._special(node)
        return self._leaf(self._comparison(node))

    def _leaf(self, leaf: Leaf) -> Formula:
        self.out.leaves.append(leaf)
        return len(self.out.leaves) - 1

    def _slot(self, node: Node, kind: Kind) -> Slot:
        if isinstance(node, Name) and str(node) in _AFTERWARDS:
            raise UsageError(
                f"--if cannot test '{node}', which is not known when a call begins or ends",
                remedy="use --min for durations, or --where on the trace",
            )
        if not _is_value(node):
            raise cannot(node, f"{kind} is wanted there")
        wanted = (str(node), kind)
        if wanted not in self.out.slots:
            self.out.slots.append(wanted)
        return Slot(self.out.slots.index(wanted))

    def _comparison(self, node: Node) -> Leaf:
        if isinstance(node, Literal) and isinstance(node.value, bool):
            return node.value
        if isinstance(node, Binary) and node.operator not in ARITHMETIC:
            if "func" in (str(node.left), str(node.right)) or _is_text(node.left) or _is_text(node.right):
                raise cannot(node, "texts are compared by ==, != and =~")
            return Comparison(node.operator, self._number(node.left), self._number(node.right))
        if not _is_value(node):
            raise UsageError(f"'{node}' is not a condition", remedy="compare it with something, such as n > 3")
        return Comparison("!=", self._slot(node, Kind.BOOL), 0)

    def _special(self, node: Binary) -> Formula:
        """`==`, `!=` and `=~` with nil, true or false, or text."""
        left, right = (node.right, node.left) if isinstance(node.left, Literal) else (node.left, node.right)
        value = right.value if isinstance(right, Literal) else None
        if str(left) == "func":
            if not isinstance(value, str):
                raise cannot(node, "func is compared with a text")
            return self._leaf(FunctionIs(node.operator, value))
        if not isinstance(right, Literal):
            raise cannot(node, "one side must be written out")
        if value is None:
            return self._leaf(Comparison(node.operator, self._slot(left, Kind.NIL), 0))
        if isinstance(value, bool):
            truth = self._leaf(Comparison("!=", self._slot(left, Kind.BOOL), 0))
            return truth if value is (node.operator == "==") else Not(truth)
        slot, wanted = self._slot(left, Kind.TEXT), str(value).encode("utf-8", "surrogateescape")
        if node.operator == "=~":
            return self._leaf(_glob(node, slot, wanted))
        whole = self._leaf(_ends(node, slot, wanted, b"", whole=True))
        return whole if node.operator == "==" else Not(whole)

    def _number(self, node: Node) -> Number:
        if isinstance(node, Literal):
            if type(node.value) is not int:
                raise cannot(node, "a whole number is wanted there")
            return node.value
        if isinstance(node, Unary) and node.operator == "-":
            operand = self._number(node.operand)
            return -operand if isinstance(operand, int) and operand <= 1 << 63 else Calculation("-", 0, operand)
        if isinstance(node, Binary) and node.operator in ARITHMETIC:
            return Calculation(node.operator, self._number(node.left), self._number(node.right))
        if isinstance(node, Name) and str(node) in ("goid", "pid"):
            return BuiltIn(str(node))
        return self._slot(node, Kind.NUMBER)


def _is_text(node: Node) -> bool:
    return isinstance(node, Literal) and isinstance(node.value, str)


def _is_plain(node: Binary) -> bool:
    """Whether both sides are numbers, as far as the expression tells."""
    if node.operator == "=~" or "func" in (str(node.left), str(node.right)):
        return False
    literals = [side.value for side in (node.left, node.right) if isinstance(side, Literal)]
    return all(type(value) in (int, float) for value in literals)


def _ends(node: Node, slot: Slot, prefix: bytes, suffix: bytes, *, whole: bool) -> TextEnds:
    if len(prefix) > MAX_TEXT or len(suffix) > MAX_TEXT:
        raise cannot(node, f"a text there has at most {MAX_TEXT} bytes")
    return TextEnds(slot, prefix, suffix, whole)


def _glob(node: Node, slot: Slot, pattern: bytes) -> Leaf:
    first, *rest = pattern.split(b"*")
    if b"?" in pattern:
        raise cannot(node, "a pattern there has no '?'")
    if not rest:
        return _ends(node, slot, first, b"", whole=True)
    last, middle = rest[-1], [piece for piece in rest[:-1] if piece]
    if len(middle) > 1 or (middle and (first or last)):
        raise cannot(node, 'a pattern there is "x*", "*x", "x*y" or "*x*"')
    if not middle:
        return _ends(node, slot, first, last, whole=False)
    if len(middle[0]) > MAX_PIECE:
        raise cannot(node, f"at most {MAX_PIECE} bytes are looked for in the middle of a text")
    return TextHas(slot, middle[0])

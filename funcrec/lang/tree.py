"""The tree of an expression: its nodes, how they print, what the tree alone tells of their types."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

COMPARISONS = ("==", "!=", "<=", ">=", "<", ">", "=~")
# How tightly operators bind; a node's text is put in parentheses where it stands beside a tighter one.
_BINDING = {"or": 1, "and": 2, "not": 3, **dict.fromkeys(COMPARISONS, 4)} | {
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "//": 6,
    "%": 6,
}
_TIGHT = 7


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: number (durations in ns, sizes in bytes), text, boolean, or None for nil."""

    value: int | float | str | bool | None
    source: str = field(default="", compare=False)

    def __str__(self) -> str:
        if self.source:
            return self.source
        if isinstance(self.value, str):
            return quote(self.value)
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return "nil" if self.value is None else str(self.value)


@dataclass(frozen=True, slots=True)
class Name:
    """A name with fields and indexes: `req.items[3].id` is ("req", "items", 3, "id")."""

    path: tuple[str | int, ...]

    def __str__(self) -> str:
        first, *rest = self.path
        return str(first) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest)


@dataclass(frozen=True, slots=True)
class Size:
    """`len(x)` or `cap(x)`."""

    function: str
    operand: "Node"

    def __str__(self) -> str:
        return f"{self.function}({self.operand})"


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `*x` (what a pointer points to) or `not x`."""

    operator: str
    operand: "Node"

    def __str__(self) -> str:
        if self.operator == "not":
            return f"not {_inside(self.operand, _BINDING['not'])}"
        return f"{self.operator}{_inside(self.operand, _TIGHT)}"


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands: arithmetic, comparison, `and`, `or`. Comparisons do not chain."""

    operator: str
    left: "Node"
    right: "Node"

    def __str__(self) -> str:
        binding = _BINDING[self.operator]
        # All others group to the left, so only the right operand needs parentheses at equal binding.
        left = _inside(self.left, binding + (self.operator in COMPARISONS))
        return f"{left} {self.operator} {_inside(self.right, binding + 1)}"


Node: TypeAlias = Literal | Name | Size | Unary | Binary


def quote(text: str) -> str:
    """Text as a literal of the grammar, on one line and in plain characters."""
    parts = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            parts.append("\\" + char)
        elif char.isprintable():
            parts.append(char)
        else:
            parts.append(f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(parts) + '"'


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and all below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def _binding(node: Node) -> int:
    if isinstance(node, Binary):
        return _BINDING[node.operator]
    if isinstance(node, Unary) and node.operator == "not":
        return _BINDING["not"]
    return _TIGHT


def _inside(node: Node, binding: int) -> str:
    return f"({node})" if _binding(node) < binding else str(node)


def children(node: Node) -> tuple[Node, ...]:
    """The operands of a node."""
    if isinstance(node, Binary):
        return (node.left, node.right)
    return (node.operand,) if isinstance(node, Unary | Size) else ()


def height(node: Node) -> int:
    """Levels of the tree, found without recursion."""
    levels, level = 0, [node]
    while level:
        levels += 1
        level = [child for each in level for child in children(each)]
    return levels


def type_name(node: Node) -> str | None:
    """`a number`, `text` or `true or false` where the tree alone tells; None where it depends on the trace."""
    if isinstance(node, Literal):
        if node.value is None:
            return None
        return (
            "text" if isinstance(node.value, str) else "true or false" if isinstance(node.value, bool) else "a number"
        )
    if isinstance(node, Size):
        return "a number"
    if isinstance(node, Unary):
        return {"-": "a number", "not": "true or false"}.get(node.operator)
    if isinstance(node, Binary):
        return "a number" if node.operator in ("+", "-", "*", "/", "//", "%") else "true or false"
    return None

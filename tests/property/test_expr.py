"""Expressions parse and print back."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.errors import UsageError
from funcrec.lang.expr import Binary, Literal, Name, Node, Size, Unary, parse, type_name

words = st.sampled_from(["dur", "x", "req", "r0", "long_name", "größe"])
names = st.builds(lambda first, rest: Name((first, *rest)), words, st.lists(words | st.integers(0, 99), max_size=3))
numbers = st.integers(0, 2**64 - 1) | st.floats(0, 1e15, allow_nan=False)
literals = st.builds(Literal, numbers | st.text(max_size=8) | st.booleans() | st.none())


def _comparable(operator: str, left: Node, right: Node) -> bool:
    kinds = {type_name(left), type_name(right)} - {None}
    return len(kinds) < 2


@st.composite
def trees(draw: st.DrawFn, levels: int = 4) -> Node:
    kind = draw(st.sampled_from(["leaf", "arithmetic", "compare", "logic", "unary", "size"])) if levels else "leaf"
    if kind == "leaf":
        return draw(names | literals)
    left = draw(trees(levels - 1))
    if kind == "unary":
        return Unary(draw(st.sampled_from(["-", "*", "not"])), left)
    if kind == "size":
        return Size(draw(st.sampled_from(["len", "cap"])), left)
    right = draw(trees(levels - 1))
    if kind == "compare":
        operator = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "=~"]))
        right = Literal(draw(st.text(max_size=8))) if operator == "=~" else right
        return Binary(operator, left, right) if _comparable(operator, left, right) else left
    operators = ["and", "or"] if kind == "logic" else ["+", "-", "*", "/", "//", "%"]
    return Binary(draw(st.sampled_from(operators)), left, right)


@settings(max_examples=300, deadline=None)
@given(trees())
def test_a_printed_tree_parses_to_itself(node: Node) -> None:
    assert parse(str(node)) == node


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abdur .0123456789ms<>=!&|~+-*/%()[]\"'\\éK", max_size=40))
def test_any_text_parses_and_prints_back_or_is_one_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        node = parse(text)
        assert parse(str(node)) == node

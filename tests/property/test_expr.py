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


def _grow(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    arithmetic = st.builds(Binary, st.sampled_from(["+", "-", "*", "/", "//", "%"]), nodes, nodes)
    compare = st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), nodes, nodes)
    match = st.tuples(st.just("=~"), nodes, st.builds(Literal, st.text(max_size=8)))
    return st.one_of(
        arithmetic,
        (compare | match).filter(lambda parts: _comparable(*parts)).map(lambda parts: Binary(*parts)),
        st.builds(Binary, st.sampled_from(["and", "or"]), nodes, nodes),
        st.builds(Unary, st.sampled_from(["-", "*", "not"]), nodes),
        st.builds(Size, st.sampled_from(["len", "cap"]), nodes),
    )


nodes = st.recursive(names | literals, _grow, max_leaves=12)


@settings(max_examples=300, deadline=None)
@given(nodes)
def test_a_printed_tree_parses_to_itself(node: Node) -> None:
    assert parse(str(node)) == node


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abdur .0123456789ms<>=!&|~+-*/%()[]\"'\\éK", max_size=40))
def test_any_text_parses_and_prints_back_or_is_one_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        node = parse(text)
        assert parse(str(node)) == node

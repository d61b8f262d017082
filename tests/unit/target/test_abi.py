"""The calling convention by hand-made types; src/cmd/compile/abi-internal.md is the source of every expectation."""

import pytest

from funcrec.lang.types import Field, GoType, Kind, TypeTable
from funcrec.target.abi import Leaf, Register, _Assignment, has_dictionary, leaves

TYPES = TypeTable(
    [
        GoType(Kind.INT, "int", 8, 8),
        GoType(Kind.UINT, "uint8", 1, 1),
        GoType(Kind.FLOAT, "float64", 8, 8),
        GoType(Kind.STRING, "string", 16, 8),
        GoType(Kind.SLICE, "[]int", 24, 8, elem=0),
        GoType(Kind.STRUCT, "padded", 24, 8, fields=(Field("a", 0, 1), Field("b", 8, 0), Field("c", 16, 1))),
        GoType(Kind.ARRAY, "[2]int", 16, 8, elem=0, count=2),
        GoType(Kind.ARRAY, "[1]string", 16, 8, elem=3, count=1),
        GoType(Kind.STRUCT, "empty", 0, 1),
        GoType(Kind.STRUCT, "mixed", 16, 8, fields=(Field("f", 0, 2), Field("n", 8, 0))),
        GoType(Kind.COMPLEX, "complex64", 8, 4),
        GoType(Kind.STRUCT, "holder", 16, 8, fields=(Field("x", 0, 6),)),
    ]
)
INT, BYTE, FLOAT, STRING, SLICE, PADDED, PAIR, ONE, EMPTY, MIXED, COMPLEX, HOLDER = range(12)


def places(*numbers: int, registers: bool = True) -> list[str]:
    assignment = _Assignment(TYPES, 0, registers)
    return [" ".join(map(str, assignment.take(number))) for number in numbers]


def test_leaves_skip_padding_and_give_up_on_arrays() -> None:
    assert leaves(TYPES, PADDED) == [Leaf(0, 1, False), Leaf(8, 8, False), Leaf(16, 1, False)]
    assert leaves(TYPES, ONE) == [Leaf(0, 8, False), Leaf(8, 8, False)]
    assert leaves(TYPES, COMPLEX) == [Leaf(0, 4, True), Leaf(4, 4, True)]
    assert leaves(TYPES, PAIR) is None
    assert leaves(TYPES, HOLDER) is None
    assert leaves(TYPES, EMPTY) == []


def test_registers_in_order_and_floats_in_their_own() -> None:
    assert places(INT, FLOAT, STRING, MIXED) == ["%ax", "%xmm0", "%bx %cx", "%xmm1 %di"]
    assert places(PADDED, SLICE) == ["%ax %bx %cx", "%di %si %r8"]


def test_a_value_that_does_not_fit_goes_to_the_stack_whole_and_later_ones_may_still_fit() -> None:
    assert places(*[INT] * 8, STRING, INT, INT) == [
        *("%ax", "%bx", "%cx", "%di", "%si", "%r8", "%r9", "%r10"),
        *("+8(%sp)", "%r11", "+24(%sp)"),
    ]
    assert places(BYTE, PAIR, INT) == ["%ax", "+8(%sp)", "%bx"]


def test_no_size_takes_no_register() -> None:
    assert places(EMPTY, INT) == ["", "%ax"]


def test_assembly_takes_everything_on_the_stack() -> None:
    assert places(BYTE, INT, STRING, registers=False) == ["+8(%sp)", "+16(%sp)", "+24(%sp)"]


def test_registers_are_numbered_in_abi_order() -> None:
    names = ["AX", "BX", "CX", "DI", "SI", "R8", "R9", "R10", "R11"]
    assert [Register(number).name for number in range(9)] == names


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("main.F[go.shape.int]", True),
        ("main.(*G[go.shape.string]).Get", True),
        ("main.G[go.shape.int].Get", True),
        ("main.F[go.shape.struct { A []int }]", True),
        ("main.F[go.shape.int].func1", False),
        ("main.F[go.shape.int].func1.2", False),
        ("main.F[go.shape.int].gowrap1", False),
        ("main.F[go.shape.int].deferwrap1", False),
        ("main.F[go.shape.int]-range1", False),
        ("main.F[int]", False),
        ("main.f", False),
        ("type:.eq.main.G[go.shape.int]", False),
    ],
)
def test_which_code_takes_a_dictionary(symbol: str, expected: bool) -> None:
    assert has_dictionary(symbol) is expected

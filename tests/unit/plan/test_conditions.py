"""Conditions of --if in the kernel's terms, and the C that they become."""

import numpy as np
import pytest

from funcrec.errors import UsageError
from funcrec.lang.expr import parse
from funcrec.plan.conditionloads import MAX_HOPS, Kind, Load, LoadFlag, Start, load_raw
from funcrec.plan.conditions import ConditionPlans, SiteCondition
from funcrec.plan.conditiontree import Comparison, FunctionIs, Join, Not, Slot, TextEnds, TextHas, lower
from funcrec.plan.fetch import RawFetch, parse_list
from funcrec.record.conditioncode import condition_code
from funcrec.record.conditionmaps import LOAD, SITE, condition_maps
from funcrec.target.abi import AMD64_ABI


def leaves(text: str) -> list[object]:
    return list(lower(parse(text)).leaves)


def test_parts_and_how_they_join() -> None:
    lowered = lower(parse('id == 42 and not (err != nil or func =~ "main.*")'))
    assert lowered.slots == [("id", Kind.NUMBER), ("err", Kind.NIL)]
    assert lowered.formula == Join("and", 0, Not(Join("or", 1, 2)))
    assert lowered.leaves == [
        Comparison("==", Slot(0), 42),
        Comparison("!=", Slot(1), 0),
        FunctionIs("=~", "main.*"),
    ]


def test_texts() -> None:
    assert leaves('s =~ "a*b"') == [TextEnds(Slot(0), b"a", b"b", whole=False)]
    assert leaves('s =~ "*"') == [TextEnds(Slot(0), b"", b"", whole=False)]
    assert leaves('s =~ "ab"') == leaves('s == "ab"') == [TextEnds(Slot(0), b"ab", b"", whole=True)]
    assert leaves('s =~ "*ab*"') == [TextHas(Slot(0), b"ab")]


def test_one_name_as_several_kinds_is_several_values() -> None:
    assert lower(parse("p == nil or p > 3 or p > 4")).slots == [("p", Kind.NIL), ("p", Kind.NUMBER)]


def test_negative_literals_reach_down_to_the_smallest() -> None:
    assert leaves("d == -9223372036854775808") == [Comparison("==", Slot(0), -(1 << 63))]


@pytest.mark.parametrize(
    "text",
    [
        *("dur > 1ms", "self > 1", "depth == 0", "state == 'returned'", "caller =~ '*'", "x > 1.5", "x =~ 'a?'"),
        *("x < 'a'", "x =~ 'a*b*c'", "x =~ '*a*b'", "x", "x + 1", "func < 'a'", "func == 3", "len(x + 1) == 2"),
        *("x == 'a' + 'b'", "x =~ '*" + "a" * 33 + "*'", "x == '" + "a" * 257 + "'"),
        " or ".join(f"x{n} == 1" for n in range(17)),
        " or ".join("x == 1" for _ in range(33)),
    ],
)
def test_what_the_kernel_cannot_do(text: str) -> None:
    if text == "x":  # whether it is true or false depends on its type
        assert lower(parse(text)).slots == [("x", Kind.BOOL)]
        return
    with pytest.raises(UsageError):
        lower(parse(text))


def test_code_names_no_text_of_the_user() -> None:
    code = condition_code(lower(parse('s == "*/ #include" and n // 3 % 2 == -1 and goid > 7 and s =~ "*mid*"')))
    assert "include" not in code
    assert "mid" not in code
    assert code.count("{") == code.count("}")


def test_raw_rules() -> None:
    rules = {
        fetch.name: fetch for fetch in parse_list("a=+16(+8(%ax)):s32, b=%bx:u8, c=\\7:u8, d=+0(%cx):c64, e=%ax:f64")
    }

    def rule(name: str) -> RawFetch:
        fetch = rules[name]
        assert isinstance(fetch, RawFetch)
        return fetch

    flags = LoadFlag.SIGNED | LoadFlag.MEMORY
    assert load_raw(rule("a"), Kind.NUMBER, AMD64_ABI) == Load(
        Start.REGISTER, hops=((8, -1),), last=16, size=4, flags=flags
    )
    assert load_raw(rule("b"), Kind.NUMBER, AMD64_ABI) == Load(Start.REGISTER, register=1, size=1)
    assert load_raw(rule("c"), Kind.NUMBER, AMD64_ABI) == Load(Start.NUMBER, 7)
    assert load_raw(rule("d"), Kind.TEXT, AMD64_ABI).flags == LoadFlag.ENDED | LoadFlag.MEMORY


def test_rows_have_the_sizes_of_the_c_structs() -> None:
    assert SITE.itemsize == 24
    assert LOAD.itemsize == 24 + 8 * MAX_HOPS
    plans = ConditionPlans({2: SiteCondition(0, 5, True)}, [Load(Start.STACK, -8, hops=((1, -1), (2, 3)))])
    sites, loads = condition_maps(plans, ())
    assert sites["used"].tolist() == [0, 0, 1]
    assert (loads["number"][0], loads["hops"][0]) == (-8, 2)
    assert np.array_equal(loads["hop"][0]["index"][:2], [-1, 3])

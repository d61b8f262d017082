"""The C structs of bpf/ and the numpy rows of rings.py are one layout, told twice."""

import re

import numpy as np
import pytest

from funcrec.plan.sites import Edge, ProbeSite, Role
from funcrec.record.attach import cookie
from funcrec.record.rings import EVENT_ROW, FACT_ROW, NO_CALLER, RING_STATE, STACK_MASK, VALUES_FLAG
from funcrec.resources import data_path

SIZES = {"u64": 8, "u32": 4, "s32": 4}


def source(name: str) -> str:
    return (data_path("bpf") / name).read_text()


def c_struct(text: str, name: str) -> list[tuple[str, int, int]]:
    """(field, offset, bytes) by the x86-64 rules for naturally aligned members."""
    body = re.search(rf"struct {name} \{{(.*?)\n\}};", text, re.DOTALL)
    assert body is not None, name
    fields, offset = [], 0
    for kind, field, count in re.findall(r"^\t(u64|u32|s32) (\w+)(?:\[(\d+)\])?;", body.group(1), re.MULTILINE):
        size = SIZES[kind]
        offset = -(-offset // size) * size
        length = size * int(count or 1)
        fields.append((field, offset, length))
        offset += length
    return fields


@pytest.mark.parametrize(
    ("file", "struct", "row", "header"),
    [
        ("events.h", "event", EVENT_ROW, 8),
        ("calls.c", "goroutine_fact", FACT_ROW, 8),
        ("events.h", "ring_state", RING_STATE, 0),
    ],
)
def test_rows_mirror_c(file: str, struct: str, row: "np.dtype[np.void]", header: int) -> None:
    names = [name for name in row.names or () if name not in ("turn", "length", "page_offset")]
    mine = [(name, row.fields[name][1] - header, row[name].itemsize) for name in names]  # type: ignore[index]
    assert mine == c_struct(source(file), struct)
    assert row.itemsize % 8 == 0


def test_event_flags_match() -> None:
    text = source("events.h")
    assert f"#define EVENT_STACK_MASK {STACK_MASK}u" in text
    assert f"#define EVENT_VALUES {VALUES_FLAG}u" in text
    assert NO_CALLER == -2147483647 - 1


def unpack(name: str, value: int) -> int:
    """Evaluate a COOKIE_* macro of calls.c."""
    macro = re.search(rf"#define COOKIE_{name}\(c\) (.*)", source("calls.c"))
    assert macro is not None
    expression = macro.group(1).replace("(u32)", "")
    return int(eval(expression, {"c": value})) & 0xFFFFFFFF


def test_cookie_is_what_c_unpacks() -> None:
    site = ProbeSite(0, 0, 0, Role.EXIT, edge=Edge.TAKEN, condition=13, sp_delta=8 * 0xABCDE)
    packed = cookie(0xABCDEF, site, root=True, values=True)
    assert packed < 2**64
    assert unpack("SITE", packed) == 0xABCDEF
    assert unpack("ROLE", packed) == Role.EXIT
    assert unpack("ROOT", packed) == 1
    assert unpack("VALUES", packed) == 1
    assert unpack("CONDITION", packed) == 13
    assert unpack("EDGE", packed) == Edge.TAKEN
    assert unpack("SP_WORDS", packed) == 0xABCDE


@pytest.mark.parametrize("role", list(Role))
def test_roles_are_the_same_numbers(role: Role) -> None:
    assert f"#define ROLE_{role.name} {int(role)}\n" in source("events.h")

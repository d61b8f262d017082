"""Decoding of captures made by hand, byte by byte as formats/trace.md says."""

import struct
from typing import Any

import pytest

from funcrec.errors import TraceError
from funcrec.trace.forms import float_form, text_form, time_form
from funcrec.trace.values import Decoder

INT, STRING, POINTER, NODE, ERROR, TEXT_ERROR, TEXT_POINTER, SLICE, MAP, FUNC = range(10)
TYPES: list[dict[str, Any]] = [
    {"kind": "int", "name": "int", "size": 8, "align": 8},
    {"kind": "string", "name": "string", "size": 16, "align": 8},
    {"kind": "pointer", "name": "*main.Node", "size": 8, "align": 8, "elem": 3},
    {
        "kind": "struct",
        "name": "main.Node",
        "size": 16,
        "align": 8,
        "fields": [["Value", 0, 0, False], ["Next", 8, 2, False]],
    },
    {"kind": "iface", "name": "error", "size": 16, "align": 8},
    {"kind": "struct", "name": "errors.errorString", "size": 16, "align": 8, "fields": [["s", 0, 1, False]]},
    {"kind": "pointer", "name": "*errors.errorString", "size": 8, "align": 8, "elem": 5, "runtime": 0x500000},
    {"kind": "slice", "name": "[]int", "size": 24, "align": 8, "elem": 0},
    {"kind": "map", "name": "map[string]int", "size": 8, "align": 8, "key": 1, "elem": 0},
    {"kind": "func", "name": "func()", "size": 8, "align": 8},
]


def plan(*values: dict[str, Any], registers: int, stack: int = 0, **changes: Any) -> dict[str, Any]:
    area = 8 + 8 * registers + stack
    return {"sites": [0], "area": area, "stack": 8 + 8 * registers, "values": list(values)} | changes


def value(name: str, type_: int, words: int, slot: int = 8, **changes: Any) -> dict[str, Any]:
    pieces = [[8 * i, 8, slot + 8 * i] for i in range(words)]
    return {"name": name, "result": False, "type": type_, "pieces": pieces} | changes


def blob(*words: int, segments: dict[int, bytes | None] | None = None, head: int = 0) -> bytes:
    out = struct.pack(f"<{len(words) + 1}Q", head, *words)
    for address, data in (segments or {}).items():
        out += struct.pack("<QII", address, len(data or b""), data is None)
        out += (data or b"") + bytes(-len(data or b"") % 8)
    return out


def decode(row: dict[str, Any], data: bytes) -> Any:
    arguments, results = Decoder(TYPES, [row]).decode(0, data)
    (shown,) = [*arguments.values(), *results.values()]
    return shown


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def test_functions_by_name() -> None:
    row = plan(value("f", FUNC, 1), registers=1)
    decoder = Decoder(TYPES, [row], {0x401000: "main.run"})
    bias = 0x7000
    for data, shown in (
        (blob(0), None),
        (blob(0x900000, segments={0x900000: words(0x401000)}), {"$ptr": "0x900000", "$func": "main.run"}),
        (blob(0x900000, segments={0x900000: words(0x408000)}, head=bias), {"$ptr": "0x900000", "$func": "main.run"}),
        (blob(0x900000, segments={0x900000: words(0x401001)}), {"$ptr": "0x900000"}),
        (blob(0x900000, segments={0x900000: None}), {"$ptr": "0x900000"}),
        (blob(0x900000), {"$ptr": "0x900000"}),
    ):
        assert decoder.decode(0, data)[0] == {"f": shown}


def test_text_by_its_own_length() -> None:
    row = plan(value("s", STRING, 2), registers=2)
    assert decode(row, blob(0x1000, 5, segments={0x1000: b"hello"})) == "hello"
    assert decode(row, blob(0, 0)) == ""
    assert decode(row, blob(0x1000, 300, segments={0x1000: b"h" * 256})) == {"$truncated": 300, "value": "h" * 256}
    assert decode(row, blob(0x1000, 2, segments={0x1000: b"\xff\x00"})) == {"$hex": "ff00"}
    assert decode(row, blob(0x1000, 5, segments={0x1000: None})) == {"$error": "unreadable"}
    assert decode(row, blob(0x1000, 1 << 63)) == {"$error": "bad length"}
    assert decode(row, blob(0x1000, 5)) == {"$truncated": 5, "value": ""}
    assert decode(row, blob(0x1000)) == {"$error": "not captured"}


def test_a_character_that_the_cap_halves_is_left_out() -> None:
    assert text_form("aé".encode()[:2], 3) == {"$truncated": 3, "value": "a"}
    assert text_form(b"a\xff", 3) == {"$truncated": 3, "value": {"$hex": "61ff"}}


def test_pointers_end_at_the_depth_of_the_plan() -> None:
    row = plan(value("n", POINTER, 1), registers=1)
    ring = blob(0x1000, segments={0x1000: words(1, 0x1000)})
    inner = {"Value": 1, "Next": {"$ptr": "0x1000"}}
    assert decode(row, ring) == {"Value": 1, "Next": {"Value": 1, "Next": inner}}
    assert decode(row, blob(0)) is None
    assert decode(row, blob(0x1000)) == {"$ptr": "0x1000"}
    assert decode(row, blob(0x1000, segments={0x1000: None})) == {"$error": "unreadable"}
    cut = decode(row, blob(0x1000, segments={0x1000: words(7)}))
    assert cut == {"Value": 7, "Next": {"$error": "not captured"}}


def test_interfaces_have_their_dynamic_type_whatever_the_load_bias() -> None:
    row = plan(value("err", ERROR, 2), registers=2)
    bias = 0x7000_0000_0000
    memory = {0x2008: words(0x500000 + bias), 0x3000: words(0x4000, 4), 0x4000: b"boom"}
    shown = decode(row, blob(0x2000, 0x3000, segments=memory, head=bias))
    assert shown == {"$type": "*errors.errorString", "value": "boom"}
    assert decode(row, blob(0, 0)) is None
    unknown = decode(row, blob(0x2000, 0x3000, segments={0x2008: words(0x123)}))
    assert unknown == {"$type": "0x123", "value": {"$ptr": "0x3000"}}


def test_slices_and_maps() -> None:
    row = plan(value("s", SLICE, 3), registers=3, elements=2)
    assert decode(row, blob(0x1000, 2, 2, segments={0x1000: words(1, 2)})) == [1, 2]
    assert decode(row, blob(0x1000, 3, 3, segments={0x1000: words(1, 2)})) == {"$truncated": 3, "value": [1, 2]}
    assert decode(row, blob(0, 0, 0)) is None
    assert decode(row, blob(0x1000, 0, 0)) == []
    assert decode(row, blob(0x1000, 1 << 60, 0, segments={0x1000: None})) == {"$error": "unreadable"}
    lengths = plan(value("m", MAP, 1, steps=[["l", -1, 0, 0]]), registers=1)
    assert decode(lengths, blob(0x1000, segments={0x1000: words(3)})) == 3
    assert decode(plan(value("m", MAP, 1), registers=1), blob(0x1000, segments={0x1000: words(3)})) == {"$len": 3}


def test_what_no_probe_can_read_says_so() -> None:
    pieces = [[0, 8, -1]]
    assert decode(plan(value("f", INT, 1, pieces=pieces), registers=1), blob(0)) == {"$error": "float register"}
    on_stack = plan(value("x", INT, 1, slot=8), registers=0, stack=8)
    assert decode(on_stack, blob(5)) == 5
    assert decode(on_stack, blob(5, head=2)) == {"$error": "unreadable"}


@pytest.mark.parametrize(
    ("raw", "word", "shown"),
    [
        ("u8", 0x1FF, 255),
        ("s8", 0xFF, -1),
        ("x16", 0x12345, "0x2345"),
        ("bool", 0x100, False),
        ("f32", 0x3F800000, 1.0),
        ("c64", int.from_bytes(b"ab\0cdefg", "little"), "ab"),
        ("u8[2]", 0x0201, [1, 2]),
    ],
)
def test_raw_registers(raw: str, word: int, shown: Any) -> None:
    rule = {"name": "r", "result": False, "raw": raw, "slot": 8, "number": 0, "constant": False, "offsets": []}
    assert decode(plan(rule, registers=1), blob(word)) == shown


def test_raw_memory() -> None:
    rule = {"name": "r", "result": True, "raw": "c512", "slot": 8, "number": 0, "constant": False, "offsets": [8, 0]}
    memory: dict[int, bytes | None] = {0x1008: words(0x2000), 0x2000: b"text\0".ljust(64, b"x")}
    assert decode(plan(rule, registers=1), blob(0x1000, segments=memory)) == "text"
    absolute = rule | {"raw": "u32", "slot": -1, "number": 0x5000, "offsets": [0]}
    assert decode(plan(absolute, registers=0), blob(head=0x1000, segments={0x6000: words(7)})) == 7


def test_numbers_and_times() -> None:
    assert float_form(struct.pack("<f", 0.1)) == 0.1
    assert [float_form(struct.pack("<d", x)) for x in (float("nan"), float("inf"), -float("inf"))] == [
        "NaN",
        "+Inf",
        "-Inf",
    ]
    assert time_form(0, 0) == "0001-01-01T00:00:00Z"
    assert time_form(5, 63_835_596_800) == "2023-11-14T22:13:20.000000005Z"
    assert time_form(1 << 63 | (1_700_000_000 + 2_682_288_000) << 30, 1) == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    "rows",
    [
        [{"kind": "array", "size": 8, "elem": 0, "count": 1}],
        [{"kind": "struct", "size": 8, "fields": [["x", 0, 7, False]]}],
        [{"kind": "int", "size": 3}],
        [{"kind": "nothing"}],
        [{"kind": "slice", "size": 24}],
        [5],
    ],
)
def test_malformed_types_are_trace_errors(rows: list[Any]) -> None:
    with pytest.raises(TraceError):
        Decoder(rows, [])


@pytest.mark.parametrize(
    "change",
    [
        {"area": 4},
        {"sites": [-1]},
        {"values": 3},
        {"values": [{"name": "x", "type": 99, "pieces": []}]},
        {"values": [{"name": "x", "type": 0, "pieces": [[0, 8, 1 << 30]]}]},
        {"values": [{"name": "x", "type": 0, "pieces": [], "steps": [["z", 0, 0, 0]]}]},
        {"values": [{"name": "x", "raw": "u7", "slot": 8, "number": 0, "offsets": []}]},
        {"depth": 1000},
    ],
)
def test_malformed_plans_are_trace_errors(change: dict[str, Any]) -> None:
    with pytest.raises(TraceError):
        Decoder(TYPES, [plan(registers=1) | change])

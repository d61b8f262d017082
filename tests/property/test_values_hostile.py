"""Whatever the bytes, decoding gives JSON in bounded time, and columns never know more than single values do."""

import json
import struct
from contextlib import suppress
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.errors import TraceError
from funcrec.report.capturememory import Captures
from funcrec.report.capturevectors import Batch, VectorDecoder
from funcrec.report.columns import Kind
from funcrec.report.valuecells import compact
from funcrec.report.valuejson import JsonRenderer
from funcrec.trace.values import Decoder

ADDRESSES = (0, 1, 8, 0x1000, 0x1008, 0x1010, 0x2000, 1 << 63, (1 << 64) - 8)
SIZES = {"string": 16, "slice": 24, "iface": 16, "eface": 16}
words = st.one_of(st.sampled_from(ADDRESSES), st.integers(0, 40), st.integers(0, (1 << 64) - 1))


@st.composite
def type_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(1, 8))
    rows: list[dict[str, Any]] = []
    for number in range(count):
        any_type = st.integers(0, count - 1)
        kind = draw(
            st.sampled_from(["int", "uint", "float", "bool", *SIZES, "pointer", "map", "func", "struct", "array"])
        )
        row: dict[str, Any] = {"kind": kind, "name": f"T{number}", "size": SIZES.get(kind, 8), "align": 8}
        row["runtime"] = draw(st.sampled_from(ADDRESSES[:6]))
        if kind == "bool":
            row["size"] = 1
        if kind in ("slice", "pointer", "map"):
            row["elem"] = draw(any_type)
        # Parts inside a value come before it in the table: no type lies inside itself.
        if kind in ("struct", "array") and number == 0:
            row["kind"] = "int"
        elif kind == "struct":
            inner = draw(st.lists(st.integers(0, number - 1), max_size=3))
            row["size"] = 8 * len(inner)
            row["fields"] = [[f"f{i}", 8 * i, part, False] for i, part in enumerate(inner)]
        elif kind == "array":
            row |= {"elem": draw(st.integers(0, number - 1)), "count": draw(st.integers(0, 1 << 40)), "size": 1 << 30}
        rows.append(row)
    return rows


@st.composite
def tame_blobs(draw: st.DrawFn) -> bytes:
    """Pieces that could be read, at addresses that are pointed to."""
    word = st.sampled_from([*ADDRESSES, 0, 1, 3, 0x1000, 0x1008, 0x2000])
    data = struct.pack("<4Q", draw(st.sampled_from([0, 0, 0x1000])), *draw(st.lists(word, min_size=3, max_size=3)))
    for address in draw(st.lists(st.sampled_from(ADDRESSES[3:7]), max_size=5)):
        content = struct.pack("<6Q", *draw(st.lists(word, min_size=6, max_size=6)))[: draw(st.sampled_from([48, 5]))]
        data += struct.pack("<QII", address, len(content), draw(st.sampled_from([0] * 20 + [1])))
        data += content + bytes(-len(content) % 8)
    return data


@st.composite
def blobs(draw: st.DrawFn) -> bytes:
    data = struct.pack("<4Q", draw(st.sampled_from([0, 1, 2, 0x1000])), *draw(st.lists(words, min_size=3, max_size=3)))
    for _ in range(draw(st.integers(0, 6))):
        content = b"".join(struct.pack("<Q", word) for word in draw(st.lists(words, max_size=6)))
        length = draw(st.sampled_from([len(content), len(content) + 3, 1 << 31, 0]))
        data += struct.pack("<QII", draw(words), length, draw(st.integers(0, 2))) + content
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


@settings(max_examples=300, deadline=None)
@given(type_rows(), blobs(), st.data())
def test_any_bytes_give_json(rows: list[dict[str, Any]], blob: bytes, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(rows) - 1))
    pieces = [[8 * i, 8, 8 + 8 * i] for i in range(3)]
    value = {"name": "v", "result": False, "type": number, "pieces": pieces}
    plan = {"sites": [0], "area": 32, "stack": 32, "values": [value]}
    try:
        decoder = Decoder(rows, [plan])
    except TraceError:
        return
    shown = decoder.decode(0, blob)[0]["v"]
    assert len(json.dumps(shown)) < 4_000_000

    padded = blob + bytes(-len(blob) % 8)
    batch = Batch(
        np.frombuffer(padded + bytes(16), dtype=np.uint64), np.zeros(1, dtype=np.int64), np.array([len(padded)])
    )
    vectors = VectorDecoder(decoder, decoder.plans[0], batch)
    single = decoder.decode(0, padded)[0]["v"]
    for found in vectors.evaluate(decoder.plans[0].values[0]):
        if len(found.at) and rows[number]["kind"] in ("int", "uint") and found.kind is Kind.NUMBER:
            assert int(found.values[0]) == single


@settings(max_examples=500, deadline=None)
@given(type_rows(), st.lists(tame_blobs() | blobs(), min_size=1, max_size=6), st.data())
def test_many_at_once_are_rendered_as_each_alone(
    rows: list[dict[str, Any]], captured: list[bytes], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(rows) - 1))
    pieces = [[8 * i, 8, data.draw(st.sampled_from([8 + 8 * i] * 4 + [-1]))] for i in range(3)]
    value = {"name": 'v"%s', "result": data.draw(st.booleans()), "type": number, "pieces": pieces}
    caps = {"elements": data.draw(st.integers(0, 5)), "depth": data.draw(st.integers(0, 5))}
    plan = {"sites": [0], "area": 32, "stack": data.draw(st.sampled_from([16, 32])), "values": [value], **caps}
    try:
        decoder = Decoder(rows, [plan], {0x1000: "main.f"})
    except TraceError:
        return
    padded = [blob + bytes(-len(blob) % 8) for blob in captured]
    whole = b"".join(padded)
    length = np.array([len(blob) for blob in captured])
    start = np.cumsum([0, *map(len, padded[:-1])])
    batch = Captures(decoder.plans[0], np.frombuffer(whole + bytes(16), dtype=np.uint64), start, length)
    texts = JsonRenderer(decoder).render(batch, result=value["result"]).texts(len(batch))
    assert texts == [compact(decoder.decode(0, blob)[value["result"]]) for blob in captured]


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["kind", "size", "fields", "elem", "values", "sites", "area"]), inner)
        ),
    )
)
def test_any_tables_give_a_decoder_or_a_trace_error(row: Any) -> None:
    for types, plans in (([row], []), ([], [row]), ([row], [row])):
        with suppress(TraceError):
            Decoder(types, plans)

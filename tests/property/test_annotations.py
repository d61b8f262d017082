"""Perfetto's annotations of many values, from templates and columns, are those of each value alone."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from funcrec.report.export import wire
from funcrec.report.export.annotations import bodies
from funcrec.report.export.cellannotations import value_texts
from funcrec.report.valuecells import Cells, compact, fixed, listed
from funcrec.report.valuecolumns import Numbers, Texts

texts = st.text(max_size=6) | st.sampled_from(["%", "%s", "00000001", '"', "$ptr"])
finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | finite | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


@st.composite
def shaped(draw: st.DrawFn, depth: int = 2) -> tuple[Cells, list[Any]]:
    """Three values as cells, and the values."""
    kind = draw(st.sampled_from(["fixed", "column", "integers", "object", "list"] if depth else ["column"]))
    if kind == "fixed":
        value = draw(values)
        return fixed(value), [value] * 3
    if kind == "integers":
        kind, low, high = draw(st.sampled_from([(np.int64, -(1 << 63), (1 << 63) - 1), (np.uint64, 0, (1 << 64) - 1)]))
        column = draw(st.lists(st.integers(low, high), min_size=3, max_size=3))
        return Cells("%s", (Numbers(np.array(column, kind)),)), column
    if kind == "column":
        column = draw(st.lists(values, min_size=3, max_size=3))
        return Cells("%s", (Texts([compact(value) for value in column]),)), column
    names = draw(st.lists(texts, max_size=3, unique=True))
    parts = [draw(shaped(depth - 1)) for _ in names]
    inner = [part[0] for part in parts]
    columns = [part[1] for part in parts]
    if kind == "list":
        return listed(inner), [[column[row] for column in columns] for row in range(3)]
    return listed(inner, names), [{n: c[row] for n, c in zip(names, columns, strict=True)} for row in range(3)]


@given(shaped())
def test_cells_are_annotated_as_their_values(made: tuple[Cells, list[Any]]) -> None:
    cells, expected = made
    assert cells.texts(3) == [compact(value) for value in expected]
    alone = [wire.field(4, b"\x08\x01" + body) if body else b"" for body in bodies(expected)]
    assert value_texts(4, b"\x08\x01", cells, 3) == alone
    assert bodies(expected) == [bodies([value])[0] for value in expected]

"""Perfetto's annotations of many values, from templates and columns, are those of each value alone."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from funcrec.report.export.annotations import bodies, cell_bodies
from funcrec.report.valuecells import Cells, compact, fixed, listed

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
        column = draw(st.lists(st.integers(-(1 << 63), (1 << 64) - 1), min_size=3, max_size=3))
        return Cells("%s", (column,)), column
    if kind == "column":
        column = draw(st.lists(values, min_size=3, max_size=3))
        return Cells("%s", ([compact(value) for value in column],)), column
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
    assert cell_bodies(cells, 3) == bodies(expected)
    assert bodies(expected) == [bodies([value])[0] for value in expected]

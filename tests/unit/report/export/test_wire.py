import numpy as np
import pytest

from funcrec.report.export import wire


@pytest.mark.parametrize(
    ("value", "data"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\1"), (300, b"\xac\2"), (-1, b"\xff" * 9 + b"\1")]
)
def test_varint(value, data):
    assert wire.varint(value) == data


def test_scalar_fields():
    assert wire.field(1, 150) == b"\x08\x96\x01"
    assert wire.field(2, "testing") == b"\x12\x07testing"
    assert wire.fixed64(1, 1) == b"\x09\1\0\0\0\0\0\0\0"
    assert wire.packed(4, [3, 270]) == b"\x22\x03\x03\x8e\x02"
    assert wire.double(5, 1.5)[1:] == np.float64(1.5).tobytes()

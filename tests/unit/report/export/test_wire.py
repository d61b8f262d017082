import numpy as np
import pytest

from funcrec.report.export import wire


@pytest.mark.parametrize(
    ("value", "data"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\1"), (300, b"\xac\2"), (-1, b"\xff" * 9 + b"\1")]
)
def test_varint(value, data):
    assert wire.varint(value) == data


def test_a_column_of_varints_is_the_varints_one_by_one():
    values = np.array([0, 1, 127, 128, 16383, 16384, (1 << 63) - 1, -1], np.int64)
    expected = b"".join(wire.varint(int(value)) for value in values)
    column = wire.varints(values)
    assert column.bytes().tobytes() == expected
    assert column.lengths().tolist() == [1, 1, 1, 2, 2, 3, 9, 10]


def test_messages_have_the_length_of_what_follows():
    body = wire.varint_fields(3, np.array([1, 300]), np.array([True, False]))
    tails = [b"xy", b""]
    data = wire.with_tails(wire.messages(1, body, np.array([2, 0])), tails)
    assert data == wire.field(1, wire.field(3, 1) + b"xy") + wire.field(1, b"")


def test_rows_without_tails():
    assert wire.with_tails(wire.constant(b"ab", 3), [b""] * 3) == b"ababab"


def test_scalar_fields():
    assert wire.field(1, 150) == b"\x08\x96\x01"
    assert wire.field(2, "testing") == b"\x12\x07testing"
    assert wire.fixed64(1, 1) == b"\x09\1\0\0\0\0\0\0\0"
    assert wire.packed(4, [3, 270]) == b"\x22\x03\x03\x8e\x02"
    assert wire.double(5, 1.5)[1:] == np.float64(1.5).tobytes()

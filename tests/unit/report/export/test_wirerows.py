"""Rows of messages against the same messages made one by one."""

import numpy as np

from funcrec.report.export import wire
from funcrec.report.export.wirerows import (
    Constant,
    Joined,
    Message,
    Optional,
    OrNothing,
    Placed,
    Several,
    Varints,
    Words,
    varint_field,
)

LONG = 9000  # rows: more than one matrix has


def test_varints_are_those_of_each_number():
    values = np.array([0, 1, 127, 128, 16383, 16384, (1 << 63) - 1, -1], np.int64)
    assert Varints(values).rows(len(values)) == [wire.varint(value) for value in values.tolist()]
    small = np.arange(LONG, dtype=np.uint32)
    assert b"".join(Varints(small).written(LONG)) == b"".join(map(wire.varint, range(LONG)))


def test_messages_have_the_length_of_what_follows():
    body = Optional(np.array([True, False]), varint_field(3, np.array([1, 300])))
    inner = Message(2, body, np.array([2, 200]))
    whole = Message(1, Joined(Constant(b"!"), inner), np.array([2, 200])).rows(2)
    tails = [b"xy", b"z" * 200]
    expected = [wire.field(2, wire.field(3, 1) + tails[0]), wire.field(2, tails[1])]
    assert [row + tail for row, tail in zip(whole, tails, strict=True)] == [
        wire.field(1, b"!" + each) for each in expected
    ]


def test_rows_have_parts_of_their_own():
    every_third, others = np.arange(0, LONG, 3), np.arange(1, LONG, 3)
    numbers, words = np.arange(len(every_third)) * 77, [b"", b"a", b"longer"]
    part = Several(
        [
            Placed(every_third, Message(1, Varints(numbers))),
            Placed(others, Words(words, np.arange(len(others)) % 3)),
        ]
    )
    expected = [b""] * LONG
    for at, number in zip(every_third.tolist(), numbers.tolist(), strict=True):
        expected[at] = wire.field(1, wire.varint(number))
    for position, at in enumerate(others.tolist()):
        expected[at] = words[position % 3]
    assert part.rows(LONG) == expected
    head = Several([Placed(np.arange(2, 50), Words([bytes([65 + at]) * at for at in range(48)]))])
    assert head.rows(60)[2:50] == [bytes([65 + at]) * at for at in range(48)]


def test_what_has_the_least_is_nothing():
    part = OrNothing(Message(4, Joined(Constant(b"name"), Words([b"", b"value"]))), len(wire.field(4, b"name")))
    assert part.rows(2) == [b"", wire.field(4, b"namevalue")]


def test_few_long_rows_among_many_short_ones_are_sparse():
    short = Placed(np.arange(1, 1000), Words([b"x"] * 999))
    assert not Several([short]).is_sparse()
    assert Several([Placed(np.arange(1), Words([b"y" * 5000])), short]).is_sparse()

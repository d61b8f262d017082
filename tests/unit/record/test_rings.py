"""Rings of events, on a file in place of the kernel's array."""

import os

import numpy as np
import pytest

from funcrec.record.rings import EVENT_ROW, RING_STATE, EventRing, Rows

SLOTS, RINGS = 64, 3


class Producer:
    """What the program does, in the second of three rings."""

    def __init__(self, descriptor: int) -> None:
        os.ftruncate(descriptor, RINGS * SLOTS * EVENT_ROW.itemsize)
        self.states = np.zeros(RINGS, dtype=RING_STATE)
        self.descriptor = descriptor

    def reserve(self, count: int) -> range:
        """Give out slots."""
        first = int(self.states["reserved"][1])
        self.states["reserved"][1] += np.uint64(count)
        return range(first, first + count)

    def publish(self, turns: range) -> None:
        """Write the events of slots that were given out."""
        for turn in turns:
            row = np.zeros(1, dtype=EVENT_ROW)
            row["turn"], row["time_ns"] = turn + 1, 1000 + turn
            os.pwrite(self.descriptor, row.tobytes(), (SLOTS + turn % SLOTS) * EVENT_ROW.itemsize)


def times(rows: Rows) -> list[int]:
    return [int(time) - 1000 for time in rows["time_ns"]]


@pytest.fixture
def producer() -> "Producer":
    return Producer(os.memfd_create("slots"))


@pytest.fixture
def ring(producer: Producer) -> EventRing:
    return EventRing(producer.descriptor, 1, SLOTS, producer.states)


def test_every_event_once_and_in_order(producer: Producer, ring: EventRing) -> None:
    """Rounds of all sizes, so that the end of the ring comes at each place of a round."""
    assert len(ring.drain()) == 0
    for count in [*range(SLOTS + 1), 7, SLOTS, 1]:
        turns = producer.reserve(count)
        producer.publish(turns)
        assert ring.fill == count
        assert times(ring.drain()) == list(turns)
        assert ring.fill == 0
    assert producer.states["consumed"].tolist() == [0, int(producer.states["reserved"][1]), 0]


@pytest.mark.parametrize("ahead", [0, 50])  # 50: what waits lies on both sides of the end
@pytest.mark.parametrize("unfinished", [0, 5, 13, 14, 29])
def test_nothing_behind_an_event_that_is_still_written(
    producer: Producer, ring: EventRing, ahead: int, unfinished: int
) -> None:
    for _ in range(2):  # of the second round there are older events in all slots
        producer.publish(producer.reserve(SLOTS))
        ring.drain()
    producer.publish(producer.reserve(ahead))
    ring.drain()
    turns = producer.reserve(30)
    producer.publish(turns[:unfinished])
    producer.publish(turns[unfinished + 1 :])
    assert times(ring.drain()) == list(turns[:unfinished])
    assert len(ring.drain()) == 0
    producer.publish(turns[unfinished : unfinished + 1])
    assert times(ring.drain()) == list(turns[unfinished:])

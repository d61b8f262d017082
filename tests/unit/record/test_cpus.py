"""One ring for each CPU, by its number."""

import numpy as np
import pytest

from funcrec.record.cpus import slots
from funcrec.record.losses import LossLedger
from funcrec.record.probes import event_slots, ring_bytes


@pytest.mark.parametrize(
    ("present", "expected"), [("0\n", 1), ("0-1\n", 2), ("0-63\n", 64), ("0-3,8-11\n", 12), ("0,2,5\n", 6)]
)
def test_a_gap_among_the_numbers_has_room(present: str, expected: int) -> None:
    assert slots(present) == expected


def test_here() -> None:
    assert slots() >= 1


@pytest.mark.parametrize("rings", [1, 2, 3, 64, 96, 512])
def test_rings_share_the_buffer(rings: int) -> None:
    size = ring_bytes(64 << 20, rings)
    assert size & size - 1 == 0
    assert (64 << 20) // 2 < size * rings <= 64 << 20
    assert ring_bytes(1, rings) == 4096
    slots = event_slots(size, rings)
    assert slots & slots - 1 == 0
    assert size // 2 < slots * 48 <= size
    assert event_slots(1 << 40, rings) * rings <= 1 << 31


def test_losses_of_64_rings_are_exact() -> None:
    """Made-up rings that lose at random and are drained in rounds: all is accounted for, each loss in its gap."""
    rng = np.random.default_rng(64)
    rings = 64
    subject = LossLedger(np.zeros(rings, dtype=np.uint64), start_ns=0, weights=np.array([2]))
    lost = np.zeros(rings, dtype=np.uint64)
    sequence = [0] * rings
    total, records = 0, []
    for number in range(50):
        fresh = []
        for ring in range(rings):
            kept = rng.random(rng.integers(0, 40)) < 0.7
            numbers = sequence[ring] + 1 + np.flatnonzero(kept)
            times = number * 1_000_000 + 1000 * np.flatnonzero(kept) + ring
            sequence[ring] += len(kept)
            lost[ring] += np.uint64((~kept).sum())
            total += int((~kept).sum())
            fresh.append((numbers.astype(np.uint32), times))
        subject.count(lost, np.array([lost.sum()], dtype=np.uint64))
        for ring, (numbers, times) in enumerate(fresh):
            found = subject.place(ring, numbers, times)
            for record in found:
                inside = (times > record.first_ns) & (times < record.last_ns)
                assert record.ring == ring
                assert not inside.any() or len(found) == 256  # nothing that was delivered lies in a gap
            records += found
    records += subject.finish(50_000_000)
    assert sum(record.count for record in records) == total == subject.total
    assert sum(record.lost for record in records) == 2 * total
    by_ring = np.bincount([record.ring for record in records], [record.count for record in records], minlength=rings)
    assert (by_ring == lost).all()

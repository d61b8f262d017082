import numpy as np

from funcrec.record.losses import LossLedger
from funcrec.trace.records import LostRecord


def ledger(*sequence: int) -> LossLedger:
    """Site 0 tells one event of a call, site 1 both of them, and site 2 is one of the runtime's."""
    return LossLedger(np.array(sequence, dtype=np.uint64), start_ns=100, weights=np.array([1, 2, 0]))


def lost(*counts: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return np.array(counts, dtype=np.uint64)


def sites(*counts: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return lost(*counts, *[0] * (3 - len(counts)))


def place(subject: LossLedger, ring: int, *events: tuple[int, int]) -> list[LostRecord]:
    numbers = np.array([number for number, _ in events], dtype=np.uint32)
    times = np.array([time for _, time in events], dtype=np.int64)
    return subject.place(ring, numbers, times)


def test_no_loss_no_record() -> None:
    subject = ledger(7)
    subject.count(lost(0), sites(0, 0))
    assert place(subject, 0, (8, 200), (9, 210)) == []
    assert subject.finish(300) == []


def test_gap_lies_between_its_neighbours() -> None:
    subject = ledger(0)
    subject.count(lost(3), sites(2, 1))
    records = place(subject, 0, (1, 200), (5, 260), (6, 270))
    assert records == [LostRecord(ring=0, first_ns=201, last_ns=259, count=3, by_site={0: 2, 1: 1}, events=4)]
    assert subject.finish(300) == []


def test_loss_at_the_end_waits_for_the_next_event() -> None:
    subject = ledger(0)
    assert place(subject, 0, (1, 200)) == []
    subject.count(lost(4), sites(4, 0))
    assert place(subject, 0) == []
    subject.count(lost(4), sites(4, 0))
    assert place(subject, 0, (6, 290)) == [LostRecord(0, 201, 289, 4, by_site={0: 4}, events=4)]


def test_loss_that_no_event_follows_lasts_until_the_end() -> None:
    subject = ledger(0, 0)
    assert place(subject, 1, (1, 150)) == []
    subject.count(lost(0, 2), sites(0, 2))
    assert subject.finish(999) == [LostRecord(1, 150, 999, 2, by_site={1: 2}, events=4)]


def test_repeated_and_swapped_numbers_are_no_loss() -> None:
    subject = ledger(0)
    subject.count(lost(1), sites(1))
    records = place(subject, 0, (2, 210), (1, 200), (2, 220), (3, 230), (5, 250))
    assert [(record.count, record.first_ns, record.last_ns) for record in records] == [(1, 231, 249)]


def test_sequence_wraps_around() -> None:
    subject = ledger(2**32 - 1)
    subject.count(lost(1), sites(1))
    assert place(subject, 0, (1, 200)) == [LostRecord(0, 101, 199, 1, by_site={0: 1}, events=1)]


def test_many_gaps_are_merged_but_counted() -> None:
    subject = ledger(0)
    numbers = [(2 * index, 200 + index) for index in range(1, 2001)]
    subject.count(lost(2000), sites(2000))
    records = place(subject, 0, *numbers)
    assert sum(record.count for record in records) == 2000
    assert len(records) <= 256


def test_more_counted_than_seen_in_gaps_is_given_out_at_the_end() -> None:
    subject = ledger(0)
    subject.count(lost(5), sites(5))
    assert [record.count for record in place(subject, 0, (1, 200), (4, 210))] == [2]
    assert [record.count for record in subject.finish(300)] == [3]
    assert subject.total == 5
    assert subject.by_site == {0: 5}


def test_entries_and_exits_are_shared_out_and_none_is_left() -> None:
    subject = ledger(0, 0)
    subject.count(lost(4, 3), sites(3, 2, 2))
    first = place(subject, 0, (1, 200), (4, 210))
    subject.count(lost(4, 3), sites(3, 3, 2))  # a site is counted before its ring
    second = place(subject, 1, (3, 220))
    subject.count(lost(4, 4), sites(3, 3, 2))
    records = [*first, *second, *subject.finish(300)]
    assert [(record.ring, record.count) for record in records] == [(0, 2), (1, 2), (0, 2), (1, 2)]
    assert sum(record.lost for record in records) == 3 + 2 * 3
    assert [record.lost for record in records] == [2, 2, 2, 3]


def test_a_loss_at_no_site_counts_as_one() -> None:
    subject = ledger(0)
    subject.count(lost(3), sites(0, 1))
    assert place(subject, 0, (4, 200)) == [LostRecord(0, 101, 199, 3, by_site={1: 1}, events=4)]


def test_what_only_the_runtime_tells_is_no_event_of_a_call() -> None:
    subject = ledger(0)
    subject.count(lost(2), sites(0, 0, 2))
    assert place(subject, 0, (3, 200)) == [LostRecord(0, 101, 199, 2, by_site={2: 2}, events=0)]

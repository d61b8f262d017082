"""Work ahead on another thread: in order, bounded, and what goes wrong comes where its result would."""

import threading
from collections.abc import Iterator

import pytest

from funcrec.ahead import made_ahead, mapped_ahead


def test_results_come_in_order_and_only_so_many_ahead() -> None:
    begun: list[int] = []

    def square(number: int) -> int:
        begun.append(number)
        return number * number

    results = mapped_ahead(square, range(50), depth=3)
    found = [next(results) for _ in range(10)]
    assert len(begun) <= 10 + 3
    assert [*found, *results] == [number * number for number in range(50)]


def test_an_error_comes_in_its_place() -> None:
    results = mapped_ahead(lambda number: 10 // (5 - number), range(9))
    assert [next(results) for _ in range(5)] == [2, 2, 3, 5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_items_are_made_on_another_thread_which_ends_with_them() -> None:
    threads: list[threading.Thread] = []

    def items() -> Iterator[int]:
        for number in range(20):
            threads.append(threading.current_thread())
            yield number

    assert list(made_ahead(items())) == list(range(20))
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()
    assert not threads[0].is_alive()


def test_one_who_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    items = made_ahead(iter(range(100)))
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before

"""Captures on their way to their events, which may come late."""

import numpy as np
import pytest

from funcrec.record import captures
from funcrec.record.captures import Captures, CaptureStore
from funcrec.record.rings import EVENT_ROW, VALUES_FLAG, Rows

SECOND = 1_000_000_000


def rows(*times: int, values: bool = True) -> Rows:
    made = np.zeros(len(times), dtype=EVENT_ROW)
    made["time_ns"], made["tid"], made["depth"] = times, 7, 8 | VALUES_FLAG * values
    return made


def captured(*times: int, words: int = 1) -> Captures:
    count = len(times)
    size = np.full(count, words)
    data = np.repeat(np.array(times, dtype=np.uint64), words)
    return Captures(np.array(times), np.full(count, 7, np.uint32), np.arange(count) * words, size, data)


@pytest.mark.parametrize("waits", [False, True])
def test_a_call_that_waits_for_its_end_keeps_its_arguments(waits: bool) -> None:
    store = CaptureStore(waits=waits)
    store.add([captured(SECOND)])
    assert store.match(rows(60 * SECOND, values=False)) is None
    found = store.match(rows(SECOND))
    assert (found is not None) is waits
    assert store.lost == (0 if waits else 1)


def test_calls_that_were_dropped_give_way_and_what_is_missing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "_WAIT_BYTES", 800)
    store = CaptureStore(waits=True)
    store.add([captured(*range(200))])
    store.match(rows())
    found = store.match(rows(*range(90, 110)))
    assert found is not None
    assert len(found) == 10
    assert store.lost == 10
    assert [record.count for record in store.take_losses()] == [10]

"""Calls made window by window are those made of the whole trace, wherever windows are cut."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.report.calls import Calls
from funcrec.report.gathering import gather
from funcrec.report.letgo import NEVER
from funcrec.report.pairing import Paired, pair
from funcrec.report.passage import Passage, look_ahead
from funcrec.report.trace import Trace
from funcrec.report.windows import Known, Window
from funcrec.resources import data_path
from funcrec.trace.records import LostRecord, NoteRecord
from tests.calltrees import Event, header, make_trace, random_tree_events
from tests.property.test_calls import NAMES, SITES, events, in_time_order, losses, notes

GOLDEN = sorted(data_path("formats/trace.md").with_name("golden").glob("v*/*.zst"))


def windows(trace: Trace, size: int) -> Iterator[Window]:
    """All calls, window by window, or at once where windows do not suffice."""
    foresight = look_ahead(trace, size)
    if foresight is None:
        calls = trace.table()
        yield Window(calls, np.arange(len(calls)), 0, 0, NEVER, Known.of(calls))
    else:
        yield from Passage(trace, size, foresight).windows()


def gathered(trace: Trace, size: int, whole: Paired) -> bool:
    """Compare with all calls in columns that windows filled; False where windows do not suffice."""
    made = gather(trace, size)
    if made is None:
        return False
    for name in Calls.__dataclass_fields__:
        column, wanted = getattr(made.calls, name), getattr(whole.calls, name)
        assert column.tolist() == wanted.tolist(), name
        assert column.dtype == wanted.dtype
    assert made.hits.tolist() == whole.hits.tolist()
    assert made.earlier == whole.earlier
    return True


def check(trace: Trace, size: int) -> int:
    """Compare all columns; return the number of windows."""
    paired = pair(trace)
    whole = paired.calls
    gathered(trace, size, paired)
    rows, count = 0, 0
    for window in windows(trace, size):
        assert (np.diff(window.ids) > 0).all()
        assert window.ids[window.first :].tolist() == list(range(rows, rows + len(window.ids) - window.first))
        for name in Calls.__dataclass_fields__:
            made, wanted = getattr(window.calls, name), getattr(whole, name)[window.ids]
            if name == "parent":
                made = np.where(made >= 0, window.ids[made], -1)
            assert made.tolist() == wanted.tolist(), name
            assert made.dtype == wanted.dtype
        begun = window.calls.start_ns[window.first :]
        assert ((begun >= window.begin_ns) & (begun < window.end_ns)).all()
        rows, count = rows + len(begun), count + 1
    assert rows == len(whole)
    return count


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.lists(events, max_size=12), max_size=6),
    st.lists(losses, max_size=2),
    st.lists(notes, max_size=2),
    st.booleans(),
    st.booleans(),
    st.integers(1, 8),
)
def test_any_stream(
    blocks: list[list[Event]],
    lost: list[LostRecord],
    said: list[NoteRecord],
    entry_only: bool,
    system: bool,
    size: int,
) -> None:
    if not system:
        blocks = [[event for event in block if event.stack == 0] for block in blocks]
    head = header(entry_only=True) if entry_only else header()
    # By time, so that windows can be cut; some overlap all the same.
    blocks.sort(key=lambda block: min((event.time_ns for event in block), default=0))
    check(make_trace(map(in_time_order, blocks), NAMES, lost=lost, notes=said, head=head), size)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**9),
    st.integers(1, 300),
    st.sampled_from([0.0, 0.02, 0.3]),
    st.integers(2, 9),
    st.integers(1, 60),
    st.lists(losses, max_size=1),
)
def test_call_trees(seed: int, calls: int, drop: float, blocks: int, size: int, lost: list[LostRecord]) -> None:
    rng = random.Random(seed)
    kept = [event for event in random_tree_events(rng, calls) if rng.random() >= drop]
    cuts = sorted(rng.randrange(len(kept) + 1) for _ in range(blocks - 1))
    parts = [kept[low:high] for low, high in zip([0, *cuts], [*cuts, len(kept)], strict=True)]
    # Some events come a block late, as those of a slow processor do.
    late = [[event for event in part if rng.random() < 0.1] for part in parts]
    parts = [
        sorted({*part} - {*own} | {*before}, key=lambda event: (event.time_ns, kept.index(event)))
        for part, own, before in zip([*parts, []], [*late, []], [[], *late], strict=True)
    ]
    check(make_trace(parts, lost=lost), size)


def test_a_fault_may_take_back_what_an_earlier_window_told() -> None:
    entry, exit_, fault = 0, 1, next(at for at, site in enumerate(SITES) if site.role.name == "FAULT")
    told = [Event(1, entry, 8), Event(2, exit_, 8)]
    later = [Event(3, fault, 16), Event(4, exit_, 8)]
    assert check(make_trace([told, later], NAMES), 1) == 1


def test_windows_are_many_where_nothing_forbids() -> None:
    events = random_tree_events(random.Random(3), 400, panics=0)
    blocks = [events[low : low + 40] for low in range(0, len(events), 40)]
    trace = make_trace(blocks)
    assert check(trace, 80) >= 5
    assert gathered(trace, 80, pair(trace))
    ahead = look_ahead(trace, 80)
    assert ahead is not None
    assert len(ahead.entry_event) < len(trace.table()) / 2


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [1, 50])
def test_golden_traces(path: str, size: int) -> None:
    with Trace(path) as trace:
        check(trace, size)

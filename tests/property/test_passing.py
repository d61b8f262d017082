"""The call graph written window by window is the one of the whole trace, wherever windows are cut."""

import io
import random

from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.report.excerpt import foresee
from funcrec.report.filters import select
from funcrec.report.passing import pass_through
from funcrec.report.request import FilterRequest, OutputRequest
from funcrec.report.text import Output
from funcrec.report.trace import Trace
from funcrec.report.views.callgraph import write_callgraph, write_passing
from funcrec.trace.records import GoroutineRecord, LostRecord, NoteRecord
from tests.calltrees import Event, make_trace, random_tree_events
from tests.property.test_calls import NAMES, events, in_time_order, losses
from tests.property.test_excerpt import written

_THREE = ("main.a", "main.b", "main.c")


def whole(trace: Trace) -> list[str]:
    stream = io.BytesIO()
    write_callgraph(Output(OutputRequest(), stream), select(trace, FilterRequest()), OutputRequest())
    return stream.getvalue().decode().splitlines()


def check(trace: Trace, again: Trace, size: int) -> bool:
    """Compare both ways; True when there were two. Blank lines depend on what is known when the first one is due."""
    passing = pass_through(trace, size)
    if passing is None:
        return False
    stream = io.BytesIO()
    shown = write_passing(Output(OutputRequest(), stream), trace, passing, OutputRequest())
    assert shown == len(again.table())
    if shown == 0:  # notes are left out of a whole trace without calls
        return True
    made = [line for line in stream.getvalue().decode().splitlines() if line]
    assert made == [line for line in whole(again) if line]
    return True


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(events, max_size=12), max_size=6), st.lists(losses, max_size=1), st.integers(1, 8))
def test_any_stream(blocks: list[list[Event]], lost: list[LostRecord], size: int) -> None:
    blocks = [[event for event in block if event.stack == 0] for block in blocks]
    blocks.sort(key=lambda block: min((event.time_ns for event in block), default=0))
    said = [NoteRecord(5, "exits", "something happened")]

    def made() -> Trace:
        trace = make_trace(map(in_time_order, blocks), NAMES, lost=lost, notes=said)
        trace.goroutines.append(GoroutineRecord(100, 1, 0, 1, "main.a", 0))
        return trace

    check(made(), made(), size)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 300), st.integers(2, 9), st.integers(1, 60), st.integers(0, 40))
def test_files(seed: int, calls: int, blocks: int, size: int, missing: int) -> None:
    rng = random.Random(seed)
    kept = random_tree_events(rng, calls, goroutines=4)[missing:]
    cuts = sorted(rng.randrange(len(kept) + 1) for _ in range(blocks - 1))
    parts = [kept[low:high] for low, high in zip([0, *cuts], [*cuts, len(kept)], strict=True)]
    moved = [[event for event in part if (event.goid + seed) % 4 == 0] for part in parts]
    parts = [
        sorted([*({*part} - {*own}), *before], key=lambda event: (event.time_ns, kept.index(event)))
        for part, own, before in zip([*parts, []], [*moved, []], [[], *moved], strict=True)
    ]
    data = written(parts, _THREE)
    at_once = foresee(Trace(io.BytesIO(data)), size) is not None
    seen(f"{'at once' if at_once else 'after a passage'}")
    check(Trace(io.BytesIO(data)), Trace(io.BytesIO(data)), size)


def test_the_first_lines_take_no_passage_where_the_file_tells_enough() -> None:
    made = random_tree_events(random.Random(5), 2000, panics=0)
    data = written([made[low : low + 50] for low in range(0, len(made), 50)], _THREE)
    assert foresee(Trace(io.BytesIO(data)), 100) is not None
    assert check(Trace(io.BytesIO(data)), Trace(io.BytesIO(data)), 100)

"""Whatever a file says of calls that outlast its blocks: calls, or all of the trace is read; nothing else happens."""

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.errors import TraceError
from funcrec.report.excerpt import Bounds, excerpt
from funcrec.report.filters import Selection, mask_of
from funcrec.report.passing import pass_through
from funcrec.report.request import FilterRequest, OutputRequest
from funcrec.report.text import Output
from funcrec.report.trace import Trace
from funcrec.report.views.callgraph import write_passing
from funcrec.trace.reader import TraceReader
from funcrec.trace.records import RecordType
from tests.calltrees import random_tree_events
from tests.fuzz.anatomy import put_together, take_apart
from tests.property.test_excerpt import written

_EVENTS = random_tree_events(random.Random(8), 900, goroutines=6)
_DATA = written([_EVENTS[low : low + 40] for low in range(0, len(_EVENTS), 40)], ("main.a", "main.b", "main.c"))
_FIELDS = sorted(next(part.body for part in take_apart(_DATA).parts if part.prefix.type == RecordType.SPANS))


def changed(value: object, rng: random.Random) -> object:
    """Another value of the same type, mostly near."""
    if isinstance(value, int):
        return rng.choice([0, value + 1, value - 1, 1 << 40, -1])
    if not isinstance(value, bytes) or not value:
        return rng.choice([b"", b"\1", None, 7])
    if rng.random() < 0.2:
        return rng.choice([b"", value + value, bytes(len(value)), b"\xff" * len(value), value[::-1]])
    data = bytearray(value)
    for _ in range(rng.choice([1, 1, 3])):
        data[rng.randrange(len(data))] = rng.choice([0, 1, 2, 255, rng.randrange(256)])
    return bytes(data)


def a_block_later(counts: bytes, rng: random.Random) -> bytes:
    """One of the things that happen in each block, counted in a byte, happens in the next one instead."""
    data = bytearray(counts)
    at = rng.choice([at for at in range(len(data) - 1) if data[at]])
    data[at] -= 1
    data[at + 1] += 1
    return bytes(data)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.sets(st.sampled_from([*_FIELDS, "site_events"]), min_size=1, max_size=2))
def test_spans_are_a_hint(seed: int, names: set[str]) -> None:
    rng = random.Random(seed)
    anatomy = take_apart(_DATA)
    for part in anatomy.parts:
        if part.prefix.type in (RecordType.SPANS, RecordType.INDEX):
            part.body = part.body | {name: changed(part.body[name], rng) for name in names if name in part.body}
            part.packed = None
    data = put_together(anatomy)
    trace = Trace(io.BytesIO(data))
    low = rng.randrange(1000, 2000)
    for request in (FilterRequest(), FilterRequest(goroutines=((2, 3),))):
        window = excerpt(trace, request, Bounds(low, low + rng.randrange(200)), 1 << 62)
        if window is not None:
            made = Selection(trace, window.calls, mask_of(trace, window.calls, request, window.known), request, window)
            assert len(made.numbers(made.rows)) == len(made)
    try:
        trace = Trace(io.BytesIO(data))
        passing = pass_through(trace, 100)
        if passing is not None:
            write_passing(Output(OutputRequest(), io.BytesIO()), trace, passing, OutputRequest())
    except TraceError:
        pass


@pytest.mark.parametrize("name", ["calls", "tid", "caller", "depth", "block_goid", "ended"])
def test_a_check_of_the_whole_file_finds_what_is_not_true(name: str) -> None:
    assert TraceReader(io.BytesIO(_DATA)).check() is None
    found = []
    for seed in range(60):
        anatomy = take_apart(_DATA)
        for part in anatomy.parts:
            if part.prefix.type == RecordType.SPANS:
                was = part.body[name]
                rng = random.Random(seed)
                part.body = part.body | {name: a_block_later(was, rng) if name == "ended" else changed(was, rng)}
                part.packed = None
                if part.body[name] == was:
                    continue
                reader = TraceReader(io.BytesIO(put_together(anatomy)))
                if reader.spans() is not None:
                    found.append(reader.check())
                break
    assert found
    assert None not in found

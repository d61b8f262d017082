"""Calls made of a part of a trace are those made of the whole, whatever part is asked for."""

import io
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.errors import UsageError
from funcrec.report.calls import Calls
from funcrec.report.excerpt import Bounds, excerpt
from funcrec.report.filters import Selection, bounds_of, mask_of, select
from funcrec.report.request import FilterRequest, TimeBound, TimeRange, parse_time_range
from funcrec.report.stream import part_of
from funcrec.report.trace import Trace
from funcrec.trace.records import (
    CallSite,
    ClockReading,
    Closing,
    LostRecord,
    NoteRecord,
    ProcessRecord,
    SiteRole,
    SnapshotDelta,
)
from funcrec.trace.writer import TraceWriter
from tests.bench.large import write_large
from tests.calltrees import Event, header, make_trace, random_tree_events, standard_sites
from tests.property.test_calls import NAMES, events, in_time_order, losses, notes

_THREE = ("main.a", "main.b", "main.c")


def written(
    blocks: Sequence[Sequence[Event]],
    names: Sequence[str],
    lost: Sequence[LostRecord] = (),
    said: Sequence[NoteRecord] = (),
    entry_only: bool = False,
) -> bytes:
    """A trace file of some blocks of events."""
    source = make_trace([block for block in blocks if block], names).reader
    file = io.BytesIO()
    writer = TraceWriter(file, header(entry_only=True) if entry_only else header())
    places = [CallSite(0x5000 + at, "main.a", 3, "/src/a.go", 20 + at) for at in range(3)]
    pids = sorted({event.pid for block in blocks for event in block})
    if pids:
        writer.processes([ProcessRecord(pid, 0, -1, -1, 1, "/srv/svc", ["svc"]) for pid in pids])
    writer.snapshot(SnapshotDelta(functions=source.functions, sites=source.sites, call_sites=places))
    for part in source.parts:
        starts = np.isin(np.array([site.role for site in source.sites])[part.site], (SiteRole.ENTRY, SiteRole.POINT))
        part.caller[~starts] = 0
        writer.events(part)
    writer.lost(
        [
            loss
            for loss in lost
            if all(count <= loss.count for count in loss.by_site.values()) and loss.first_ns <= loss.last_ns
        ]
    )
    for note in said:
        writer.note(note)
    end = max((event.time_ns for block in blocks for event in block), default=0)
    writer.close(Closing(ClockReading(end, end, 10**18), 0, 0))
    return file.getvalue()


def check(data: bytes, request: FilterRequest) -> bool:
    """Compare both ways; True when there were two."""
    whole, trace = Trace(io.BytesIO(data)), Trace(io.BytesIO(data))
    bounds = None
    if request.time_range is not None:
        first_ns, last_ns = bounds_of(trace, request.time_range)
        bounds = Bounds(-1 if first_ns is None else first_ns, 1 << 62 if last_ns is None else last_ns)
    window = excerpt(trace, request, bounds, 1 << 62)
    try:
        wanted = select(whole, request)
    except UsageError:  # no call of such a goroutine
        assert window is None
        return False
    if window is None:
        return False
    made = Selection(trace, window.calls, mask_of(trace, window.calls, request, window.known), request, window)
    assert made.total == len(whole.table())
    assert made.numbers(made.rows).tolist() == wanted.rows.tolist()
    for name in Calls.__dataclass_fields__:
        if name != "parent":
            assert made.of(getattr(made.calls, name)).tolist() == wanted.of(getattr(wanted.calls, name)).tolist(), name
    for parents, truth in ((made.parents, wanted.parents), (made.calls.parent, wanted.calls.parent)):
        assert made.numbers(parents[made.rows]).tolist() == truth[wanted.rows].tolist()
    # What is needed for text and distributions comes without time in callees, too.
    less = excerpt(trace, request, bounds, 1 << 62, own=False)
    assert less is not None
    assert less.calls.end_ns.tolist() == window.calls.end_ns.tolist()
    assert less.calls.state.tolist() == window.calls.state.tolist()
    return True


def time_range(low: int, high: int) -> TimeRange:
    return TimeRange("", TimeBound(low), TimeBound(max(low, high)))


ranges = st.builds(time_range, st.integers(-1, 14), st.integers(0, 14))
goroutines = st.sampled_from([(), (), ((1, 1),), ((0, 1),), ((2, 1 << 70),)])


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.lists(events, max_size=12), max_size=6),
    st.lists(losses, max_size=2),
    st.lists(notes, max_size=1),
    st.booleans(),
    st.sampled_from([0, 0, 0, 1]),
    ranges,
    goroutines,
)
def test_any_stream(
    blocks: list[list[Event]],
    lost: list[LostRecord],
    said: list[NoteRecord],
    entry_only: bool,
    wild: int,
    during: TimeRange,
    of: tuple[tuple[int, int], ...],
) -> None:
    if not wild:
        sites = standard_sites(len(NAMES))[0]
        tame = [[e for e in block if e.stack == 0 and sites[e.site].role < SiteRole.START] for block in blocks]
        late = -1
        blocks = []
        for block in tame:
            blocks.append([e for e in block if e.time_ns >= late])
            late = max((e.time_ns for e in blocks[-1]), default=late)
    data = written([in_time_order(block) for block in blocks], NAMES, lost, said, entry_only)
    known = {e.goid for block in blocks for e in block}
    of = tuple((low, high) for low, high in of if any(low <= goid <= high for goid in known))
    seen("a part" if check(data, FilterRequest(time_range=during, goroutines=of)) else "all of it")


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**9),
    st.integers(1, 400),
    st.sampled_from([0.0, 0.0, 0.02]),
    st.integers(1, 12),
    st.floats(0, 1),
    st.floats(0, 0.3),
    st.lists(losses, max_size=1),
    st.sampled_from([(), ((1, 1),), ((2, 3),)]),
)
def test_call_trees(
    seed: int,
    calls: int,
    drop: float,
    blocks: int,
    begin: float,
    length: float,
    lost: list[LostRecord],
    of: tuple[tuple[int, int], ...],
) -> None:
    rng = random.Random(seed)
    kept = [event for event in random_tree_events(rng, calls, goroutines=5) if rng.random() >= drop]
    cuts = sorted(rng.randrange(len(kept) + 1) for _ in range(blocks - 1))
    parts = [kept[low:high] for low, high in zip([0, *cuts], [*cuts, len(kept)], strict=True)]
    # Blocks overlap in time, those of one goroutine follow one another: some have all their events a block later.
    moved = [[event for event in part if (event.goid + seed) % 5 == 0] for part in parts]
    parts = [
        sorted([*({*part} - {*own}), *before], key=lambda event: (event.time_ns, kept.index(event)))
        for part, own, before in zip([*parts, []], [*moved, []], [[], *moved], strict=True)
    ]
    if seed % 2:  # a program begins, as in every recording of a launched one
        parts[0].insert(0, Event(999, standard_sites(len(_THREE))[1][SiteRole.START], 8, goid=1))
    first, span = kept[0].time_ns if kept else 0, kept[-1].time_ns - kept[0].time_ns if kept else 0
    during = time_range(first + int(begin * span), first + int((begin + length) * span))
    known = {event.goid for event in kept}
    of = tuple((low, high) for low, high in of if any(low <= goid <= high for goid in known))
    data = written(parts, _THREE, lost)
    check(data, FilterRequest(time_range=during, goroutines=of))
    if of:
        check(data, FilterRequest(goroutines=of))


def test_a_server_for_a_second(tmp_path: Path) -> None:
    path = tmp_path / "server.zst"
    write_large(path, 600_000, 30, rest_ns=290_000)
    whole = Trace(path)
    for during, of in (("0.3s~0.5s", ()), ("50%~", ((7, 9),)), (None, ((50, 50),))):
        request = FilterRequest(time_range=during and parse_time_range(during), goroutines=of)
        made, wanted = part_of(Trace(path), request, at_once=True), select(whole, request)
        assert made is not None
        assert (made.numbers(made.rows) == wanted.rows).all()
        for name in ("start_ns", "end_ns", "self_ns", "state", "depth", "entry_event", "exit_event"):
            assert (made.of(getattr(made.calls, name)) == wanted.of(getattr(wanted.calls, name))).all(), name


def test_parts_are_enough_where_nothing_forbids() -> None:
    events = random_tree_events(random.Random(5), 2000, panics=0)
    data = written([events[low : low + 50] for low in range(0, len(events), 50)], _THREE)
    for low in range(1000, 3000, 100):
        assert check(data, FilterRequest(time_range=time_range(low, low + 30)))
        assert check(data, FilterRequest(goroutines=((2, 2),)))

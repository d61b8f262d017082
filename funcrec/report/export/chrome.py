"""Chrome trace events (JSON): for chrome://tracing, editors, and viewers that do not read Perfetto's own format.

Times are microseconds with three decimals, since the start of the trace. Goroutines are written as threads, whose
ids must be numbers from 1 to 2**32 - 1: each track gets a small number when the goroutine's own id does not fit.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from funcrec.report.calls import State
from funcrec.report.export.creation import Creations
from funcrec.report.export.source import NOTHING, Source
from funcrec.report.export.text import to_json
from funcrec.report.export.timeline import Index, Timeline
from funcrec.report.export.viewercells import for_viewers
from funcrec.report.sheet import Lexicon
from funcrec.report.text import printable
from funcrec.report.valuecells import Cells, united
from funcrec.report.valuecolumns import Column, Named, Thousandths

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

_CHUNK = 1 << 14
_PHASE = {State.OPEN: "B", State.ENTRY: "i"}
_PHASES = Lexicon(f'{{"ph":"{_PHASE.get(state, "X")}",' for state in State)
# Nothing, or what stands around members.
_OPENING, _COMMA, _CLOSING = Lexicon(("", ',"args":{')), Lexicon(("", ",")), Lexicon(("", "}"))


def encode(timelines: Iterable[Timeline]) -> Iterator[bytes]:
    """Yield the file in pieces, of the parts of one trace."""
    arrows: Creations | None = None
    threads: dict[int, str] = {}  # by the number of the track
    for timeline in timelines:
        source = timeline.source
        if arrows is None:
            arrows = Creations(source.trace)
            yield _opening(source).encode()
            lines = _Lines(source)
        yield _metadata(timeline, threads).encode()
        arrows.add(timeline)
        of_track = Lexicon(threads[track.number] for track in timeline.tracks)
        order = timeline.in_start_order()
        for low in range(0, len(order), _CHUNK):
            yield from lines.of(timeline, order[low : low + _CHUNK], of_track)
    if arrows is not None:
        yield (_flows(arrows, threads) + _losses(source.trace)).encode()
    # A last event without a comma, so that all others can be written alike.
    yield b'{"ph":"M","name":"trace_end","pid":0,"tid":0}\n]}\n'


def _opening(source: Source) -> str:
    trace = source.trace
    about = {
        "tool": trace.header.tool,
        "start_monotonic_ns": str(trace.start_ns),
        "lost_events": source.lost_events,
    }
    processes = [
        {
            "ph": "M",
            "name": "process_name",
            "pid": p.pid,
            "tid": 0,
            "args": {"name": printable(p.exe.rpartition("/")[2])},
        }
        for p in trace.processes
    ]
    head = f'{{"displayTimeUnit":"ns","otherData":{to_json(about)},"traceEvents":[\n'
    return head + "".join(to_json(record) + ",\n" for record in processes)


def _metadata(timeline: Timeline, threads: dict[int, str]) -> str:
    """Names of the tracks that are new; how they are referred to goes to `threads`.

    The thread number of a track is the goroutine's id where that is possible for all of the trace.
    """
    calls, goids = timeline.source.calls, timeline.source.known.goids
    plain = not calls.stack.any() and bool(((goids > 0) & (goids < 1 << 32)).all())
    records = []
    for track in timeline.tracks:
        if not track.new:
            continue
        tid = track.goid if plain else track.number + 1
        threads[track.number] = f',"pid":{track.pid},"tid":{tid}'
        common: dict[str, Any] = {"ph": "M", "pid": track.pid, "tid": tid}
        records.append({**common, "name": "thread_name", "args": {"name": printable(track.title)}})
        records.append({**common, "name": "thread_sort_index", "args": {"sort_index": tid}})
    return "".join(to_json(record) + ",\n" for record in records)


class _Lines:
    """Makes events of calls; what they have in common is text once.

    Args:
        source: any part of the trace.
    """

    def __init__(self, source: Source) -> None:
        names = (f'"name":{to_json(name)},"cat":"go","ts":' for name in source.function_names)
        self._names = Lexicon(names)
        places = map(source.where, range(len(source.trace.call_sites) + 1))
        self._places = Lexicon(f'"called_from":{to_json(printable(place))}' if place else "" for place in places)
        self._has_place = np.array([bool(text) for text in self._places.texts], np.bool_)
        # With a comma behind another member, and without; calls that returned say nothing.
        labels = ["" if state == State.RETURNED else f'"state":"{state.label}"' for state in State]
        self._states = Lexicon([*labels, *(label and "," + label for label in labels)])

    def of(self, timeline: Timeline, part: Index, threads: Lexicon) -> Iterator[bytes]:
        """Calls as complete events; an open call only begins, an entry-only one is an instant."""
        state, start = timeline.state[part], timeline.start_ns[part]
        timed = np.flatnonzero((state != State.OPEN) & (state != State.ENTRY))
        lengths = Cells(',"dur":%s', (Thousandths(timeline.end_ns[part[timed]] - start[timed]),))
        duration = united([(timed, lengths)], len(part), "")
        members = self._arguments(timeline, part)
        columns = (
            Named(_PHASES, state),
            Named(self._names, timeline.function[part]),
            Thousandths(start),
            *duration.columns,
            Named(threads, timeline.track[part]),
            *members.columns,
        )
        line = f"%s%s%s{duration.template}%s{members.template}}}"
        return Cells(line, columns).written(len(part), b",\n")

    def _arguments(self, timeline: Timeline, part: Index) -> Cells:
        """The `args` member of each event, with a leading comma; nothing where there is nothing to say."""
        caller, state = timeline.caller[part], timeline.state[part]
        caller = np.where(caller < len(self._has_place), caller, 0)
        said = self._has_place[caller]
        columns: list[Column] = [Named(self._places, caller), Named(self._states, state + len(State) * said)]
        said = said | (state != State.RETURNED)
        template = "%s%s"
        sides = timeline.source.cells(timeline.row[part]) if timeline.source.cells is not None else ([], [])
        for key, side in zip(("args", "results"), sides, strict=True):
            parts = [(at, for_viewers(cells)) for at, cells in side if cells.template != NOTHING]
            has = np.zeros(len(part), np.bool_)
            for at, _ in parts:
                has[at] = True
            member = united([(at, cells.within(f'"{key}":', "")) for at, cells in parts], len(part), "")
            template += "%s" + member.template
            columns += [Named(_COMMA, (said & has).view(np.uint8)), *member.columns]
            said |= has
        opening, closing = (Named(lexicon, said.view(np.uint8)) for lexicon in (_OPENING, _CLOSING))
        return Cells(f"%s{template}%s", (opening, *columns, closing))


def _flows(arrows: Creations, threads: dict[int, str]) -> str:
    """Arrows from the creating call to the first call of the goroutine."""
    events = []
    for number, creation in enumerate(arrows.found(), start=1):
        for phase, end in (("s", creation.origin), ("f", creation.target)):
            events.append(
                f'{{"ph":"{phase}","bp":"e","id":{number},"name":"go","cat":"go"{threads[end.track]},'
                f'"ts":{end.start_ns // 1000}.{end.start_ns % 1000:03d}}},\n'
            )
    return "".join(events)


def _losses(trace: "Trace") -> str:
    start = trace.start_ns
    return "".join(
        to_json(
            {
                "ph": "i",
                "s": "g",
                "name": f"{record.lost} {record.kind} lost",
                "cat": "lost",
                "ts": max(record.first_ns - start, 0) / 1000,
                "pid": 0,
                "tid": 0,
                "args": {"count": record.lost, "window_ns": record.last_ns - record.first_ns, "ring": record.ring},
            }
        )
        + ",\n"
        for record in trace.lost
    )

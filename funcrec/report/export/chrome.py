"""Chrome trace events (JSON): for chrome://tracing, editors, and viewers that do not read Perfetto's own format.

Times are microseconds with three decimals, since the start of the trace. Goroutines are written as threads, whose
ids must be numbers from 1 to 2**32 - 1: each track gets a small number when the goroutine's own id does not fit.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from funcrec.report.calls import State
from funcrec.report.export.creation import Creations
from funcrec.report.export.source import NOTHING, Source
from funcrec.report.export.text import printable_tree, to_json
from funcrec.report.export.timeline import Index, Timeline
from funcrec.report.text import printable

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

_CHUNK = 1 << 14
_LARGEST = (1 << 53) - 1  # integers beyond it lose digits in JavaScript
# Numbers that may be too large, and characters beyond ASCII that may have to be escaped for people too.
_DELICATE = re.compile(r"[0-9]{16}|\\[bfnrtu]|[^ -~]")
_ALIKE = str.maketrans("123456789", "0" * 9)
_PHASE = {State.OPEN: "B", State.ENTRY: "i"}


def encode(timelines: Iterable[Timeline]) -> Iterator[bytes]:
    """Yield the file in pieces, of the parts of one trace."""
    arrows: Creations | None = None
    threads: dict[int, str] = {}  # by the number of the track
    for timeline in timelines:
        source = timeline.source
        if arrows is None:
            arrows = Creations(source.trace)
            yield _opening(source).encode()
            names = [f'"name":{to_json(name)},"cat":"go","ts":' for name in source.function_names]
        yield _metadata(timeline, threads).encode()
        arrows.add(timeline)
        of_track = [threads[track.number] for track in timeline.tracks]
        order = timeline.in_start_order()
        for low in range(0, len(order), _CHUNK):
            yield _events(timeline, order[low : low + _CHUNK], names, of_track).encode("utf-8", "replace")
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


def _microseconds(ns: np.ndarray) -> list[str]:
    return [f"{whole}.{rest:03d}" for whole, rest in zip((ns // 1000).tolist(), (ns % 1000).tolist(), strict=True)]


def _events(timeline: Timeline, part: Index, names: list[str], threads: list[str]) -> str:
    """Calls as complete events; an open call only begins, an entry-only one is an instant."""
    state = timeline.state[part]
    phase = [f'{{"ph":"{_PHASE.get(s, "X")}",' for s in State]
    timed = ((state != State.OPEN) & (state != State.ENTRY)).tolist()
    lengths = _microseconds(timeline.end_ns[part] - timeline.start_ns[part])
    duration = [f',"dur":{length}' if known else "" for length, known in zip(lengths, timed, strict=True)]
    lines = [
        f"{phase[s]}{names[f]}{start}{length}{threads[t]}{arguments}}},\n"
        for s, f, start, length, t, arguments in zip(
            state.tolist(),
            timeline.function[part].tolist(),
            _microseconds(timeline.start_ns[part]),
            duration,
            timeline.track[part].tolist(),
            _arguments(timeline, part),
            strict=True,
        )
    ]
    return "".join(lines)


def _arguments(timeline: Timeline, part: Index) -> list[str]:
    """The `args` member of each event, with a leading comma; "" where there is nothing to say."""
    source = timeline.source
    places: dict[int, str] = {}
    for caller in np.unique(timeline.caller[part]).tolist():
        where = source.where(caller)
        places[caller] = f'"called_from":{to_json(printable(where))}' if where else ""
    members = [[places[caller]] if places[caller] else [] for caller in timeline.caller[part].tolist()]
    for at in np.flatnonzero(timeline.state[part] != State.RETURNED).tolist():
        members[at].append(f'"state":"{State(int(timeline.state[part][at])).label}"')
    if source.values is not None:
        for key, texts in zip(("args", "results"), source.values(timeline.row[part]), strict=True):
            for member, text in zip(members, _for_viewers(texts), strict=True):
                if text != NOTHING:
                    member.append(f'"{key}":{text}')
    return [',"args":{' + ",".join(member) + "}" if member else "" for member in members]


def _for_viewers(texts: list[str]) -> list[str]:
    """Values that JavaScript holds exactly and people can read safely; most are as they are."""
    whole = "".join(texts)
    # Searching for sixteen digits goes many times faster when they are all alike.
    if whole.isascii() and whole.isprintable() and "\\" not in whole and "0" * 16 not in whole.translate(_ALIKE):
        return texts
    return [to_json(printable_tree(_exact(json.loads(text)))) if _DELICATE.search(text) else text for text in texts]


def _exact(value: Any) -> Any:
    """Integers that JavaScript cannot hold as hexadecimal text."""
    match value:
        case bool():
            return value
        case int():
            return value if abs(value) <= _LARGEST else hex(value)
        case dict():
            return {key: _exact(item) for key, item in value.items()}
        case list():
            return [_exact(item) for item in value]
        case _:
            return value


def _flows(arrows: Creations, threads: dict[int, str]) -> str:
    """Arrows from the creating call to the first call of the goroutine."""
    events = []
    for number, creation in enumerate(arrows.found(), start=1):
        for phase, end in (("s", creation.origin), ("f", creation.target)):
            events.append(
                f'{{"ph":"{phase}","bp":"e","id":{number},"name":"go","cat":"go"{threads[end.track]},'
                f'"ts":{_microseconds(np.array([end.start_ns]))[0]}}},\n'
            )
    return "".join(events)


def _losses(trace: "Trace") -> str:
    start = trace.start_ns
    return "".join(
        to_json(
            {
                "ph": "i",
                "s": "g",
                "name": f"{record.count} {record.kind} lost",
                "cat": "lost",
                "ts": max(record.first_ns - start, 0) / 1000,
                "pid": 0,
                "tid": 0,
                "args": {"count": record.count, "window_ns": record.last_ns - record.first_ns, "ring": record.ring},
            }
        )
        + ",\n"
        for record in trace.lost
    )

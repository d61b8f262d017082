"""Lines of a call graph that are not calls: losses and notes at their place, and who started a goroutine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from funcrec.report.earlier import EarlierFrame
from funcrec.report.filters import Selection
from funcrec.report.labels import caller_names, function_names
from funcrec.report.request import OutputRequest
from funcrec.report.text import printable
from funcrec.report.views.heading import counted
from funcrec.report.views.lines import Index, Lines
from funcrec.trace.records import EVENTS_OF_ROLE, GoroutineRecord, LostRecord
from funcrec.units import format_duration

if TYPE_CHECKING:
    from funcrec.report.trace import Trace
    from funcrec.report.windows import Window


Stack = tuple[int, int]  # pid and goid


def add_notes(
    selection: Selection, lines: Lines, output: OutputRequest, seen: set[Stack] | None = None
) -> tuple[Lines, list[str], Index]:
    """Return the lines with notes among them, the text of each note, and the row it belongs to (-1: to none).

    Args:
        selection: whose lines they are; of a window, the notes are those of its time.
        lines: of calls.
        output: how to show them.
        seen: goroutines that were there in earlier windows; those of this one are added.
    """
    notes: list[tuple[int, int, str, int]] = []  # line it stands before, time, text, row
    passing = seen is not None
    here = _Within(selection.window if passing else None)
    for record in selection.trace.lost if len(lines) or passing else []:
        if record.first_ns not in here:
            continue
        place = int(np.searchsorted(lines.time_ns, record.first_ns))
        notes.append((place, record.first_ns, _loss(selection.trace, record, output), -1))
    for note in selection.trace.notes if len(lines) or passing else []:
        if note.time_ns not in here:
            continue
        place = int(np.searchsorted(lines.time_ns, note.time_ns))
        notes.append((place, note.time_ns, f"------- {printable(note.text)} -------", -1))
    notes += _earlier(selection, lines, output)
    notes += _starts(selection, lines, output, set() if seen is None else seen)
    notes.sort(key=lambda note: note[:2])
    numbers = np.array([(place, time_ns, row) for place, time_ns, _, row in notes], dtype=np.int64).reshape(-1, 3)
    return lines.with_notes(numbers[:, 0], numbers[:, 1]), [text for _, _, text, _ in notes], numbers[:, 2]


class _Within:
    """Times of a window, or all."""

    def __init__(self, window: "Window | None") -> None:
        self._window = window

    def __contains__(self, time_ns: int) -> bool:
        window = self._window
        return window is None or window.begin_ns <= max(time_ns, 0) < window.end_ns


def _loss(trace: "Trace", record: LostRecord, output: OutputRequest) -> str:
    of_events = record.kind == "events"
    # None of calls: only such as tell how goroutines begin and end.
    what = counted(record.lost, "event" if of_events else "value") if record.lost else "events of the runtime"
    text = f"------- {what} lost here"
    if record.last_ns > record.first_ns:
        text += f", within {format_duration(record.last_ns - record.first_ns)}"
    by_function: dict[str, int] = {}
    names = function_names(trace, output.names)
    for site, count in record.by_site.items():
        name = names[trace.sites[site].function]
        events = EVENTS_OF_ROLE.get(trace.sites[site].role, 0) if of_events else 1
        if events:
            by_function[name] = by_function.get(name, 0) + count * events
    most = sorted(by_function.items(), key=lambda item: (-item[1], item[0]))
    if most:
        listed = ", ".join(f"{printable(name)} {count}" for name, count in most[:3])
        text += f": {listed}" + (f" and {len(most) - 3} more functions" if len(most) > 3 else "")
    return text + " -------"


def _earlier(selection: Selection, lines: Lines, output: OutputRequest) -> list[tuple[int, int, str, int]]:
    """A note where a frame ended that was there before the recording; a filter that hides calls hides these too."""
    window = selection.window
    if window is not None and window.called is not None:
        frames: Sequence[EarlierFrame] = window.earlier
    elif len(selection) < selection.total:
        frames = ()
    else:
        frames = selection.trace.earlier
    names = function_names(selection.trace, output.names)
    notes = []
    for frame in frames:
        place = int(np.searchsorted(lines.time_ns, frame.time_ns))
        text = f"{printable(names[frame.function])} of [{frame.goid}] returned, entered before the recording"
        notes.append((place, frame.time_ns, f"------- {text} -------", -1))
    return notes


def _starts(
    selection: Selection, lines: Lines, output: OutputRequest, seen: set[Stack]
) -> list[tuple[int, int, str, int]]:
    """A note before the first line of each goroutine whose creator is known."""
    known = {(facts.pid, facts.goid): facts for facts in selection.trace.goroutines if facts.parent or facts.created_at}
    if not known or len(lines) == 0:
        return []
    calls = selection.calls
    first_rows = _first_of_each(calls.pid[lines.row], calls.goid[lines.row])
    notes = []
    for at in first_rows.tolist():
        row = int(lines.row[at])
        stack = int(calls.pid[row]), int(calls.goid[row])
        facts = known.get(stack) if stack not in seen else None
        seen.add(stack)
        if facts is not None:
            notes.append((at, int(lines.time_ns[at]), _start(selection.trace, facts, output), row))
    return notes


def _first_of_each(pid: "np.typing.NDArray[np.uint32]", goid: "np.typing.NDArray[np.uint64]") -> Index:
    """Positions where a (pid, goid) appears for the first time."""
    by_goroutine = np.lexsort((goid, pid))  # stable: equal ones keep their order
    pid, goid = pid[by_goroutine], goid[by_goroutine]
    new = np.ones(len(pid), dtype=bool)
    new[1:] = (pid[1:] != pid[:-1]) | (goid[1:] != goid[:-1])
    return np.sort(by_goroutine[new])


def _start(trace: "Trace", facts: GoroutineRecord, output: OutputRequest) -> str:
    by = f" by [{facts.parent}]" if facts.parent else ""
    text = f"started{by}"
    if 0 < facts.created_at <= len(trace.call_sites):
        site = trace.call_sites[facts.created_at - 1]
        name = caller_names(trace, output.names)[facts.created_at]
        where = f"{site.file if output.srcline else site.file.rpartition('/')[2]}:{site.line}" if site.file else ""
        places = ", ".join(part for part in (name, where) if part)
        text += f" in {printable(places)}" if places else ""
    return text + (f", runs {printable(facts.entry)}" if facts.entry else "")

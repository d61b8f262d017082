"""The `#` lines above the call graph and `info`: what was recorded, where, and what is missing."""

import shlex
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import Calls
from funcrec.report.filters import Selection
from funcrec.report.overhead import total_cost_ns
from funcrec.report.request import Overhead
from funcrec.report.text import printable
from funcrec.report.trace import Trace, calls_of, events_of
from funcrec.units import format_count, format_duration

_NOTES = 20  # a recorder writes very few
_TOLD = {"guard", "no goroutine", "executable", "refused"}  # kinds of notes: after them something is missing


def loss_text(events: int, values: int) -> str:
    """`lost: 0`, also when nothing was: what every view shows, in these words."""
    text = f"lost: {format_count(events)}" + (" events" if events else "")
    return text + (f", and {format_count(values)} values of recorded calls" if values else "")


def note_lines(trace: Trace) -> list[str]:
    """What the recorder has to say about what is missing, one line each: let go, left out, changed or refused."""
    notes = [note for note in trace.notes if note.what in _TOLD][:_NOTES]
    return [f"at {format_duration(note.time_ns - trace.start_ns)} {printable(note.text)}" for note in notes]


def counted(n: int, noun: str) -> str:
    """`1 call`, `1 234 calls`."""
    return f"{format_count(n)} {noun}" if n == 1 else f"{format_count(n)} {noun}s"


def recorded_text(trace: Trace) -> str:
    """Program, Go version and host on one line."""
    target, host = trace.header.target, trace.header.host
    seconds = trace.header.clock.realtime_ns // 10**9
    try:
        when = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        when = "at an unknown time"
    system = " ".join(str(host[key]) for key in ("os", "kernel", "machine") if host.get(key))
    program = str(target.get("path", "")) or "unknown program"
    parts = [program, str(target.get("go_version", "")), f"recorded {when} on {host.get('hostname', 'unknown host')}"]
    parts += [system, f"{host['cpus']} CPUs" if host.get("cpus") else ""]
    return printable(", ".join(part for part in parts if part))


def command_text(trace: Trace) -> str:
    """The recording command line, ready to paste."""
    return printable(shlex.join(trace.header.argv))


def cost_text(selection: Selection) -> str:
    """What the probes themselves cost, and what became of it."""
    cost = total_cost_ns(selection.trace)
    part = selection.window is not None and selection.window.total is not None
    busy = busy_ns(selection.trace.table()) if cost and not part else 0
    return cost_line(selection.trace, cost, busy, kept=selection.request.overhead == Overhead.KEEP)


class Cost:
    """What `cost_text` says of a trace whose parts go by."""

    def __init__(self) -> None:
        self._selection: Selection | None = None
        self._busy_ns = 0

    def add(self, selection: Selection) -> None:
        """Take in a part."""
        self._selection = selection
        if selection.window is not None:
            self._busy_ns += busy_ns(selection.calls, selection.since)

    def text(self, site_hits: NDArray[np.int64] | None) -> str:
        """Return it, at the end; `site_hits` is the number of events of each site, where it is known already."""
        selection = self._selection
        if selection is None:
            raise ValueError("a trace has at least one part")
        if selection.window is None or selection.window.total is not None:
            return cost_text(selection)
        cost = total_cost_ns(selection.trace, site_hits)
        return cost_line(selection.trace, cost, self._busy_ns, kept=selection.request.overhead == Overhead.KEEP)


def busy_ns(calls: Calls, since: int = 0) -> int:
    """Time in recorded calls, from a row on: that of the outermost ones."""
    outermost = (calls.depth == 0) & (calls.end_ns >= 0)
    outermost[:since] = False
    return int((calls.end_ns[outermost] - calls.start_ns[outermost]).sum())


def cost_line(trace: Trace, cost: int, busy: int, *, kept: bool) -> str:
    """The same of a cost and of the time in recorded calls, in ns; `kept`: it is part of the durations."""
    if not cost:
        return "probe cost: not measured, it is part of the durations"
    share = f", {100 * cost / busy:.0f} % of the time in recorded calls" if busy > 0 and cost <= busy else ""
    fate = "part of the durations (--overhead subtract)" if kept else "taken out of the durations"
    per_hit = " and ".join(
        f"{format_duration(ns)} a hit ({printable(kind)})" for kind, ns in trace.header.probe_cost_ns.items() if ns > 0
    )
    return f"probe cost: {format_duration(cost)}{share}, {fate}; {per_hit}"


def heading(selection: Selection) -> list[str]:
    """Lines without `# `: file and counts, program and host, command, probe cost, loss, damage."""
    calls = selection.total
    shown = counted(calls, "call") if len(selection) == calls else f"{format_count(len(selection))} of {calls} calls"
    return _heading(selection.trace, shown, selection.trace.events, cost_text(selection))


def heading_before(trace: Trace, hits: NDArray[np.int64]) -> list[str]:
    """The same before any call was made; `hits` is the number of events of each site."""
    cost = cost_line(trace, total_cost_ns(trace, hits), 0, kept=True)
    return _heading(trace, counted(calls_of(hits, trace.sites), "call"), events_of(hits, trace.sites), cost)


def _heading(trace: Trace, shown: str, n_events: int, cost: str) -> list[str]:
    events = f"{counted(n_events, 'event')}"
    length = format_duration(trace.end_ns - trace.start_ns)
    lines = [f"{printable(trace.path)}: {shown}, {events}, {length}", recorded_text(trace), command_text(trace)]
    lines += [cost, loss_text(trace.lost_events, trace.lost_values)]
    lines += note_lines(trace)
    if trace.closing is None:
        lines.append("not closed cleanly: the recorder was stopped hard, the last second may be missing")
    if trace.damage is not None:
        lines.append(f"damaged: {printable(trace.damage)}")
    return lines

"""What a trace is and holds, as one object for programs and as lines for people."""

from contextlib import suppress
from typing import Any

import numpy as np

from funcrec.report.calls import Calls, State
from funcrec.report.grouping import distinct_pairs
from funcrec.report.overhead import total_cost_ns
from funcrec.report.request import FilterRequest
from funcrec.report.stream import Finished
from funcrec.report.text import Output, printable
from funcrec.report.trace import Trace
from funcrec.report.views.heading import command_text, counted, loss_text, recorded_text
from funcrec.report.views.table import Column, text_column, write_table
from funcrec.report.windows import SIZE, ApartError
from funcrec.trace.records import SiteRole
from funcrec.units import format_duration, format_size


def overview(trace: Trace, size: int = SIZE) -> dict[str, Any]:
    """Return the facts of a trace; the keys are a contract, more may be added.

    Args:
        trace: the recording, read to its end, in windows of about `size` events where these suffice.
        size: see there.

    Raises:
        TraceError: nothing can be read.
    """
    counts = _counts(trace, size)
    reader, header, target = trace.reader, trace.header, trace.header.target
    events = trace.events
    by_function, states = counts.functions.tolist(), counts.states.tolist()
    probed = [site for site in trace.sites if not site.chained]
    sites = np.bincount([site.function for site in probed], minlength=len(trace.functions)).tolist()
    exits = _exits(trace)
    closing = trace.closing
    return {
        "version": int(getattr(reader, "version", 1)),
        "file": trace.path,
        "size": int(getattr(reader, "size", 0)),
        "lost": trace.lost_events,
        "lost_values": trace.lost_values,
        "damage": trace.damage,
        "closed": closing is not None,
        "reason": closing.reason if closing is not None else None,
        "exit_status": closing.exit_status if closing is not None and closing.exit_status >= 0 else None,
        "calls": sum(states),
        "events": events,
        "states": {state.label: states[state] for state in State if states[state]},
        "duration_ns": trace.end_ns - trace.start_ns,
        "start_realtime_ns": header.clock.realtime_ns,
        "goroutines": len(counts.goroutines),
        "go_version": target.get("go_version"),
        "build_id": target.get("go_build_id"),
        "gnu_build_id": target.get("gnu_build_id"),
        "target": target,
        "host": header.host,
        "tool": header.tool,
        "argv": header.argv,
        "options": header.options,
        "probe_cost_ns": header.probe_cost_ns,
        "probes": {
            "emulated": sum(not site.stepped for site in probed),
            "stepped": sum(bool(site.stepped) for site in probed),
        },
        "processes": [
            {
                "pid": process.pid,
                "parent": process.parent_pid or None,
                "start_ns": process.start_ns - trace.start_ns,
                "end_ns": process.end_ns - trace.start_ns if process.end_ns >= 0 else None,
                "exit_status": process.exit_status if process.exit_status >= 0 else None,
                "exe": process.exe,
                "command": process.command,
            }
            for process in trace.processes
        ],
        "losses": [
            {
                "kind": record.kind,
                "count": record.lost,
                "first_ns": record.first_ns - trace.start_ns,
                "last_ns": record.last_ns - trace.start_ns,
            }
            for record in trace.lost
        ],
        "notes": [
            {"time_ns": note.time_ns - trace.start_ns, "what": note.what, "text": note.text} for note in trace.notes
        ],
        "functions": [
            {
                "name": function.name,
                "sites": sites[number],
                "calls": by_function[number],
                "exits": {kind: counts[number] for kind, counts in exits.items() if counts[number]},
            }
            for number, function in enumerate(trace.functions)
            if not function.hidden
        ],
        "skipped": [{"name": skipped.name, "reason": skipped.reason} for skipped in trace.skipped],
    }


def _exits(trace: Trace) -> dict[str, list[int]]:
    """How many exits of each function were seen how: at an emulated or a stepped instruction, or with another's hit."""
    kinds = np.array([2 if site.chained else int(bool(site.stepped)) for site in trace.sites], dtype=np.int64)
    ends = np.array([site.role in (SiteRole.EXIT, SiteRole.POINT) for site in trace.sites], dtype=np.bool_)
    function = np.array([site.function for site in trace.sites], dtype=np.int64)
    hits = np.where(ends, trace.site_hits, 0)
    return {
        kind: np.bincount(function, np.where(kinds == number, hits, 0), len(trace.functions)).astype(int).tolist()
        for number, kind in enumerate(("emulated", "stepped", "chained"))
    }


def _exit_text(exits: dict[str, int]) -> str:
    """The kinds, most of them first; "" when none was seen."""
    kinds = sorted(exits, key=lambda kind: -exits[kind])
    return ", ".join(kinds)


class _Counts:
    """Calls by function (i64) and by state (i64), and who made them: (process, goroutine)."""

    def __init__(self, trace: Trace) -> None:
        self.functions, self.states = np.zeros(len(trace.functions), np.int64), np.zeros(len(State), np.int64)
        self.goroutines = {(facts.pid, facts.goid) for facts in trace.goroutines}

    def add(self, calls: Calls, since: int = 0) -> None:
        """Take in some calls, from a row on."""
        self.functions += np.bincount(calls.function[since:], minlength=len(self.functions))
        self.states += np.bincount(calls.state[since:], minlength=len(State))
        found = distinct_pairs(calls.pid[since:], calls.goid[since:])
        self.goroutines |= {(pid, goid) for pid, goid in found if goid}


def _counts(trace: Trace, size: int) -> _Counts:
    told = getattr(trace.reader, "site_events", None)
    if told is not None:
        with suppress(ApartError):
            parts, counts = Finished(trace, FilterRequest(), size), _Counts(trace)
            for selection in parts:
                counts.add(selection.calls, selection.since)
                del selection  # while the next one is made
            if np.array_equal(parts.hits, told):
                return counts
    counts = _Counts(trace)
    counts.add(trace.table())
    return counts


def write_overview(output: Output, trace: Trace, facts: dict[str, Any]) -> None:
    """Write the facts for people: `# key: value` lines, then functions and what was skipped."""
    for line in _lines(trace, facts):
        output.line(f"# {line}")
    rows = [row | {"exits": _exit_text(row["exits"])} for row in facts["functions"]]
    functions = sorted(rows, key=lambda row: (-row["calls"], row["name"]))
    if functions:
        output.line()
        columns = [
            Column("calls"),
            Column("sites"),
            text_column("exits", "exits seen"),
            text_column("name", "function"),
        ]
        write_table(output, columns, functions)
    if facts["skipped"]:
        output.line()
        write_table(output, [text_column("name", "not probed"), text_column("reason", "because")], facts["skipped"])


def _lines(trace: Trace, facts: dict[str, Any]) -> list[str]:
    per_event = f", {facts['size'] / facts['events']:.2f} bytes an event" if facts["events"] else ""
    size = f", {format_size(facts['size'])}{per_event}" if facts["size"] else ""
    minor = f".{trace.reader.minor}" if trace.reader.minor else ""
    reason = f" ({printable(facts['reason'])})" if facts["reason"] else ""
    closed = "closed cleanly" + reason if facts["closed"] else "not closed cleanly: it ends where the recorder did"
    states = ", ".join(f"{count} {label}" for label, count in facts["states"].items())
    builds = [printable(str(facts[key] or "unknown")) for key in ("build_id", "gnu_build_id")]
    counts = [counted(facts["calls"], "call") + (f" ({states})" if states else "")]
    counts += [counted(facts["events"], "event"), counted(facts["goroutines"], "goroutine")]
    lines = [
        f"trace: {printable(trace.path)}, format {facts['version']}{minor}{size}, {closed}",
        f"program: {recorded_text(trace)}",
        f"build: Go {builds[0]}, GNU {builds[1]}",
        f"command: {command_text(trace)}",
        f"written by: {printable(facts['tool'])}",
        f"calls: {', '.join(counts)}, {format_duration(facts['duration_ns'])}",
        loss_text(trace.lost_events, trace.lost_values),
    ]
    lines += _process_lines(facts)
    probes, cost = facts["probes"], total_cost_ns(trace)
    measured = ", ".join(f"{format_duration(ns)} {printable(kind)}" for kind, ns in facts["probe_cost_ns"].items())
    lines.append(
        f"probes: {probes['emulated']} emulated, {probes['stepped']} stepped"
        + (f"; a hit costs {measured}; {format_duration(cost)} in all" if measured else "; cost not measured")
    )
    if trace.reader.plans:
        lines.append("values: arguments or results are in the file; look before you share it")
    lines += [f"note at {format_duration(n['time_ns'])}: {printable(n['text'])}" for n in facts["notes"]]
    lines += [f"not understood, from a later funcrec: {printable(kind)}" for kind in trace.passed_over]
    if facts["damage"] is not None:
        lines.append(f"damaged: {printable(facts['damage'])}")
    return lines


def _process_lines(facts: dict[str, Any]) -> list[str]:
    lines = []
    for process in facts["processes"]:
        name = " ".join(process["command"]) or process["exe"]
        status = process["exit_status"]
        if process["end_ns"] is None:
            end = "still running at the end"
        else:
            end = f"ended at {format_duration(process['end_ns'])}" + (f" with {status}" if status is not None else "")
        lines.append(f"process: {process['pid']} {printable(name)}, {end}")
    return lines

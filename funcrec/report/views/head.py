"""The lines above every view for people: what is shown, how calls ended, what was lost, what the probes cost."""

from collections.abc import Sequence

from funcrec.report.calls import State
from funcrec.report.facts import Facts
from funcrec.report.text import Output, printable
from funcrec.units import format_count, format_duration


def plural(n: int, noun: str) -> str:
    """`1 call`, `1 234 calls`."""
    return f"{format_count(n)} {noun}{'' if n == 1 else 's'}"


def write_head(output: Output, facts: Sequence[Facts]) -> None:
    """Write the lines, each behind `# `."""
    for line in head_lines(facts):
        output.line(output.palette.paint(f"# {line}", output.palette.dim))


def head_lines(facts: Sequence[Facts]) -> list[str]:
    """Return the lines: traces and calls; how they ended and what was lost; damage; probe cost."""
    shown, calls = sum(each.shown for each in facts), sum(each.calls for each in facts)
    name = printable(facts[0].file) if len(facts) == 1 else plural(len(facts), "trace")
    functions = f"{plural(max(each.functions for each in facts), 'function')}" if len(facts) == 1 else ""
    goroutines = plural(sum(each.goroutines for each in facts), "goroutine")
    counted = plural(shown, "call") if shown == calls else f"{format_count(shown)} of {plural(calls, 'call')}"
    where = " in ".join(part for part in (functions, goroutines) if part)
    span = format_duration(sum(each.span_ns for each in facts))
    lines = [f"{name}: {counted}{' of ' if functions else ' in '}{where}, {span} recorded"]
    lines.append(f"{_endings(facts)}; {loss_text(facts)}")
    lines += [f"{printable(each.file)}: {printable(each.damage)}" for each in facts if each.damage is not None]
    return [*lines, cost_text(facts)]


def _endings(facts: Sequence[Facts]) -> str:
    totals = [sum(counts) for counts in zip(*(each.states for each in facts), strict=True)]
    parts = [f"{format_count(totals[state])} {state.label}" for state in State if totals[state]]
    return ", ".join(parts) or "no calls"


def loss_text(facts: Sequence[Facts]) -> str:
    """`0 events lost`, also when there is nothing to tell."""
    values = sum(each.lost_values for each in facts)
    return (
        plural(sum(each.lost_events for each in facts), "event")
        + " lost"
        + (f", {plural(values, 'value')} lost" if values else "")
    )


def cost_text(facts: Sequence[Facts]) -> str:
    """What the probes themselves cost, and whether durations contain it."""
    known = [each.probe_ns for each in facts if each.probe_ns is not None]
    if not known:
        return "the cost of the probes was not measured; it is part of the durations"
    hits = sum(total / max(each, 1e-9) for each, total in known)
    total = sum(total for _, total in known)
    where = "subtracted from" if all(each.subtracted for each in facts) else "part of"
    hit = f"{total / max(hits, 1.0):.0f} ns a hit"
    return f"probes cost about {hit}, {format_duration(total)} in all, {where} the durations"

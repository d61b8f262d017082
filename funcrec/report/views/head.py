"""The lines above every view for people: what is shown, how calls ended, what was lost, what the probes cost."""

from collections.abc import Sequence

from funcrec.report.calls import State
from funcrec.report.facts import Facts
from funcrec.report.text import Output, printable
from funcrec.report.views.heading import counted, loss_text
from funcrec.units import format_count, format_duration


def write_head(output: Output, facts: Sequence[Facts]) -> None:
    """Write the lines, each behind `# `."""
    for line in head_lines(facts):
        output.line(output.palette.paint(f"# {line}", output.palette.dim))


def head_lines(facts: Sequence[Facts]) -> list[str]:
    """Return the lines: traces and calls, how they ended, what probes cost, what was lost, damage."""
    shown, calls = sum(each.shown for each in facts), sum(each.calls for each in facts)
    name = printable(facts[0].file) if len(facts) == 1 else counted(len(facts), "trace")
    functions = f"{counted(max(each.functions for each in facts), 'function')}" if len(facts) == 1 else ""
    goroutines = counted(sum(each.goroutines for each in facts), "goroutine")
    amount = counted(shown, "call") if shown == calls else f"{format_count(shown)} of {counted(calls, 'call')}"
    where = " in ".join(part for part in (functions, goroutines) if part)
    span = format_duration(sum(each.span_ns for each in facts))
    lines = [f"{name}: {amount}{' of ' if functions else ' in '}{where}, {span} recorded"]
    lines += [_endings(facts), *cost_lines(facts), losses(facts)]
    lines += [line for each in facts for line in each.guard]
    return lines + [f"{printable(each.file)} is damaged: {printable(each.damage)}" for each in facts if each.damage]


def _endings(facts: Sequence[Facts]) -> str:
    totals = [sum(counts) for counts in zip(*(each.states for each in facts), strict=True)]
    parts = [f"{format_count(totals[state])} {state.label}" for state in State if totals[state]]
    return ", ".join(parts) or "no calls"


def losses(facts: Sequence[Facts]) -> str:
    """What all traces together lost."""
    return loss_text(sum(each.lost_events for each in facts), sum(each.lost_values for each in facts))


def cost_lines(facts: Sequence[Facts]) -> list[str]:
    """What the probes themselves cost, and whether durations contain it: one line for all traces."""
    if len(facts) == 1 or not any(each.cost_ns for each in facts):
        return list(dict.fromkeys(each.cost for each in facts))
    total = format_duration(sum(each.cost_ns for each in facts))
    unknown = sum(not each.cost_ns for each in facts)
    fate = "part of the durations" if all(each.kept for each in facts) else "taken out of the durations"
    return [
        f"probe cost: {total} in all, {fate}" + (f"; not measured in {counted(unknown, 'trace')}" if unknown else "")
    ]

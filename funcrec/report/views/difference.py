"""A comparison for people: both sides next to each other, the shift with its interval, the verdict."""

from collections.abc import Sequence

from funcrec.report.answers.diff import DiffSide, rows_of, summary_text
from funcrec.report.difference import Difference, Verdict
from funcrec.report.facts import Facts
from funcrec.report.grouping import column_name
from funcrec.report.request import Format, OutputRequest
from funcrec.report.text import Output, Palette, printable
from funcrec.report.views.head import losses
from funcrec.report.views.heading import counted
from funcrec.report.views.histogram import key_text
from funcrec.report.views.table import Column, Row, choose_columns, sort_rows, text_column, write_rows, write_table
from funcrec.units import format_count, format_duration

_MACHINE = ("func", "bucket", "base", "new", "p50_ratio", "p50_low", "p50_high", "verdict")
_MORE = ("p99_ratio", "p99_low", "p99_high", "p99_verdict", "p", "total_delta_ns")
_PEOPLE = ("verdict", "calls", "p50", "shift", "p99", "tail", "name")


def percent(ratio: float) -> str:
    """`+18.2 %` for 1.182; beyond ten times as `×12.5`."""
    return f"{100 * (ratio - 1):+.1f} %" if 0.1 < ratio < 10 else f"×{ratio:.3g}"


def shift_text(ratio: float | None, low: float | None, high: float | None) -> str:
    """`+18.2 % (+16.1 % to +20.3 %)`."""
    if ratio is None:
        return "-"
    if not low or high is None:
        return f"{percent(ratio)} (too few calls)"
    return f"{percent(ratio)} ({percent(low)} to {percent(high)})"


def write_difference(
    output: Output,
    sides: tuple[DiffSide, DiffSide],
    differences: list[Difference],
    by: Sequence[str],
    request: OutputRequest,
) -> None:
    """Write a comparison.

    Raises:
        UsageError: an unknown field or column to sort by.
    """
    rows = rows_of(differences)
    if request.format != Format.TEXT:
        columns = [Column(name) for name in (*_MACHINE, *_MORE)]
        if request.sort is not None:
            rows = sort_rows(rows, request.sort, columns)
        if request.format == Format.CSV:
            columns, rows = _flat(columns, rows)
        chosen = choose_columns(request.fields, columns, [column.key for column in columns])
        write_rows(output, chosen, rows[: request.top], request.format)
        return
    columns = [Column(name, right=False, style=_style) for name in ("verdict", "tail")]
    columns += map(Column, ("calls", "p50", "p99", "total_delta_ns", "p50_ratio", "p99_ratio", "p"))
    columns += [text_column("shift"), text_column("name", "function")]
    shown = [_for_people(row, by) for row in rows]
    if request.sort is not None:
        shown = sort_rows(shown, request.sort, columns)
    for line in head_lines(sides):
        output.line(output.palette.paint(f"# {line}", output.palette.dim))
    write_table(output, choose_columns(request.fields, columns, _PEOPLE), shown[: request.top])
    output.line(f"verdict: {summary_text(differences)}")


def _flat(columns: list[Column], rows: list[Row]) -> tuple[list[Column], list[Row]]:
    """Columns base_n, base_p50_ns ... instead of objects."""
    names = [f"{side}_{key}" for side in ("base", "new") for key in ("n", "p50_ns", "p99_ns", "total_ns")]
    at = [column.key for column in columns].index("base")
    flat = [*columns[:at], *map(Column, names), *columns[at + 2 :]]
    return flat, [
        {**row, **{name: row[name.split("_", 1)[0]][name.split("_", 1)[1]] for name in names}} for row in rows
    ]


def _for_people(row: Row, by: Sequence[str]) -> Row:
    base, new = row["base"], row["new"]
    keys = row["bucket"] if len(by) > 1 else [row["bucket"]]
    bucket = ", ".join(key_text(column_name(each), key) for each, key in zip(by, keys, strict=False))
    tail = row["p99_verdict"]
    return {
        "verdict": row["verdict"],
        "calls": f"{format_count(base['n'])} → {format_count(new['n'])}",
        "p50": _pair(base["p50_ns"], new["p50_ns"]),
        "p99": _pair(base["p99_ns"], new["p99_ns"]),
        "shift": shift_text(row["p50_ratio"], row["p50_low"], row["p50_high"]),
        "tail": "-" if tail in (Verdict.ONLY_BASE, Verdict.ONLY_NEW) else tail,
        "name": printable(row["func"]) + (f"  {printable(bucket)}" if bucket else ""),
        "total_delta_ns": row["total_delta_ns"],
        "p50_ratio": row["p50_ratio"],
        "p99_ratio": row["p99_ratio"],
        "p": row["p"],
    }


def _pair(base: int | None, new: int | None) -> str:
    return " → ".join("-" if ns is None else format_duration(ns) for ns in (base, new))


def head_lines(sides: tuple[DiffSide, DiffSide]) -> list[str]:
    """Both recordings, whether they are of one build, and what became of the cost of the probes."""
    named = zip(("base", "new"), sides, strict=True)
    lines = [_side_text(name, facts) for name, side in named for facts in side.facts]
    same = sides[0].builds == sides[1].builds and len(sides[0].builds) == 1 and "" not in sides[0].builds
    lines.append(f"{'the same build' if same else 'different builds'}, matched by function name")
    return [*lines, _cost_text(*sides)]


def _side_text(name: str, facts: Facts) -> str:
    shown = counted(facts.shown, "call")
    if facts.shown != facts.calls:
        shown = f"{format_count(facts.shown)} of {counted(facts.calls, 'call')}"
    span = format_duration(facts.span_ns)
    return f"{name}: {printable(facts.file)}: {shown} in {span}, {losses([facts])}"


def _cost_text(base: DiffSide, new: DiffSide) -> str:
    measured = [sum(facts.cost_ns for facts in side.facts) for side in (base, new)]
    if not any(measured):
        return "probe cost: not measured, it is part of the durations on both sides"
    costs = " and ".join(format_duration(each) if each else "not measured" for each in measured)
    if not base.facts[0].kept:
        return f"probe cost: {costs}, taken out of the durations on both sides"
    return f"probe cost: {costs}, part of the durations on both sides, which draws ratios towards 1"


def _style(verdict: str, palette: Palette) -> str:
    """The colour of a verdict."""
    return {"slower": palette.red, "faster": palette.green, "unsure": palette.yellow}.get(verdict, "")

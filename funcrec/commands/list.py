"""`funcrec list`: what `record` would probe, and what it would not. Needs no privilege."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from funcrec.commands.selecting import Binary, DebugFile, ExcludeVendor, Match, Patterns, Roots
from funcrec.errors import UsageError
from funcrec.plan.sites import ExitMode
from funcrec.report.request import Color, Format, OutputRequest

_MAX_SIGNATURES = 40  # functions whose values are listed without -v

if TYPE_CHECKING:
    from funcrec.plan.captures import Signatures
    from funcrec.plan.sites import ProbePlan
    from funcrec.report.text import Output
    from funcrec.target.executable import Executable


def command(
    binary: Binary,
    roots: Roots = None,
    patterns: Patterns = None,
    match: Match = "glob",
    debug_file: DebugFile = None,
    exclude_vendor: ExcludeVendor = True,
    max_probes: Annotated[int | None, typer.Option("--max-probes", help="Fail when it takes more than this.")] = None,
    exits: Annotated[
        ExitMode, typer.Option("--exits", help="Where calls are seen to end: auto, or at every RET.")
    ] = ExitMode.AUTO,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every probe and why it is there.")] = False,
    format_: Annotated[Format, typer.Option("--format", help="Form of the output.")] = Format.TEXT,
    color: Annotated[Color, typer.Option("--color", help="Colours (also NO_COLOR).")] = Color.AUTO,
    no_pager: Annotated[bool, typer.Option("--no-pager", help="Never start a pager.")] = False,
    debug: Annotated[bool, typer.Option("-d", "--debug", help="Show a traceback with an error.")] = False,
) -> int:
    """List what `record` would probe, without privilege: functions, probes, what is left out and why.

    Examples:

      funcrec list -u 'main.*' ./svc

      funcrec list -u 'net/http.*' -u '!net/http.(*http2*' -v ./svc
    """
    from funcrec.plan.builder import build_plan
    from funcrec.plan.captures import ResultReader, Signatures, plan_values
    from funcrec.report.text import Output
    from funcrec.target.executable import Executable

    if not patterns and not roots:
        raise UsageError("no function is named", remedy="name some with -u, such as -u 'main.*'")
    executable = Executable.open(binary, debug_file)
    # A listing is for looking: no limit unless asked for.
    limit = 1 << 24 if max_probes is None else max_probes
    signatures = Signatures(executable)
    plan = build_plan(
        executable,
        patterns or [],
        roots or [],
        match=match,
        exclude_vendor=exclude_vendor,
        max_probes=limit,
        exits=exits,
        takes_back=not roots,
        adaptive=True,
        reads=ResultReader(signatures).reads,
    )
    plan_values(executable, plan, signatures=signatures)  # a value that does not exist is an error here too
    with Output(OutputRequest(format=format_, color=color, pager=not no_pager)) as output:
        if format_ == Format.TEXT:
            _write_text(output, executable, plan, signatures, verbose=verbose)
        else:
            _write_rows(output, executable, plan, signatures, format_, verbose=verbose)
    return 0


def _write_text(
    output: "Output", executable: "Executable", plan: "ProbePlan", signatures: "Signatures", *, verbose: bool
) -> None:
    from funcrec.plan.cost import estimate_cost
    from funcrec.plan.listing import function_rows, skipped_rows
    from funcrec.report.text import printable
    from funcrec.report.views.table import write_table
    from funcrec.target.architecture import architecture_of
    from funcrec.units import format_duration

    paint, palette = output.palette.paint, output.palette
    rows = function_rows(plan, architecture_of(executable).reader(executable).instruction_at if verbose else None)
    kind = f"{executable.go_version}, {executable.architecture}{', PIE' if executable.is_pie else ''}"
    output.line(f"{printable(plan.binary)}: {kind}, build id {printable(_build_id(executable))}")
    cost = estimate_cost(plan)
    probes = sum(row["sites"] for row in rows)
    output.line(
        f"{_count(len(rows), 'function')}, {_count(probes, 'probe')}; a call takes about "
        f"{format_duration(cost.bare_ns)} longer on bare metal, {format_duration(cost.virtual_ns)} on a virtual machine"
    )
    output.line()
    if verbose:
        for row in rows:
            output.line(f"{paint(printable(row['name']), palette.bold)}  {printable(_place(row))}{_remark(row)}")
            for probe in row["probes"]:
                text = f"{probe['address']:>12}  {probe['role']:5}  {probe['kind']:8}  {probe['instruction']}"
                output.line(f"{text:<64}  {paint(probe['why'], palette.dim)}")
    else:
        write_table(output, _columns(), [row | {"place": _place(row), "remark": _remark(row)} for row in rows])
    if verbose or len(rows) <= _MAX_SIGNATURES:
        _write_values(output, plan, signatures)
    if plan.skipped:
        output.line()
        count = _count(len(plan.skipped), "matched function")
        output.line(paint(f"not recorded: {count}", palette.bold))
        for row in skipped_rows(plan):
            output.line(f"  {printable(row['name'])}: {printable(row['reason'])}")
    if plan.notes:
        output.line()
        for note in plan.notes:
            output.line(f"note: {printable(note)}")


def _write_values(output: "Output", plan: "ProbePlan", signatures: "Signatures") -> None:
    """Where the values of each function are."""
    from funcrec.plan.signatures import signature_lines
    from funcrec.report.text import printable

    for function in plan.functions:
        lines = [] if function.hidden else signature_lines(signatures, function)
        if lines:
            output.line()
            output.line(output.palette.paint(f"values of {printable(function.name)}", output.palette.bold))
            for line in lines:
                output.line(f"  {printable(line)}")


def _columns() -> list[Any]:
    """Columns of the text table."""
    from funcrec.report.views.table import Column, text_column

    return [
        text_column("name", "function"),
        Column("sites", "probes"),
        text_column("entry"),
        text_column("exit"),
        text_column("place", "declared"),
        text_column("remark", " "),
    ]


def _count(n: int, noun: str) -> str:
    from funcrec.units import format_count

    return f"{format_count(n)} {noun}{'' if n == 1 else 's'}"


def _build_id(executable: "Executable") -> str:
    return executable.gnu_build_id or executable.go_build_id


def _place(row: dict[str, Any]) -> str:
    return f"{row['file']}:{row['line']}" if row["file"] else "?"


def _remark(row: dict[str, Any]) -> str:
    remarks = ["root"] if row["root"] else []
    if row["inlined_into"]:
        remarks.append("partly inlined")
    return "  " + ", ".join(remarks) if remarks else ""


def _write_rows(
    output: "Output",
    executable: "Executable",
    plan: "ProbePlan",
    signatures: "Signatures",
    format_: Format,
    *,
    verbose: bool,
) -> None:
    from funcrec.plan.listing import function_rows, skipped_rows
    from funcrec.plan.signatures import signature_rows
    from funcrec.report.views.table import Column, json_text, write_rows
    from funcrec.target.architecture import architecture_of

    rows = function_rows(plan, architecture_of(executable).reader(executable).instruction_at if verbose else None)
    shown = [function for function in plan.functions if not function.hidden]
    for row, function in zip(rows, shown, strict=True):
        row["values"] = signature_rows(signatures, function)
    if format_ == Format.JSON:
        document = {
            "version": 1,
            "binary": plan.binary,
            "go_version": executable.go_version,
            "build_id": _build_id(executable),
            "functions": rows,
            "skipped": skipped_rows(plan),
            "notes": list(plan.notes),
        }
        output.line(json_text(document))
        return
    keys = [*rows[0], "reason"] if rows else ["name", "reason"]
    empty = dict.fromkeys(keys)
    everything = [empty | row for row in rows] + [empty | {"sites": 0} | row for row in skipped_rows(plan)]
    write_rows(output, [Column(key) for key in keys], everything, format_)

"""`funcrec info`: what a trace is and holds."""

from typing import Annotated

import typer

from funcrec.commands.options import InputOption, OptionalFiles, OutputRequest, input_files, shared, warn
from funcrec.errors import ExitCode
from funcrec.report.request import Format


@shared
def command(
    output: OutputRequest,
    files: OptionalFiles = None,
    more: InputOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Read the whole file, values too; exit with 5 when anything is damaged.")
    ] = False,
) -> int:
    """Program, host, command, processes, probes, functions with sites and calls, losses, what was skipped and why.

    funcrec info trace.zst

    funcrec info trace.zst --check --format json
    """
    from funcrec.report.text import Output
    from funcrec.report.trace import Trace
    from funcrec.report.views.overview import overview, write_overview
    from funcrec.report.views.table import Column, json_text, write_rows

    damaged = incomplete = False
    described = []
    with Output(output) as out:
        for number, file in enumerate(input_files(files, more)):
            trace = Trace(file)
            if check:
                trace.reader.check()
            facts = overview(trace)
            described.append(facts)
            if output.format == Format.TEXT:
                out.write("\n" if number else "")
                write_overview(out, trace, facts)
            elif output.format == Format.CSV:
                write_rows(out, [Column("name"), Column("sites"), Column("calls")], facts["functions"], output.format)
            elif output.format == Format.JSONL:
                out.line(json_text(facts))
            for line in trace.shortcomings:
                warn(f"{file}: {line}")
            if check and trace.damage is None:
                warn(f"{file}: every record can be read")
            damaged |= trace.damage is not None
            incomplete |= bool(trace.shortcomings)
        if output.format == Format.JSON:
            out.line(json_text(described[0] if len(described) == 1 else described))
    if check and damaged:
        return int(ExitCode.TRACE)
    return int(ExitCode.ENVIRONMENT) if output.strict and incomplete else int(ExitCode.DONE)

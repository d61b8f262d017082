"""`funcrec export`: a trace in the form of another tool, or as one HTML page."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from funcrec.commands.options import FilterRequest, InputOption, OptionalFiles, input_files, shared, warn
from funcrec.errors import ExitCode, UsageError
from funcrec.report.export.formats import ExportFormat, format_of
from funcrec.report.export.run import ExportRequest
from funcrec.report.request import Names

if TYPE_CHECKING:
    from funcrec.report.stream import Stream

OutOption = Annotated[
    str,
    typer.Option("-o", "--output", metavar="OUT", help="File to write; the suffix tells the format. '-': stdout."),
]
FormatOption = Annotated[ExportFormat | None, typer.Option("--format", help="Format, whatever the suffix says.")]
GoroutinesOption = Annotated[bool, typer.Option("--by-goroutine", help="pprof, folded: keep goroutines apart.")]
MaxCallsOption = Annotated[
    int, typer.Option("--max-calls", metavar="N", help="html: at most N calls in the timeline, the longest.", min=1)
]
ByOption = Annotated[
    str, typer.Option("--by", metavar="EXPR", help="html: distributions per bucket, such as 'len(b)/1KB'.")
]
NamesOption = Annotated[Names, typer.Option("--names", "--demangle", help="Whole names, or without import paths.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit with 3 when events were lost or a file is damaged.")]
DebugOption = Annotated[bool, typer.Option("-d", "--debug", help="Show a traceback with an error.")]


@shared
def command(
    filters: FilterRequest,
    files: OptionalFiles = None,
    more: InputOption = None,
    out: OutOption = "",
    format_: FormatOption = None,
    by_goroutine: GoroutinesOption = False,
    max_calls: MaxCallsOption = 1_000_000,
    by: ByOption = "",
    names: NamesOption = Names.FULL,
    strict: StrictOption = False,
    debug: DebugOption = False,
) -> int:
    """Write a trace for another tool, or as one HTML page that opens anywhere.

    \b
    perfetto    .perfetto-trace .pftrace   ui.perfetto.dev: goroutines, values, creations, losses
    chrome      .json                      chrome://tracing, editors
    pprof       .pb.gz .pprof              go tool pprof: calls and self time
    speedscope  .speedscope.json           speedscope.app: one profile per goroutine
    folded      .folded .txt               flamegraph.pl, inferno: self time in ns; of two traces, both
    csv, jsonl  .csv .jsonl                one row per call
    parquet     .parquet or a folder       one row per call, one schema for all traces
    html        .html                      a page; with two traces also their comparison

      funcrec export trace.zst -o trace.html

      funcrec export before.zst after.zst -o diff.html --by 'len(b)/1KB'

      funcrec export trace.zst -o trace.pb.gz -F 'main.(*API).*' && go tool pprof -http : trace.pb.gz
    """
    del debug  # the command line looks at it before anything is parsed
    if not out:
        raise UsageError("no output was named", remedy="add -o, such as -o trace.html")
    names_of_files = input_files(files, more)
    folder = Path(out)
    dataset = format_ in (None, ExportFormat.PARQUET) and (folder.is_dir() or out.endswith("/"))
    request = ExportRequest(
        ExportFormat.PARQUET if dataset else format_of(out, format_), by_goroutine, max_calls, by, names
    )
    most = None if dataset else 2 if request.format in (ExportFormat.HTML, ExportFormat.FOLDED) else 1
    if most is not None and len(names_of_files) > most:
        raise UsageError(
            f"{request.format} takes {most} {'trace' if most == 1 else 'traces'}, not {len(names_of_files)}",
            remedy="export each of them, or several to a folder of Parquet files: -o calls/",
        )
    streams = list(_streams(names_of_files, filters))
    if dataset:
        _write_dataset(streams, names_of_files, request, folder)
    else:
        _write(streams, names_of_files, request, out)
    return _conclude(streams, names_of_files, strict)


def _streams(files: list[str], filters: FilterRequest) -> Iterator["Stream"]:
    from funcrec.report.stream import Stream
    from funcrec.report.trace import Trace

    for file in files:
        yield Stream(Trace(file), filters)


def _write(streams: list["Stream"], files: list[str], request: ExportRequest, out: str) -> None:
    from funcrec.report.export.output import opened
    from funcrec.report.export.run import export

    with opened(out) as file:
        notes = export(streams, [Path(name).name for name in files], request, file)
    for note in notes:
        warn(note)


def _write_dataset(streams: list["Stream"], files: list[str], request: ExportRequest, folder: Path) -> None:
    """One file per trace in a folder, named after host and start: many hosts can write to the same one."""
    from funcrec.report.export.parquet import part_name

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}", remedy="name another one") from error
    for stream, name in zip(streams, files, strict=True):
        _write([stream], [name], request, str(folder / part_name(stream.trace)))


def _conclude(streams: list["Stream"], files: list[str], strict: bool) -> int:
    from funcrec.report.views.heading import loss_text
    from funcrec.units import format_count

    incomplete = False
    for stream, file in zip(streams, files, strict=True):
        trace = stream.trace
        shown, calls = format_count(stream.shown), format_count(stream.calls)
        warn(f"{file}: {shown} of {calls} calls, {loss_text(trace.lost_events, trace.lost_values)}")
        for line in trace.shortcomings:
            warn(f"{file}: {line}")
        incomplete |= bool(trace.shortcomings)
    return int(ExitCode.ENVIRONMENT) if strict and incomplete else int(ExitCode.DONE)

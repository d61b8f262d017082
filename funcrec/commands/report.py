"""`funcrec report`: the call graph of a trace, or one record per call."""

from typing import TYPE_CHECKING

from funcrec.commands.options import FilterRequest, InputOption, OptionalFiles, OutputRequest, input_files, shared, warn
from funcrec.errors import ExitCode
from funcrec.report.request import Format

if TYPE_CHECKING:
    from funcrec.report.stream import Stream
    from funcrec.report.text import Output


@shared
def command(
    filters: FilterRequest,
    output: OutputRequest,
    files: OptionalFiles = None,
    more: InputOption = None,
) -> int:
    """Call graph in time order; several traces one after the other.

    Each line: seconds since the start, duration with a mark for slow, goroutine, function, file and line of the call.
    How a call ended is said unless it returned: panicked, goexit, open (at the end of the trace), lost (an event of it
    is missing).

      funcrec report trace.zst --min 1ms

      funcrec report trace.zst -F 'main.(*API).*' -D 3 -r 10%~20%

      funcrec report trace.zst --where 'func =~ "db.*" and dur > 5ms' --format jsonl
    """
    from funcrec.report.passing import pass_through
    from funcrec.report.stream import Stream
    from funcrec.report.text import Output
    from funcrec.report.trace import Trace
    from funcrec.report.views.callgraph import write_passing

    incomplete = False
    with Output(output) as out:
        for number, file in enumerate(input_files(files, more)):
            trace = Trace(file)
            text = output.format == Format.TEXT
            passing = pass_through(trace) if text and filters == FilterRequest() and output.top is None else None
            stream = Stream(trace, filters, at_once=text, own=not text) if passing is None else None
            if number and text:
                out.line()
            if passing is not None:
                calls = shown = write_passing(out, trace, passing, output)
            elif stream is not None:
                _write(out, stream, output)
                calls, shown = stream.calls, stream.shown
            if shown == 0:
                warn(f"0 of {calls} calls match in {file}")
            for line in trace.shortcomings:
                warn(f"{file}: {line}")
            incomplete |= bool(trace.shortcomings)
    return int(ExitCode.ENVIRONMENT) if output.strict and incomplete else int(ExitCode.DONE)


def _write(out: "Output", stream: "Stream", output: OutputRequest) -> None:
    from funcrec.report.export.rows import write_calls, write_chosen
    from funcrec.report.views.callgraph import write_callgraph

    if output.format == Format.TEXT:
        write_callgraph(out, stream.whole().first(output.top), output)
    elif output.fields is not None or output.sort is not None:
        write_chosen(out, stream.whole(), output)
    else:
        write_calls(out, stream, output.format, output.names, output.top)

"""`funcrec hist`: how durations, or any other numbers, are distributed."""

from typing import TYPE_CHECKING, Annotated

import typer

from funcrec.commands.many import ClusterOption, conclude
from funcrec.commands.options import FilterRequest, InputOption, OptionalFiles, OutputRequest, input_files, shared
from funcrec.errors import UsageError
from funcrec.report.request import Format

if TYPE_CHECKING:
    from funcrec.report.distribution import Scale


@shared
def command(
    filters: FilterRequest,
    output: OutputRequest,
    files: OptionalFiles = None,
    more: InputOption = None,
    of: Annotated[
        str, typer.Option("--of", metavar="EXPR", help="The number: dur, self, or any expression, such as 'len(b)'.")
    ] = "dur",
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", metavar="KEY", help="One distribution per value: func, caller, file ... or 'len(b)/1KB'; see stat."
        ),
    ] = None,
    linear: Annotated[
        str | None,
        typer.Option("--linear", metavar="LOW,HIGH,STEP", help="Bins of one width, such as 0,10ms,1ms."),
    ] = None,
    over: Annotated[
        str | None, typer.Option("--over", metavar="time", help="Heat map: how the distribution changes over time.")
    ] = None,
    cluster: ClusterOption = None,
) -> int:
    """Distribution of durations, of self time or of any number, as bars; per value of anything; over time.

    Bins double: 1us, 2us, 4us ... 512us, 1ms. Calls without a known end, or without the value, are left out and
    counted.

      funcrec hist trace.zst -F main.Serialize --by 'len(b)/1KB'

      funcrec hist trace.zst --of 'len(b)' --linear 0,64KB,4KB

      funcrec hist trace.zst --over time --by func
    """
    from funcrec.report.answers import hist
    from funcrec.report.cluster import run_tasks
    from funcrec.report.text import Output
    from funcrec.report.views.histogram import write_histograms, write_machine

    if over not in (None, "time"):
        raise UsageError(f"cannot draw a heat map over '{over}'", remedy="use --over time")
    names = input_files(files, more)
    slice_ns = hist.slice_length(run_tasks(hist.span_task, names, None, cluster=cluster)) if over else 0
    request = hist.HistRequest(filters, of, tuple(by or ()), _scale(linear), slice_ns, output.names)
    answer = hist.merge_hist(run_tasks(hist.hist_task, names, request, cluster=cluster))
    rows = hist.arrange(hist.rows_of(answer, request), output.sort, output.top)
    with Output(output) as out:
        if output.format == Format.TEXT:
            write_histograms(out, answer, rows, request)
        else:
            write_machine(out, rows, output.fields, output.format)
    return conclude(answer.facts, output)


def _scale(linear: str | None) -> "Scale | None":
    if linear is None:
        return None
    from funcrec.lang.expr import Literal, Unary, parse
    from funcrec.report.distribution import linear_scale

    numbers: list[float] = []
    for part in linear.split(","):
        node = parse(part)
        negative = isinstance(node, Unary) and node.operator == "-"
        literal = node.operand if isinstance(node, Unary) and negative else node
        if not isinstance(literal, Literal) or isinstance(literal.value, str | bool | None):
            raise UsageError(f"'{part}' is not a number", remedy="write LOW,HIGH,STEP, such as 0,10ms,1ms")
        numbers.append(-literal.value if negative else literal.value)
    if len(numbers) != 3:
        raise UsageError(f"'{linear}' is not three numbers", remedy="write LOW,HIGH,STEP, such as 0,10ms,1ms")
    return linear_scale(*numbers)

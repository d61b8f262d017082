"""`funcrec diff`: what became slower or faster from one recording to another, and how certain that is."""

from typing import Annotated

import typer

from funcrec.commands.many import ClusterOption, conclude
from funcrec.commands.options import FilterRequest, OutputRequest, shared, warn
from funcrec.errors import ExitCode


@shared
def command(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The trace to compare with.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The trace to judge.")],
    filters: FilterRequest,
    output: OutputRequest,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="KEY", help="Compare per bucket too: caller, line ... or 'len(b)/1KB'; see stat."),
    ] = None,
    margin: Annotated[
        str, typer.Option("--margin", metavar="P", help="Medians that differ by less than this are the same.")
    ] = "5%",
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", metavar="COND", help="Exit with 1 when any row is 'slower > 5%' (or 'faster > P%')."),
    ] = None,
    cluster: ClusterOption = None,
) -> int:
    """Compare two recordings, function by function: calls, median and 99th percentile, shift with its 95 % interval.

    Functions are matched by name, so builds may differ. Intervals hold for latencies that come in bursts and have heavy
    tails; verdicts (slower, faster, same, unsure, only-base, only-new; those of the 99th percentile under tail) hold
    for all rows at once. unsure means too few calls, or too many that hang together, to tell a shift from none.

      funcrec diff before.zst after.zst

      funcrec diff before.zst after.zst -F main.Serialize --by 'len(b)/1KB'

      funcrec diff main.zst branch.zst --fail-on 'slower > 5%' --format json
    """
    from funcrec.report.answers import diff
    from funcrec.report.cluster import run_tasks
    from funcrec.report.text import Output
    from funcrec.report.views.difference import shift_text, write_difference

    condition = diff.parse_fail_on(fail_on) if fail_on is not None else None
    limit = diff.parse_margin(margin)
    request = diff.DiffRequest(filters, tuple(by or ()), output.names)
    one, other = run_tasks(diff.diff_task, [base, new], request, cluster=cluster)
    differences = diff.compare_sides(one, other, limit, condition)
    with Output(output) as out:
        write_difference(out, (one, other), differences, request.by, output)
    failed = diff.failures(differences, condition) if condition is not None else []
    for each in failed:
        name = " ".join(str(part) for part in each.key)
        warn(f"{name} is {each.verdict.value}: {shift_text(each.p50.ratio, each.p50.low, each.p50.high)}")
    status = conclude([one.facts, other.facts], output)
    return int(ExitCode.FAILURE) if failed else status

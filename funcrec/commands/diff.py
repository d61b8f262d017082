"""`funcrec diff`: what became slower or faster from one recording to another, and how certain that is."""

from typing import Annotated

import typer

from funcrec.commands.many import ClusterOption, conclude
from funcrec.commands.options import FilterRequest, OutputRequest, shared, warn
from funcrec.errors import ExitCode, UsageError


@shared
def command(
    files: Annotated[
        list[str],
        typer.Argument(metavar="BASE NEW", help="The trace to compare with and the one to judge; with --base all NEW."),
    ],
    filters: FilterRequest,
    output: OutputRequest,
    base: Annotated[
        list[str] | None,
        typer.Option("--base", metavar="FILE", help="A trace to compare with; repeat it for several runs or hosts."),
    ] = None,
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
    for all rows at once. unsure means too few calls, or too many that hang together, to tell a shift from none. What
    differs from run to run is minded when each side has several, best three or more (--base).

      funcrec diff before.zst after.zst

      funcrec diff before.zst after.zst -F main.Serialize --by 'len(b)/1KB'

      funcrec diff main.zst branch.zst --fail-on 'slower > 5%' --format json

      funcrec diff --base old-1.zst --base old-2.zst new-1.zst new-2.zst --by file
    """
    from funcrec.report.answers import diff
    from funcrec.report.answers.sides import read_sides
    from funcrec.report.text import Output
    from funcrec.report.views.difference import shift_text, write_difference

    condition = diff.parse_fail_on(fail_on) if fail_on is not None else None
    limit = diff.parse_margin(margin)
    request = diff.DiffRequest(filters, tuple(by or ()), output.names)
    one, other = read_sides(*_sides(files, base), request, cluster=cluster)
    differences = diff.compare_sides(one, other, limit, condition)
    with Output(output) as out:
        write_difference(out, (one, other), differences, request.by, output)
    failed = diff.failures(differences, condition) if condition is not None else []
    for each in failed:
        name = " ".join(str(part) for part in each.key)
        warn(f"{name} is {each.verdict.value}: {shift_text(each.p50.ratio, each.p50.low, each.p50.high)}")
    status = conclude([*one.facts, *other.facts], output)
    return int(ExitCode.FAILURE) if failed else status


def _sides(files: list[str], base: list[str] | None) -> tuple[list[str], list[str]]:
    """The traces to compare with, and those to judge."""
    if base:
        return base, files
    if len(files) != 2:
        named = "one was" if len(files) == 1 else f"{len(files)} were"
        remedy = "funcrec diff BASE NEW, or funcrec diff --base A1 --base A2 B1 B2"
        raise UsageError(f"two traces are compared and {named} named", remedy=remedy)
    return files[:1], files[1:]

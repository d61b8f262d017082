"""`funcrec graph`: the merged call tree, or who calls a function and what it calls."""

import os
from typing import Annotated

import typer

from funcrec.commands.many import ClusterOption, conclude
from funcrec.commands.options import FilterRequest, InputOption, OutputRequest, input_files, shared
from funcrec.errors import UsageError


@shared
def command(
    filters: FilterRequest,
    output: OutputRequest,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE... [FUNC]", help="Traces, then a function (GLOB) to look at from both sides."),
    ] = None,
    more: InputOption = None,
    percent_limit: Annotated[
        float,
        typer.Option("--percent-limit", metavar="P", help="Leave out nodes with a smaller share of the time."),
    ] = 0.0,
    by: Annotated[
        str | None, typer.Option("--by", metavar="file", help="Keep traces apart, each as a root of its own.")
    ] = None,
    cluster: ClusterOption = None,
) -> int:
    """Merged call tree: calls with the same path of functions are one node, with counts, total, self time and share.

    With FUNC, what leads to it (callers, upwards) and what it calls. --top keeps that many children of every node.

      funcrec graph trace.zst

      funcrec graph trace.zst 'db.(*Pool).Query' --percent-limit 1

      funcrec graph host-1.zst host-2.zst --by file
    """
    from funcrec.report.answers import graph
    from funcrec.report.cluster import run_tasks
    from funcrec.report.text import Output
    from funcrec.report.views.tree import write_graph

    if not 0 <= percent_limit <= 100:
        raise UsageError(f"--percent-limit {percent_limit:g} is no percentage", remedy="use 0 to 100")
    if by not in (None, "file"):
        raise UsageError(f"a graph cannot be divided by '{by}'", remedy="use --by file, or filters")
    names, function = _split(files or [], more)
    request = graph.GraphRequest(filters, function, by is not None, output.names)
    answer = graph.merge_graph(run_tasks(graph.graph_task, input_files(names, more), request, cluster=cluster), request)
    with Output(output) as out:
        write_graph(out, answer, output, percent_limit / 100)
    return conclude(answer.facts, output)


def _split(words: list[str], more: list[str] | None) -> tuple[list[str], str | None]:
    """Traces and FUNC: the last word is a function when it is not the only trace and no file has its name."""
    if words and (len(words) > 1 or more) and not os.path.exists(words[-1]):
        return words[:-1], words[-1]
    return words, None

"""`funcrec stat`: totals and percentiles per function, or per anything else."""

from typing import Annotated

import typer

from funcrec.commands.many import ClusterOption, conclude
from funcrec.commands.options import FilterRequest, InputOption, OptionalFiles, OutputRequest, input_files, shared
from funcrec.report.request import Format

ByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="KEY",
        help="func, package, caller, line, goroutine, creator, state, pid, tid, depth, file, or an expression such as"
        " 'len(b)/1KB'. Repeat it to combine.",
    ),
]


@shared
def command(
    filters: FilterRequest,
    output: OutputRequest,
    files: OptionalFiles = None,
    more: InputOption = None,
    by: ByOption = None,
    cluster: ClusterOption = None,
) -> int:
    """Table of calls, times and percentiles per function, caller, package, line, goroutine, file or any value.

    Total and self time, min, avg, percentiles and max are about calls with a known end; `calls` counts all. Fields not
    shown by default: rate, p90_ns, p999_ns, stddev_ns, errors (calls whose result err is not nil), panics, returned,
    goexit, open, lost, entry. Percentiles are within 1 %.

      funcrec stat trace.zst -s p99 -n 20

      funcrec stat trace.zst --by caller -F 'main.Serialize' -f +errors

      funcrec stat host1.zst host2.zst --by file --by func --format json
    """
    from funcrec.report.answers import stat
    from funcrec.report.cluster import run_tasks
    from funcrec.report.text import Output
    from funcrec.report.views.head import write_head
    from funcrec.report.views.table import choose_columns, sort_rows, write_rows

    groupings = tuple(by or ("func",))
    people = output.format == Format.TEXT
    available = stat.columns(groupings)
    keys = [column.key for column in available[: len(groupings)]]
    default = [*stat.PEOPLE, *keys] if people else [*keys, *stat.MACHINE]
    default += ["source"] if output.srcline else []
    columns = choose_columns(output.fields, available, default)
    wanted = {column.key for column in columns} | {part.strip(" -") for part in (output.sort or "").split(",")}
    request = stat.StatRequest(
        filters,
        groupings,
        spread=bool(wanted & {"stddev_ns", "stddev"}),
        errors="errors" in wanted,
        sources="source" in wanted,
        names=output.names,
    )
    answer = stat.merge_stat(run_tasks(stat.stat_task, input_files(files, more), request, cluster=cluster))
    rows = sort_rows(stat.rows_of(answer, groupings), output.sort or "total_ns", available)
    with Output(output) as out:
        if people:
            write_head(out, answer.facts)
        write_rows(out, columns, rows[: output.top], output.format)
    return conclude(answer.facts, output)

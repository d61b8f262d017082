"""`funcrec sql`: ask DuckDB about traces."""

from typing import Annotated

import typer

from funcrec.commands.many import conclude
from funcrec.commands.options import FilterRequest, InputOption, OutputRequest, input_files, shared
from funcrec.errors import UsageError


@shared
def command(
    filters: FilterRequest,
    output: OutputRequest,
    words: Annotated[
        list[str], typer.Argument(metavar="FILE... QUERY", help="Traces, then one query in DuckDB's SQL.")
    ],
    more: InputOption = None,
) -> int:
    """Ask DuckDB about the calls of traces (extra [sql]). Times are ns; start_ns counts from the start of the trace.

    Tables, each with a column trace: calls (id, parent, pid, goid, tid, func, start_ns, dur_ns, self_ns, depth, state,
    caller, caller_offset, file, line), functions (id, name, package, file, line, address, calls), goroutines (pid,
    goid, parent, created_by, file, line, entry, start_ns, end_ns, calls, busy_ns, ended), losses (ring, kind, first_ns,
    last_ns, count), call_values (name, call, number, integer, text, boolean, is_nil), events (event, time_ns, pid,
    goid, tid, stack, depth_bytes, func, role). Filters choose calls and values. A trace is never written to.

      funcrec sql trace.zst 'select func, count(*), quantile_cont(dur_ns, 0.99) p99 from calls group by 1 order by 3'

      funcrec sql trace.zst 'select name, avg(number), max(number) from call_values group by name'

      funcrec sql a.zst b.zst 'select trace, sum(count) from losses group by trace' --format csv
    """
    from funcrec.report.facts import facts_of
    from funcrec.report.filters import select
    from funcrec.report.sql import Database
    from funcrec.report.text import Output
    from funcrec.report.trace import Trace
    from funcrec.report.views.query import write_answer

    if len(words) < (1 if more else 2):
        raise UsageError("a trace or a query is missing", remedy="funcrec sql trace.zst 'select * from calls limit 10'")
    files, query = input_files(words[:-1], more), words[-1]
    selections = [select(Trace(file), filters) for file in files]
    answer = Database(selections, files, query, output.names).ask(query)
    with Output(output) as out:
        write_answer(out, answer, output)
    return conclude([facts_of(selection, file) for selection, file in zip(selections, files, strict=True)], output)

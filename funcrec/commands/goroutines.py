"""`funcrec goroutines`: who started whom, from which line, and what became of them."""

from funcrec.commands.many import ClusterOption, conclude
from funcrec.commands.options import FilterRequest, InputOption, OptionalFiles, OutputRequest, input_files, shared


@shared
def command(
    filters: FilterRequest,
    output: OutputRequest,
    files: OptionalFiles = None,
    more: InputOption = None,
    cluster: ClusterOption = None,
) -> int:
    """Goroutines as a tree of creation: creator and line of the go statement, life span, calls, busy time, ending.

    A goroutine is busy while it is in a recorded call. How it ended is known when the function that it runs is recorded
    (returned, panicked), when it called Goexit, and when a call is open at the end of the trace; its life is counted to
    the last that was seen of it.

      funcrec goroutines trace.zst

      funcrec goroutines trace.zst -s busy -n 10 -f goid,busy_ns,calls,entry
    """
    from funcrec.report.answers import goroutines
    from funcrec.report.cluster import run_tasks
    from funcrec.report.text import Output
    from funcrec.report.views.goroutines import write_goroutines

    request = goroutines.GoroutinesRequest(filters, output.names)
    answers = run_tasks(goroutines.goroutines_task, input_files(files, more), request, cluster=cluster)
    with Output(output) as out:
        write_goroutines(out, answers, output)
    return conclude([answer.facts for answer in answers], output)

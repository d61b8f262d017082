"""`funcrec record`: options to a RecordRequest."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from funcrec.commands.selecting import Binary, DebugFile, ExcludeVendor, Match, Patterns, Roots
from funcrec.errors import UsageError
from funcrec.plan.sites import ExitMode

_THREADS = "OPENBLAS_NUM_THREADS"


def command(
    context: typer.Context,
    binary: Binary,
    roots: Roots = None,
    patterns: Patterns = None,
    match: Match = "glob",
    debug_file: DebugFile = None,
    exclude_vendor: ExcludeVendor = True,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Trace file; an existing one becomes FILE.old.")
    ] = Path("trace.zst"),
    pids: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--pid",
            metavar="PID|NAME|UNIT|CONTAINER",
            help="Record only this process, or those of this name, systemd unit or container id. Repeatable.",
            show_default=False,
        ),
    ] = None,
    launch: Annotated[bool, typer.Option("--launch", help="Start BINARY; its arguments follow after --.")] = False,
    keep_user: Annotated[
        bool, typer.Option("--keep-user", help="Under sudo: start BINARY as root, not as the caller.")
    ] = False,
    duration: Annotated[str | None, typer.Option("--duration", metavar="DUR", help="End after 10s, 1m ...")] = None,
    max_size: Annotated[
        str | None, typer.Option("--max-size", metavar="SIZE", help="End when the file has 100M, 1G ...")
    ] = None,
    max_files: Annotated[
        int | None,
        typer.Option(
            "--max-files",
            metavar="N",
            help="At --max-size go on in a new file and keep N: FILE, FILE.1 ...",
            show_default=False,
        ),
    ] = None,
    buffer: Annotated[
        str, typer.Option("-b", "--buffer", metavar="SIZE", help="Memory for events that wait to be written.")
    ] = "64M",
    max_probes: Annotated[
        int, typer.Option("--max-probes", metavar="N", help="Refuse to attach more than this.")
    ] = 300_000,
    minimum: Annotated[
        str | None, typer.Option("--min", metavar="DUR", help="Drop calls that last shorter, in the kernel.")
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option(
            "--if",
            metavar="EXPR",
            help="Record only calls whose values meet this, such as 'id == 42 and err != nil'; tested in the kernel.",
            show_default=False,
        ),
    ] = None,
    max_overhead: Annotated[
        str | None,
        typer.Option(
            "--max-overhead",
            metavar="PERCENT|off",
            help="Let the hottest functions go when probes cost more than this of one CPU for 3 s. "
            "25% unless the program is started from here.",
            show_default=False,
        ),
    ] = None,
    arguments_: Annotated[
        bool, typer.Option("-A", "--args", help="Arguments of every function whose PATTERN names none.")
    ] = False,
    results: Annotated[
        bool, typer.Option("-R", "--results", help="Results of every function whose PATTERN names none.")
    ] = False,
    no_values: Annotated[bool, typer.Option("--no-values", help="Capture no values, whatever PATTERN says.")] = False,
    redact: Annotated[
        list[str] | None,
        typer.Option(
            "--redact",
            metavar="NAME",
            help="Never write this value: a name, path or glob, such as password or '*token*'. Repeatable.",
            show_default=False,
        ),
    ] = None,
    max_text: Annotated[int, typer.Option("--max-text", metavar="BYTES", help="Read so much of a text.")] = 256,
    max_elements: Annotated[
        int, typer.Option("--max-elements", metavar="N", help="Read so many elements of a slice or array.")
    ] = 16,
    max_depth: Annotated[int, typer.Option("--max-depth", metavar="N", help="Follow so many pointers in a row.")] = 3,
    max_capture: Annotated[
        str, typer.Option("--max-capture", metavar="SIZE", help="Read so much at one place: 4K, 8K or 16K.")
    ] = "4K",
    entry_only: Annotated[
        bool, typer.Option("--entry-only", help="Count calls without their ends: much cheaper, no durations.")
    ] = False,
    exits: Annotated[
        ExitMode,
        typer.Option("--exits", help="Where calls are seen to end: auto, as cheap as is exact, or at every RET."),
    ] = ExitMode.AUTO,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Name what is probed; say how buffers were emptied.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
    debug: Annotated[bool, typer.Option("-d", "--debug", help="Show tracebacks and compiler logs.")] = False,
) -> int:
    """Record calls of Go functions into a trace file.

    Without -p and -- every process that runs BINARY is recorded, now or later, until Ctrl-C.

    Examples:

      funcrec record -u 'net/http.*' -u 'main.*' ./svc -o trace.zst

      funcrec record -u 'main.*' ./svc -- -listen :8080      starts it

      funcrec record -u '*' ./svc 'main.(*API).Get' -p 1234  only what runs inside Get
    """
    # A shell starts what it puts into the background with SIGINT ignored; there too an interrupt ends a recording from
    # its first moment on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Threads that libraries start as they load would take signals in the stead of the recorder's own loop, and end the
    # recording in the middle; and they would keep the privilege that it gives back. So numpy is to start none, and
    # those of others block all signals.
    threads = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
    try:
        from funcrec.plan.programs import ValueLimits
        from funcrec.plan.redaction import Redaction
        from funcrec.record.request import Limits, RecordRequest
        from funcrec.record.session import record
        from funcrec.units import parse_duration_ns, parse_size_bytes
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if threads is None:
            del os.environ[_THREADS]  # a launched program has the environment that we have
        else:
            os.environ[_THREADS] = threads

    arguments: list[str] | None = context.obj
    if launch and arguments is None:
        arguments = []
    if arguments is not None and pids:
        raise UsageError("-p and -- exclude each other", remedy="record a running process, or start one")
    if not patterns and not roots:
        raise UsageError("no function is named", remedy="name some with -u, such as -u 'main.*'")
    if entry_only and minimum is not None:
        raise UsageError("--min needs the ends of calls, which --entry-only leaves out", remedy="drop one of the two")
    if condition is not None and not condition.strip():
        raise UsageError("--if has no condition", remedy="write one, such as --if 'id == 42'")
    if max_files is not None and (max_files < 1 or max_size is None):
        raise UsageError(
            "--max-files needs a number of at least 1, and --max-size", remedy="write --max-size 100M --max-files 5"
        )
    Redaction(redact or [])  # an error before anything is read
    return record(
        RecordRequest(
            binary=binary,
            patterns=patterns or [],
            roots=roots or [],
            match=match,
            debug_file=debug_file,
            exclude_vendor=exclude_vendor,
            output=output,
            processes=pids or [],
            launch=arguments,
            keep_user=keep_user,
            limits=Limits(
                duration_ns=None if duration is None else parse_duration_ns(duration),
                max_bytes=None if max_size is None else parse_size_bytes(max_size),
                files=max_files or 1,
            ),
            buffer_bytes=parse_size_bytes(buffer),
            max_probes=max_probes,
            entry_only=entry_only,
            arguments=arguments_,
            results=results,
            values=not no_values,
            value_limits=ValueLimits(
                max_text, max_elements, max_depth, parse_size_bytes(max_capture), redacted=bool(redact)
            ),
            redact=redact or [],
            condition=(condition or "").strip(),
            min_ns=0 if minimum is None else parse_duration_ns(minimum),
            exits=exits,
            max_overhead=_max_overhead(max_overhead, launched=arguments is not None),
            quiet=quiet,
            verbose=verbose,
            argv=sys.argv,
        )
    )


def _max_overhead(typed: str | None, *, launched: bool) -> float | None:
    """The limit in percent of one CPU, None for no limit.

    A process that was there before us serves somebody who did not ask to be traced: it is protected by default. A
    program that was started to be traced is there for the trace: it is recorded whole, however slow, unless asked.
    """
    from funcrec.record.guard import DEFAULT_PERCENT
    from funcrec.units import parse_percent

    if typed is None:
        return None if launched else DEFAULT_PERCENT
    return None if typed == "off" else parse_percent(typed)

"""The options that every view shares, written once.

`@shared` replaces a command's parameter of type FilterRequest or OutputRequest by the options that make one, so that
a command reads

    @shared
    def command(files: Files, filters: FilterRequest, output: OutputRequest) -> int: ...
"""

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TypeVar

import typer

from funcrec.errors import UsageError
from funcrec.report.request import (
    Color,
    FilterRequest,
    Format,
    Names,
    OutputRequest,
    Overhead,
    parse_ranges,
    parse_time_range,
)
from funcrec.units import parse_duration_ns

__all__ = ["FilterRequest", "InputOption", "OptionalFiles", "OutputRequest", "input_files", "shared", "warn"]

_FILTERS = "Filters"
_OUTPUT = "Output"

# Files of a view: `-i FILE` is what users of other tools type. Resolve with `input_files`.
OptionalFiles = Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Traces to read.")]
InputOption = Annotated[list[str] | None, typer.Option("-i", "--input", metavar="FILE", help="A trace to read.")]


def input_files(files: list[str] | None, more: list[str] | None) -> list[str]:
    """Return the traces named as arguments and with -i.

    Raises:
        UsageError: none was named.
    """
    names = [*(files or []), *(more or [])]
    if not names:
        raise UsageError("no trace was named", remedy="name one, such as trace.zst")
    return names


def _option(*names: str, panel: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, metavar=metavar, help=text, rich_help_panel=panel)


def _filter_request(
    minimum: Annotated[
        str | None,
        _option("-t", "--min", "--min-duration", "--time-filter", panel=_FILTERS, metavar="DUR", text="At least."),
    ] = None,
    maximum: Annotated[
        str | None, _option("--max", "--max-duration", panel=_FILTERS, metavar="DUR", text="At most.")
    ] = None,
    goroutine: Annotated[
        list[str] | None,
        _option("-G", "--goroutine", panel=_FILTERS, metavar="IDS", text="Goroutines, such as 1,7,20-30."),
    ] = None,
    where: Annotated[
        list[str] | None,
        _option("--where", panel=_FILTERS, metavar="EXPR", text="Condition, such as 'dur > 1ms and x == 3'."),
    ] = None,
    filter_: Annotated[
        list[str] | None,
        _option("-F", "--filter", panel=_FILTERS, metavar="GLOB", text="Keep functions with what they call."),
    ] = None,
    notrace: Annotated[
        list[str] | None,
        _option("-N", "--notrace", panel=_FILTERS, metavar="GLOB", text="Drop functions with what they call."),
    ] = None,
    hide: Annotated[
        list[str] | None,
        _option("-H", "--hide", panel=_FILTERS, metavar="GLOB", text="Drop functions, keep what they call."),
    ] = None,
    caller_filter: Annotated[
        list[str] | None,
        _option("-C", "--caller-filter", panel=_FILTERS, metavar="GLOB", text="Keep functions and what leads to them."),
    ] = None,
    depth: Annotated[
        int | None, _option("-D", "--depth", panel=_FILTERS, metavar="N", text="At most N levels of calls.")
    ] = None,
    time_range: Annotated[
        str | None,
        _option("-r", "--time-range", panel=_FILTERS, metavar="A~B", text="Window: 1s~2s, 1s+200ms, 10%~20%, 1s~."),
    ] = None,
    pid: Annotated[
        list[str] | None, _option("-p", "--pid", panel=_FILTERS, metavar="PID", text="Processes, such as 120,133.")
    ] = None,
    overhead: Annotated[
        Overhead,
        _option("--overhead", panel=_FILTERS, text="Keep the probes' own cost in durations, or subtract an estimate."),
    ] = Overhead.KEEP,
) -> FilterRequest:
    if depth is not None and depth < 1:
        raise UsageError(f"--depth {depth} shows nothing", remedy="use a depth of 1 or more")
    return FilterRequest(
        min_ns=None if minimum is None else parse_duration_ns(minimum),
        max_ns=None if maximum is None else parse_duration_ns(maximum),
        goroutines=tuple(pair for text in goroutine or () for pair in parse_ranges(text)),
        where=tuple(where or ()),
        filter=tuple(filter_ or ()),
        notrace=tuple(notrace or ()),
        hide=tuple(hide or ()),
        caller_filter=tuple(caller_filter or ()),
        depth=depth,
        time_range=None if time_range is None else parse_time_range(time_range),
        pids=tuple(number for text in pid or () for number in _pids(text)),
        overhead=overhead,
    )


def _pids(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"'{text}' is not a list of process ids", remedy="write numbers, such as 120,133")
    return [int(part) for part in parts]


def _output_request(
    format_: Annotated[Format, _option("--format", panel=_OUTPUT, text="Form of the output.")] = Format.TEXT,
    fields: Annotated[
        str | None,
        _option("-f", "--fields", panel=_OUTPUT, metavar="LIST", text="Columns: a,b or +a,-b; 'help' lists them."),
    ] = None,
    sort: Annotated[
        str | None, _option("-s", "--sort", panel=_OUTPUT, metavar="LIST", text="Sort by columns, '-' turns the order.")
    ] = None,
    top: Annotated[
        int | None, _option("-n", "--top", panel=_OUTPUT, metavar="N", text="Only the first N rows.")
    ] = None,
    color: Annotated[Color, _option("--color", panel=_OUTPUT, text="Colours (also NO_COLOR).")] = Color.AUTO,
    no_pager: Annotated[bool, _option("--no-pager", panel=_OUTPUT, text="Never start a pager.")] = False,
    names: Annotated[
        Names, _option("--names", "--demangle", panel=_OUTPUT, text="Whole names, or without import paths.")
    ] = Names.FULL,
    srcline: Annotated[bool, _option("--srcline", panel=_OUTPUT, text="Show file and line of functions.")] = False,
    strict: Annotated[
        bool, _option("--strict", panel=_OUTPUT, text="Exit with 3 when events were lost or the file is damaged.")
    ] = False,
    debug: Annotated[bool, _option("-d", "--debug", panel=_OUTPUT, text="Show a traceback with an error.")] = False,
) -> OutputRequest:
    del debug  # the command line looks at it before anything is parsed
    if top is not None and top < 1:
        raise UsageError(f"--top {top} shows nothing", remedy="use 1 or more")
    return OutputRequest(
        format=format_,
        fields=fields,
        sort=sort,
        top=top,
        color=color,
        pager=not no_pager,
        names=names,
        srcline=srcline,
        strict=strict,
    )


_MAKERS: dict[type, Callable[..., Any]] = {FilterRequest: _filter_request, OutputRequest: _output_request}

Command = TypeVar("Command", bound=Callable[..., Any])


def shared(command: Command) -> Command:
    """Give a command the shared options in place of its FilterRequest and OutputRequest parameters."""
    own = inspect.signature(command, eval_str=True)
    makers = {name: _MAKERS[p.annotation] for name, p in own.parameters.items() if p.annotation in _MAKERS}
    taken = {name: list(inspect.signature(maker, eval_str=True).parameters) for name, maker in makers.items()}

    @wraps(command)
    def run(**given: Any) -> Any:
        requests = {name: makers[name](**{key: given.pop(key) for key in keys}) for name, keys in taken.items()}
        return command(**given, **requests)

    parameters: list[inspect.Parameter] = []
    for name, parameter in own.parameters.items():
        maker = makers.get(name)
        expanded = [parameter] if maker is None else inspect.signature(maker, eval_str=True).parameters.values()
        parameters += [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in expanded]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": own.return_annotation}
    return run  # type: ignore[return-value]


def warn(text: str) -> None:
    """Print one line of warning on stderr; what came from a file that somebody sent cannot act on the terminal."""
    from funcrec.report.text import printable

    print(f"funcrec: {printable(text)}", file=sys.stderr)

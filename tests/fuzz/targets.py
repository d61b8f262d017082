"""Everything that opens a trace, run in this process: each command, with the options that lead to code of its own."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from funcrec.cli import COMMANDS
from funcrec.report.export.formats import ExportFormat
from funcrec.report.request import Format, Names, Overhead
from funcrec.report.trace import Trace
from tests.hostile import harmful

OTHERS = {"record", "list", "doctor"}  # the commands that read no trace


@dataclass(frozen=True, eq=False)
class Target:
    """One way to read a trace.

    Attributes:
        name: for people.
        command: of the command line.
        options: its parameters that are not the default.
        check: raises when the output is not fit for those it is for.
        refuses: a trace may lack what the options ask for, which is the user's error (UsageError).
    """

    name: str
    command: str
    options: dict[str, Any] = field(default_factory=dict)
    check: Callable[[bytes], None] = lambda output: None
    refuses: bool = False

    def run(self, path: str, sink: Any = None) -> bytes:
        """Return what it writes to standard output, or give it to `sink`; exceptions come as they are."""
        function, defaults = _command(self.command)
        files: dict[str, Any] = {"files": [path, path] if self.command == "diff" else [path]}
        if self.command == "sql":
            files = {"words": [path, self.options["query"]]}
        options = {name: value for name, value in self.options.items() if name != "query"}
        with _standard_output(sink) as buffer:
            function(**(defaults | files | options))
            sys.stdout.flush()
            return buffer.getvalue() if sink is None else b""


@cache
def _command(name: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    function = import_module(f"funcrec.commands.{name}").command
    parameters = inspect.signature(function).parameters
    return function, {each.name: each.default for each in parameters.values() if each.default is not each.empty}


@contextlib.contextmanager
def _standard_output(sink: Any) -> Iterator[Any]:
    kept = sys.stdout, sys.stderr
    buffer = io.BytesIO() if sink is None else sink
    sys.stdout, sys.stderr = _Standard(buffer), io.StringIO()  # type: ignore[assignment]
    try:
        yield buffer
    finally:
        sys.stdout, sys.stderr = kept


class _Standard:
    """As much of a text stream as views use."""

    encoding = "utf-8"

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def write(self, text: str) -> None:
        self.buffer.write(text.encode())

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def check_text(output: bytes) -> None:
    """Lines that move no cursor and hide nothing."""
    found = harmful(output.decode())
    if found:
        raise AssertionError(f"in the output: {' '.join(f'U+{ord(character):04X}' for character in sorted(found)[:5])}")


def check_json(output: bytes) -> None:
    """One JSON value, safe to print."""
    check_text(output)
    json.loads(output, parse_constant=_refuse)


def check_jsonl(output: bytes) -> None:
    """A JSON value on each line, safe to print."""
    check_text(output)
    for line in output.split(b"\n")[:-1]:
        json.loads(line, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


_CHECKS = {Format.TEXT: check_text, Format.CSV: check_text, Format.JSON: check_json, Format.JSONL: check_jsonl}
_EXPORT_CHECKS: dict[ExportFormat, Callable[[bytes], None]] = {
    ExportFormat.CHROME: check_json,
    ExportFormat.SPEEDSCOPE: lambda output: json.loads(output, parse_constant=_refuse),
    ExportFormat.FOLDED: check_text,
    ExportFormat.CSV: check_text,
    ExportFormat.JSONL: check_jsonl,
}


@cache
def targets() -> tuple[Target, ...]:
    """All of them, in a fixed order."""
    text = {"format_": Format.TEXT}
    found = [
        Target(f"{name} {form}", name, {"format_": form}, _CHECKS[form])
        for name in COMMANDS
        if name not in OTHERS | {"export", "sql"}
        for form in Format
    ]
    found += [
        Target(f"export {form}", "export", {"format_": form, "out": "-"}, _EXPORT_CHECKS.get(form, lambda output: None))
        for form in ExportFormat
    ]
    html = {"format_": ExportFormat.HTML, "out": "-"}
    pprof = {"format_": ExportFormat.PPROF, "out": "-"}
    found += [
        Target("info --check", "info", text | {"check": True}, check_text),
        Target("report --srcline", "report", text | {"srcline": True, "names": Names.SHORT}, check_text),
        Target("report --overhead", "report", {"overhead": Overhead.SUBTRACT, "maximum": "1s"}, check_text, True),
        Target("report filters", "report", {"filter_": ["main.*"], "hide": ["*a*"], "depth": 3}, check_text, True),
        Target("report -C -r", "report", {"caller_filter": ["*"], "time_range": "10%~90%"}, check_text, True),
        Target("report --where", "report", {"where": ["dur > 1us or caller =~ 'main.*'"]}, check_text),
        Target("report -f", "report", {"format_": Format.CSV, "fields": "+goid", "sort": "dur_ns"}, check_text, True),
        Target("stat --by", "stat", text | {"by": ["caller", "line"], "fields": "+errors,+stddev_ns"}, check_text),
        Target("stat --by more", "stat", {"by": ["creator", "package", "state"], "srcline": True}, check_text),
        Target("hist --by", "hist", {"by": ["depth"]}, check_text),
        Target("hist --over", "hist", {"over": "time", "by": ["func"]}, check_text),
        Target("goroutines -s", "goroutines", {"sort": "busy", "top": 3}, check_text),
        *(
            Target(f"sql {table}", "sql", {"query": f"select * from {table}", "format_": form}, _CHECKS[form])
            for form, table in zip(Format, ("calls", "functions", "goroutines", "call_values"), strict=True)
        ),
        Target("html --by", "export", html | {"by": "depth", "max_calls": 10}),
        Target("pprof --by-goroutine", "export", pprof | {"by_goroutine": True}),
    ]
    return tuple(found)


class _Reader(Target):
    """Everything that all views share: the whole file read, events made to calls."""

    def run(self, path: str, sink: Any = None) -> bytes:
        with Trace(path) as trace:
            trace.reader.check()
            trace.table()
        return b""


READER = _Reader("reader", "")


def target_of(data: bytes) -> Target:
    """The target of a case of a coverage-guided run: it follows from the bytes, so that a file does the same again."""
    choices = (*targets(), READER)
    return choices[zlib.crc32(data) % len(choices)]

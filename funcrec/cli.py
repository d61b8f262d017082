"""The command line: the only place that prints errors and picks exit codes.

Importing this loads typer and the option declarations, nothing heavier; each command imports its layer in its body.
"""

import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

import typer

from funcrec.errors import ExitCode, FuncrecError, UsageError

# Name of each subcommand in the order of the help; `funcrec.commands.NAME` defines the function `command`.
COMMANDS: tuple[str, ...] = (
    "record",
    "list",
    "report",
    "stat",
    "hist",
    "graph",
    "goroutines",
    "diff",
    "sql",
    "export",
    "info",
    "doctor",
)

app = typer.Typer(
    name="funcrec",
    help="Flight recorder for Go functions: `record` once with privilege, `report` anywhere.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _program() -> None:
    """Make typer keep subcommands even when there is only one."""


class _ClosedOutputError(Exception):
    """The reader of our output went away."""


class _CtrlCError(Exception):
    """Ctrl-C outside a running recording."""


def _shielded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Keep from typer what it would answer in its own way: a closed pipe with status 1, Ctrl-C with a blank line."""

    @wraps(command)
    def run_command(*args: Any, **options: Any) -> Any:
        try:
            result = command(*args, **options)
            sys.stdout.flush()
            return result
        except BrokenPipeError as error:
            raise _ClosedOutputError from error
        except KeyboardInterrupt as error:
            raise _CtrlCError from error

    return run_command


def _register() -> None:
    for name in COMMANDS:
        module = import_module(f"funcrec.commands.{name}")
        app.command(name, no_args_is_help=name != "doctor")(_shielded(module.command))


def split_launch(argv: list[str]) -> tuple[list[str], list[str] | None]:
    """Split at the first `--`: what follows belongs to the traced program; None when there is no `--`."""
    if "--" not in argv:
        return argv, None
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


def _fail(error: FuncrecError) -> int:
    from funcrec.lang.printable import printable  # names in a message may come from a file that somebody sent

    print(f"funcrec: {printable(error.cause)}\n  try: {printable(error.remedy)}", file=sys.stderr)
    return int(error.exit_code)


def run(argv: list[str]) -> int:
    """Run one command line (without the program name) and return its exit code."""
    own, launched = split_launch(argv)
    debug = "--debug" in own or "-d" in own
    _register()
    try:
        result = app(own, standalone_mode=False, obj=launched)
        return result if isinstance(result, int) else int(ExitCode.DONE)
    except FuncrecError as error:
        if debug:
            traceback.print_exc()
        return _fail(error)
    except _CtrlCError:
        return 130
    except _ClosedOutputError:
        # `| head` is not a failure of ours. Point stdout elsewhere so that the interpreter's last flush stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)
    except Exception as error:
        # Typer carries its own copy of click and does not export the class of its usage errors.
        message = getattr(error, "format_message", None)
        if debug:
            traceback.print_exc()
        if message is None:
            return _fail(
                FuncrecError(
                    f"internal error: {type(error).__name__}: {error}",
                    remedy="run again with --debug and report what it prints",
                )
            )
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message(), file=sys.stderr)
            return int(ExitCode.USAGE)
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "funcrec"
        return _fail(UsageError(" ".join(message().split()).rstrip("."), remedy=f"{command} --help"))

"""The errors a user sees: one line of cause, one line of remedy, one exit code each.

Nothing here prints: `funcrec.cli` is the only place that does.
"""

from enum import IntEnum
from functools import partial
from typing import Any


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    FAILURE = 1
    USAGE = 2
    ENVIRONMENT = 3
    TARGET = 4
    TRACE = 5


class FuncrecError(Exception):
    """A failure that is explained to the user.

    Args:
        cause: one line that names the thing and its value.
        remedy: one line that the user can act on.
    """

    exit_code = ExitCode.FAILURE

    def __init__(self, cause: str, *, remedy: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy

    def __reduce__(self) -> "tuple[Any, ...]":
        # A keyword-only argument is beyond the pickling of exceptions; they cross processes in pools and clusters.
        return partial(type(self), remedy=self.remedy), (self.cause,)


class UsageError(FuncrecError):
    """A bad option, pattern, filter or unit (exit 2)."""

    exit_code = ExitCode.USAGE


class HostError(FuncrecError):
    """Privilege, kernel or BCC is missing (exit 3)."""

    exit_code = ExitCode.ENVIRONMENT


class TargetError(FuncrecError):
    """The binary or process cannot be traced: not ELF, not Go, no match, no such pid (exit 4)."""

    exit_code = ExitCode.TARGET


class TraceError(FuncrecError):
    """The trace cannot be read (exit 5)."""

    exit_code = ExitCode.TRACE

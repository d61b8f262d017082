"""What numbers of a trace are called: functions, call sites, as text that is safe to print."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from funcrec.report.request import Names

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

# A path before the last element of an import path; it may stand inside brackets and parentheses too. Each run of its
# characters is tried once, from its beginning: long names would take time by the square otherwise.
_IMPORT_PATH = re.compile(r"(?<![\w.\-~%])[\w.\-~%]++/(?=[\w.\-~%/])")
_SHAPE = re.compile(r"go\.shape\.")


def short_name(name: str) -> str:
    """`github.com/acme/db.(*Pool[go.shape.int_0]).Get` -> `db.(*Pool[int_0]).Get`."""
    return _SHAPE.sub("", _IMPORT_PATH.sub("", name))


def function_names(trace: "Trace", names: Names = Names.FULL) -> list[str]:
    """Names of all functions, by id."""
    full = [function.name for function in trace.functions]
    return full if names == Names.FULL else [short_name(name) for name in full]


def caller_names(trace: "Trace", names: Names = Names.FULL) -> list[str | None]:
    """Names of the calling functions by call site id + 1; None where unknown."""
    full: Sequence[str] = ["", *(site.name for site in trace.call_sites)]
    return [(name if names == Names.FULL else short_name(name)) or None for name in full]

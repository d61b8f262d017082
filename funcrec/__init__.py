"""funcrec: a flight recorder for Go functions.

    import funcrec

    trace = funcrec.open("trace.zst")
    slow = trace.calls(where="dur > 1ms")
    print(len(slow), "of", len(trace.table()), "calls")
    frame = slow.to_arrow("len(b)").to_pandas()

Importing this loads nothing heavy; numpy comes with the first name used.
"""

from typing import TYPE_CHECKING, Any, BinaryIO

from funcrec.errors import FuncrecError, TraceError, UsageError

if TYPE_CHECKING:
    import os

    from funcrec.report.api import Selection, Trace

__version__ = "0.1.0"
__all__ = ["FuncrecError", "Selection", "Trace", "TraceError", "UsageError", "open"]


def open(path: "str | os.PathLike[str] | BinaryIO") -> "Trace":
    """Open a trace.

    Args:
        path: a file written by `funcrec record`, or an open binary file.

    Raises:
        TraceError: not a trace, or nothing in it can be read.
    """
    from funcrec.report.api import Trace

    return Trace(path)


def __getattr__(name: str) -> Any:
    if name in ("Trace", "Selection"):
        from funcrec.report import api

        return getattr(api, name)
    raise AttributeError(f"module 'funcrec' has no attribute {name!r}")

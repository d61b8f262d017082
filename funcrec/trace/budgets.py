"""Whole-file budgets: what a file may declare in all, by its size (`formats/trace.md`, "Limits")."""

from funcrec.errors import TraceError
from funcrec.trace.framing import Prefix
from funcrec.trace.limits import (
    EVENTS_BASE,
    EVENTS_PER_BYTE,
    RAW_BASE,
    RAW_PER_BYTE,
    ROWS_BASE,
    ROWS_PER_BYTE,
    SMALL_RAW_BASE,
    SMALL_RAW_PER_BYTE,
)
from funcrec.trace.records import LARGE, RecordType


def check_budgets(prefixes: list[Prefix], size: int, name: str) -> None:
    """Refuse a file of `size` bytes that declares more than one of its size can honestly hold.

    Raises:
        TraceError: it does; nothing was allocated yet.
    """
    small = [prefix for prefix in prefixes if prefix.type not in LARGE]
    events = [prefix for prefix in prefixes if prefix.type == RecordType.EVENTS]
    for what, asked, allowed in (
        ("events", sum(prefix.count for prefix in events), EVENTS_BASE + EVENTS_PER_BYTE * size),
        ("bytes", sum(prefix.raw for prefix in prefixes), RAW_BASE + RAW_PER_BYTE * size),
        ("rows", sum(prefix.count for prefix in small), ROWS_BASE + ROWS_PER_BYTE * size),
        ("bytes of tables", sum(prefix.raw for prefix in small), SMALL_RAW_BASE + SMALL_RAW_PER_BYTE * size),
    ):
        if asked > allowed:
            raise TraceError(
                f"{name} declares {asked} {what} in {size} bytes of file, more than any real trace",
                remedy="do not trust this file; record again if it should be a trace of yours",
            )

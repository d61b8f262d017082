"""Whole-file budgets: what a file may declare in all, by its size (`formats/trace.md`, "Limits")."""

import hashlib
import math

from funcrec.errors import TraceError
from funcrec.trace.framing import PREFIX_SIZE, BadRecordError, Prefix
from funcrec.trace.limits import (
    CAPTURES_BASE,
    CAPTURES_PER_BYTE,
    CONTAINERS_BASE,
    CONTAINERS_PER_BYTE,
    EVENTS_BASE,
    EVENTS_PER_BYTE,
    GOROUTINES_BASE,
    GOROUTINES_PER_BYTE,
    OBJECTS_BASE,
    OBJECTS_PER_BYTE,
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
    rows = dict.fromkeys(RecordType, 0)
    for prefix in prefixes:
        if prefix.type in rows:
            rows[RecordType(prefix.type)] += prefix.count
    for what, asked, base, factor in (
        ("events", rows[RecordType.EVENTS], EVENTS_BASE, EVENTS_PER_BYTE),
        ("captures", rows[RecordType.VALUES], CAPTURES_BASE, CAPTURES_PER_BYTE),
        ("goroutines", rows[RecordType.GOROUTINES], GOROUTINES_BASE, GOROUTINES_PER_BYTE),
        ("bytes", sum(prefix.raw for prefix in prefixes), RAW_BASE, RAW_PER_BYTE),
        ("rows", sum(prefix.count for prefix in small), ROWS_BASE, ROWS_PER_BYTE),
        ("bytes of tables", sum(prefix.raw for prefix in small), SMALL_RAW_BASE, SMALL_RAW_PER_BYTE),
    ):
        if asked > base + factor * size:
            raise TraceError(
                f"{name} declares {asked} {what} in {size} bytes of file, more than any real trace",
                remedy="do not trust this file; record again if it should be a trace of yours",
            )


class ObjectBudget:
    """Counts what becomes objects, which is known only when records are taken apart.

    Args:
        size: of the file.

    Attributes:
        containers: arrays and maps that may still come.
    """

    def __init__(self, size: int) -> None:
        self._left = OBJECTS_BASE + int(OBJECTS_PER_BYTE * size)
        self.containers = CONTAINERS_BASE + CONTAINERS_PER_BYTE * size

    def take(self, rows: int) -> None:
        """Account for rows that are about to be decoded.

        Raises:
            BadRecordError: a file of this size has no room for so many.
        """
        if rows > self._left:
            raise BadRecordError("it has more rows than a file of this size can hold")
        self._left -= rows


_ROWS_PER_BYTE: dict[RecordType, float] = {
    RecordType.EVENTS: EVENTS_PER_BYTE,
    RecordType.SPANS: EVENTS_PER_BYTE,  # they are events
    RecordType.VALUES: CAPTURES_PER_BYTE,
    RecordType.GOROUTINES: GOROUTINES_PER_BYTE,
}


def filling(kind: RecordType, count: int, raw: int, compressed: int, *, sites: bool) -> bytes:
    """What a record must be filled up with so that it takes no more of a budget than its own size allows.

    Args:
        kind, count, raw, compressed: as in its prefix.
        sites: its rows are sites.

    Returns:
        Bytes that do not compress, the same every time; b"" when none are needed.
    """
    if kind == RecordType.INDEX:
        return b""
    rows = ROWS_PER_BYTE if sites else _ROWS_PER_BYTE.get(kind, OBJECTS_PER_BYTE)
    bytes_ = RAW_PER_BYTE if kind in LARGE else SMALL_RAW_PER_BYTE
    short = max(count / rows, raw / bytes_) - compressed - PREFIX_SIZE
    # The filling is raw content as well, so a little more than what is missing makes up for that.
    return hashlib.shake_128(b"").digest(math.ceil(short * (1 + 2 / bytes_)) + 16) if short > 0 else b""

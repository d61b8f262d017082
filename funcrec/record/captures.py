"""Captured values on their way from the rings to the trace: drained whole, matched with the event of the same hit.

Blobs are never looked into here. The wire header mirrors struct value_header of bpf/values.h.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.record.rings import VALUES_FLAG, RingMemory, Rows
from funcrec.trace.records import LostRecord, ValueColumns

UNIT = 64  # bytes: every record with its ring header is a multiple of it
_HEADER = np.dtype(
    [
        ("ring_length", "<u4"),
        ("page_offset", "<u4"),
        ("time_ns", "<i8"),
        ("tid", "<u4"),
        ("site", "<u4"),
        ("length", "<u4"),
        ("status", "<u4"),
    ]
)
_BUSY = np.uint32(1 << 31)
_LENGTH = np.uint32((1 << 30) - 1)
_KEEP_NS = 10_000_000_000  # a capture whose event has not come by then belongs to a call that was dropped
_KEEP_BYTES = 256 << 20
_WAIT_BYTES = 64 << 20  # of calls that may still be dropped


@dataclass(frozen=True, slots=True)
class Captures:
    """k captures: `start` and `words` count 8-byte words of `data`, where the blobs lie."""

    time_ns: NDArray[np.int64]
    tid: NDArray[np.uint32]
    start: NDArray[np.int64]
    words: NDArray[np.int64]
    data: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.time_ns)

    def take(self, chosen: NDArray[Any]) -> "Captures":
        """Those at the given positions, in that order, with just their own data."""
        words = self.words[chosen]
        return Captures(
            self.time_ns[chosen],
            self.tid[chosen],
            np.cumsum(words) - words,
            words,
            self.data[_spans(self.start[chosen], words)],
        )


def _spans(start: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indexes of all words of spans laid end to end."""
    total = int(words.sum())
    shift = start - (np.cumsum(words) - words)
    indexes: NDArray[np.int64] = np.arange(total, dtype=np.int64) + np.repeat(shift, words)
    return indexes


def no_captures() -> Captures:
    """An empty batch."""
    nothing = np.zeros(0, dtype=np.int64)
    return Captures(nothing, nothing.astype(np.uint32), nothing, nothing, nothing.astype(np.uint64))


def join(parts: list[Captures]) -> Captures:
    """All captures of several batches."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return no_captures()
    sizes = np.array([len(part.data) for part in parts])
    before = np.cumsum(sizes) - sizes
    return Captures(
        np.concatenate([part.time_ns for part in parts]),
        np.concatenate([part.tid for part in parts]),
        np.concatenate([part.start + shift for part, shift in zip(parts, before, strict=True)]),
        np.concatenate([part.words for part in parts]),
        np.concatenate([part.data for part in parts]),
    )


class ValueRing:
    """A ring of captures, which differ in size.

    Args:
        descriptor: of the map; it stays the caller's.
        size: bytes of its data area, a power of two.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._memory = RingMemory(descriptor, size)

    def drain(self) -> Captures:
        """Copy out what is there now and free its room; records still being written stay for the next call."""
        lengths = self._memory.headers(UNIT)
        units = len(lengths)
        if units == 0:
            return no_captures()
        starts = _record_starts(lengths)
        busy = np.flatnonzero(lengths[starts] & _BUSY)
        if len(busy):
            starts, units = starts[: busy[0]], int(starts[busy[0]])
        return _split(self._memory.take(units * UNIT), starts)


def _record_starts(lengths: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Units at which records begin, given the word at the start of every unit; the first begins a record.

    What stands at other units is data and means nothing. Following the chain by doubling needs no loop over records:
    after k rounds all records less than 2**k hops from the first are known.
    """
    count = len(lengths)
    step = ((lengths & _LENGTH).astype(np.int64) + 8 + UNIT - 1) // UNIT
    hop = np.minimum(np.arange(count, dtype=np.int64) + np.maximum(step, 1), count)
    hop = np.append(hop, count)
    starts = np.zeros(1, dtype=np.int64)
    while True:
        ahead = hop[starts]
        ahead = ahead[ahead < count]
        if len(ahead) == 0:
            return starts
        # Chains are increasing: what is ahead of all known starts follows them in order.
        starts = np.concatenate([starts, ahead])
        hop = hop[hop]


def _split(data: NDArray[np.uint8], starts: NDArray[np.int64]) -> Captures:
    units = data.reshape(-1, UNIT)
    headers = np.ascontiguousarray(units[starts, : _HEADER.itemsize]).view(_HEADER).reshape(-1)
    return Captures(
        headers["time_ns"].copy(),
        headers["tid"].copy(),
        starts * (UNIT // 8) + _HEADER.itemsize // 8,
        headers["length"].astype(np.int64) // 8,
        data.view(np.uint64),
    )


@dataclass(slots=True)
class CaptureStore:
    """Captures that wait for their event.

    Attributes:
        waits: an entry's event may come much later than its capture, with the exit, or never (--min, and --if on
            results): then the oldest captures give way to newer ones, whatever their age.
        lost: events so far whose capture is missing, exact: it found no room in its ring, or had to be given up before
            the event came.
    """

    waits: bool = False
    lost: int = 0
    _waiting: Captures = field(default_factory=no_captures)
    _losses: list[LostRecord] = field(default_factory=list)

    def add(self, captures: list[Captures]) -> None:
        """Put in what the drain found."""
        if any(map(len, captures)):
            self._waiting = join([self._waiting, *captures])

    def match(self, rows: Rows) -> ValueColumns | None:
        """Take out the captures of these events.

        Args:
            rows: event rows, as they will be written.

        Returns:
            in order of the events; None when none of them has one.
        """
        waiting = self._waiting
        flagged = np.flatnonzero(rows["depth"] & np.uint32(VALUES_FLAG))
        if len(flagged) == 0 or len(waiting) == 0:
            self._count(rows[flagged])
            self._forget(rows)
            return None
        order = np.lexsort((waiting.tid, waiting.time_ns))
        times, threads = waiting.time_ns[order], waiting.tid[order]
        wanted, thread = rows["time_ns"][flagged], rows["tid"][flagged]
        at = np.searchsorted(times, wanted)
        # Threads that were hit in the same nanosecond stand side by side.
        while True:
            inside = at < len(times)
            safe = np.minimum(at, len(times) - 1)
            further = inside & (times[safe] == wanted) & (threads[safe] != thread)
            if not further.any():
                break
            at[further] += 1
        found = inside & (times[safe] == wanted)
        self._count(rows[flagged[~found]])
        chosen = order[at[found]]
        taken = waiting.take(chosen)
        rest = np.ones(len(waiting), dtype=bool)
        rest[chosen] = False
        self._waiting = waiting.take(np.flatnonzero(rest))
        self._forget(rows)
        if len(taken) == 0:
            return None
        return ValueColumns(
            event=flagged[found].astype(np.uint32),
            length=(taken.words * 8).astype(np.uint32),
            data=taken.data.tobytes(),
        )

    def take_losses(self) -> list[LostRecord]:
        """Records of the captures that `match` missed since the last call."""
        losses, self._losses = self._losses, []
        return losses

    def _count(self, rows: Rows) -> None:
        """Note events without their capture."""
        if len(rows) == 0:
            return
        self.lost += len(rows)
        sites, counts = np.unique(rows["site"], return_counts=True)
        times = rows["time_ns"]
        by_site = dict(zip(sites.tolist(), counts.tolist(), strict=True))
        first, last = int(times.min()), int(times.max())
        self._losses.append(LostRecord(0, first, last, len(rows), kind="values", by_site=by_site))

    def _forget(self, rows: Rows) -> None:
        """Drop captures whose event was lost or dropped long ago."""
        waiting = self._waiting
        if len(waiting) == 0:
            return
        keep = np.ones(len(waiting), dtype=bool)
        if len(rows) and not self.waits:
            keep = waiting.time_ns >= int(rows["time_ns"].max()) - _KEEP_NS
        most = _WAIT_BYTES if self.waits else _KEEP_BYTES
        if waiting.data.nbytes > most:
            keep &= np.cumsum(waiting.words[::-1])[::-1] * 8 <= most
        if not keep.all():
            self._waiting = waiting.take(np.flatnonzero(keep))

"""Many captures of one plan as memory: where the bytes at an address lie, for all of them in a few numpy passes.

The rules are those of `funcrec.trace.blobs` for one capture. Captures of which a piece could not be read are told
apart: whoever reads leaves those to the decoder of single captures.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.trace.blobs import AREA_HEAD_BYTES, STATUS_MASK, UNREADABLE
from funcrec.trace.valueplans import CapturePlan

Indexes = NDArray[np.int64]
Words = NDArray[np.uint64]

SEGMENT_BYTES = 16
_MOST_SEGMENTS = 32  # of a capture; what has more is rare
_NOWHERE = np.uint64((1 << 64) - 1)


def load(words: Words, at: Indexes, size: int) -> Words:
    """Little-endian integers of 1, 2, 4 or 8 bytes at byte offsets that are known to be inside."""
    index, low = at >> 3, at & 7
    value: Words = words[index]
    if low.any():
        shift = (low << 3).astype(np.uint64)
        value >>= shift
        crossing = low + size > 8
        high = words[np.minimum(index[crossing] + 1, len(words) - 1)]
        value[crossing] |= high << (np.uint64(64) - shift[crossing])
    return value if size == 8 else value & np.uint64((1 << (8 * size)) - 1)


class StaticUnreadError(Exception):
    """Bytes that no capture of the plan has, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Captures:
    """n captures of one plan.

    Attributes:
        plan: of all of them.
        data, words: of the block that they are in, as bytes and (with zeros behind) as numbers.
        start, length: i64[n], where each blob lies, in bytes; `start` are multiples of 8.
        hard: bool[n], set for those that the plain rules do not cover.
        bias: u64[n], load bias of the process. status: u64[n], CAPTURE_* bits.
    """

    plan: CapturePlan
    data: bytes
    words: Words
    start: Indexes
    length: Indexes
    hard: NDArray[np.bool_] = field(init=False)
    bias: Words = field(init=False)
    status: Words = field(init=False)
    _address: Words = field(init=False)  # u64[n, K] of each piece of memory
    _place: Indexes = field(init=False)
    _size: Indexes = field(init=False)

    def __post_init__(self) -> None:
        self.hard = self.length < AREA_HEAD_BYTES
        head = load(self.words, self.start, 8)
        self.bias, self.status = head & ~np.uint64(STATUS_MASK), head & np.uint64(STATUS_MASK)
        self._parse()
        self._drop_doubles()

    def __len__(self) -> int:
        return len(self.start)

    def _parse(self) -> None:
        rows = np.arange(len(self))
        cursor = self.start + ((self.plan.area_bytes + 7) & ~7)
        end = self.start + self.length
        columns: list[tuple[Words, Indexes, Indexes]] = []
        while True:
            rows = rows[cursor[rows] + SEGMENT_BYTES <= end[rows]]
            if len(rows) == 0:
                break
            if len(columns) == _MOST_SEGMENTS:
                self.hard[rows] = True
                break
            at = cursor[rows]
            tail = load(self.words, at + 8, 8)
            length = np.minimum((tail & np.uint64(0xFFFFFFFF)).astype(np.int64), end[rows] - at - SEGMENT_BYTES)
            self.hard[rows] |= tail >> np.uint64(32) == UNREADABLE
            column = np.full(len(self), _NOWHERE), np.zeros(len(self), np.int64), np.zeros(len(self), np.int64)
            for target, values in zip(column, (load(self.words, at, 8), at + SEGMENT_BYTES, length), strict=True):
                target[rows] = values
            columns.append(column)
            cursor[rows] = at + SEGMENT_BYTES + ((length + 7) & ~7)
        empty: Any = np.zeros((len(self), 0), np.int64)
        stacked: Any = [np.stack(each, axis=1) for each in zip(*columns, strict=True)] if columns else [empty] * 3
        self._address, self._place, self._size = stacked[0].astype(np.uint64, copy=False), stacked[1], stacked[2]

    def _drop_doubles(self) -> None:
        """Of two pieces at one address the larger counts, of equal ones the first."""
        for one in range(self._address.shape[1]):
            for other in range(one):
                same = np.flatnonzero(self._address[:, one] == self._address[:, other])
                if len(same):
                    larger = self._size[same, one] > self._size[same, other]
                    self._address[same, np.where(larger, other, one)] = _NOWHERE

    def find(self, rows: Indexes, address: Words) -> tuple[Indexes, Indexes]:
        """Where memory at an address lies in each of some captures: byte offset (-1 nowhere), bytes from there."""
        pieces = self._address[rows]
        if pieces.shape[1] == 0:
            return np.full(len(rows), -1), np.zeros(len(rows), np.int64)
        delta = address[:, None] - pieces
        delta[pieces > address[:, None]] = _NOWHERE
        nearest = delta.argmin(axis=1)
        each = np.arange(len(rows))
        past = delta[each, nearest]
        size = self._size[rows, nearest]
        inside = (past < size.astype(np.uint64)) | (past == 0)
        offset = np.where(inside, past, 0).astype(np.int64)
        place = np.where(inside, self._place[rows, nearest] + offset, -1)
        return place, np.where(inside, size - offset, 0)

    def memory(self, rows: Indexes, place: Indexes, available: Indexes) -> "Spot":
        """The bytes found at `place`."""
        return Spot(self, self.words, rows, place, available)


@dataclass(slots=True)
class Spot:
    """Bytes of one value in some captures.

    Attributes:
        captures: where they are from. words: what `base` counts in.
        rows: i64[m], which captures.
        base: i64[m], byte offsets. available: i64[m], bytes that are there from `base`.
        offset: of the value behind `base`.
        missing: (offset, bytes, reason) of what no capture has, counted from `base`.
    """

    captures: Captures
    words: Words
    rows: Indexes
    base: Indexes
    available: Indexes
    offset: int = 0
    missing: tuple[tuple[int, int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, offset: int) -> "Spot":
        """What lies so many bytes behind."""
        return replace(self, offset=self.offset + offset)

    def chosen(self, which: NDArray[Any]) -> "Spot":
        """Some of the captures, by mask or position."""
        return replace(self, rows=self.rows[which], base=self.base[which], available=self.available[which])

    def load(self, offset: int, size: int) -> Words:
        """Integers of so many bytes; captures that have too few bytes are marked as hard.

        Raises:
            StaticUnreadError: no capture has these bytes.
        """
        at = self.offset + offset
        for start, length, reason in self.missing:
            if at < start + length and start < at + size:
                raise StaticUnreadError(reason)
        short = self.available < at + size
        place = self.base + at
        if short.any():
            self.captures.hard[self.rows[short]] = True
            place = np.where(short, 0, place)
        return load(self.words, place, size)

    def mark(self, which: NDArray[np.bool_]) -> None:
        """Leave some of the captures to the decoder of single ones."""
        self.captures.hard[self.rows[which]] = True

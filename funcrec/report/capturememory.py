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
    value: Words = words.take(index)
    if low.any():
        shift = (low << 3).astype(np.uint64)
        value >>= shift
        crossing = low + size > 8
        high = words[np.minimum(index[crossing] + 1, len(words) - 1)]
        value[crossing] |= high << (np.uint64(64) - shift[crossing])
    return value if size == 8 else value & np.uint64((1 << (8 * size)) - 1)


_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
_BLANKS = ~_FIRST_BYTES & np.uint64(0x2020202020202020)


def short_texts(words: Words, at: Indexes, length: Indexes) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Texts at byte offsets, padded with NULs to whole words, and which of them are plain: ASCII without escapes."""
    count = -(-int(length.max(initial=0)) // 8)
    texts = np.empty((len(at), count), np.uint64)
    odd = np.zeros(len(at), np.uint64)
    for word in range(count):
        there = np.minimum(np.maximum(length - 8 * word, 0), 8)
        place = np.minimum(at + 8 * word, 8 * (len(words) - 1))
        text = load(words, place, 8) & _FIRST_BYTES.take(there)
        texts[:, word] = text
        odd |= _odd((text | _BLANKS.take(there)).view(np.uint8)).view(np.uint64)
    return texts.view(np.uint8), odd == 0


def _odd(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Bytes that JSON escapes, or that may not stand in a terminal."""
    odd: NDArray[np.bool_] = codes - np.uint8(ord(" ")) > ord("~") - ord(" ")  # wraps around
    odd |= codes == ord('"')
    odd |= codes == ord("\\")
    return odd


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
        words: of the blocks that they are in, with zeros behind each.
        start, length: i64[n], where each blob lies, in bytes; `start` are multiples of 8.
        hard: bool[n], set for those that the plain rules do not cover.
        rows: i64[n], their numbers.
        bias: u64[n], load bias of the process. status: u64[n], CAPTURE_* bits.
    """

    plan: CapturePlan
    words: Words
    start: Indexes
    length: Indexes
    hard: NDArray[np.bool_] = field(init=False)
    rows: Indexes = field(init=False)
    bias: Words = field(init=False)
    status: Words = field(init=False)
    # Of the first piece of memory of each capture, the second, and so on: address, place and size.
    _pieces: list[tuple[Words, Indexes, Indexes]] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = np.arange(len(self))
        self.hard = self.length < AREA_HEAD_BYTES
        head = load(self.words, self.start, 8)
        self.bias, self.status = head & ~np.uint64(STATUS_MASK), head & np.uint64(STATUS_MASK)
        self._parse()

    def __len__(self) -> int:
        return len(self.start)

    @property
    def data(self) -> memoryview:
        """The bytes of `words`."""
        return self.words.view(np.uint8).data

    def _parse(self) -> None:
        rows, end = self.rows, self.start + self.length
        at = self.start + ((self.plan.area_bytes + 7) & ~7)
        self._pieces = []
        while True:
            inside = at + SEGMENT_BYTES <= end
            if not inside.all():
                rows, at, end = rows[inside], at[inside], end[inside]
            if len(rows) == 0:
                break
            if len(self._pieces) == _MOST_SEGMENTS:
                self.hard[rows] = True
                break
            address, tail = self.words.take(at >> 3), self.words.take((at >> 3) + 1)  # at whole words
            unreadable = tail >> np.uint64(32) == UNREADABLE
            if unreadable.any():
                self.hard[rows[unreadable]] = True
            at = at + SEGMENT_BYTES
            length = np.minimum((tail & np.uint64(0xFFFFFFFF)).view(np.int64), end - at)
            piece = self._spread(rows, address, _NOWHERE), self._spread(rows, at), self._spread(rows, length)
            self._pieces.append(piece)
            at = at + ((length + 7) & ~7)
        self._drop_doubles()

    def _spread(self, rows: Indexes, values: NDArray[Any], rest: Any = 0) -> NDArray[Any]:
        """Values of some captures as a column of all."""
        if len(rows) == len(self):
            return values
        column = np.full(len(self), rest, values.dtype)
        column[rows] = values
        return column

    def _drop_doubles(self) -> None:
        """Of two pieces at one address the larger counts, of equal ones the first."""
        for one, (address, _, size) in enumerate(self._pieces):
            for other, _, size_of_other in self._pieces[:one]:
                same = address == other
                if same.any():
                    larger = size > size_of_other
                    other[same & larger] = _NOWHERE
                    address[same & ~larger] = _NOWHERE

    def find(self, rows: Indexes, address: Words) -> tuple[Indexes, Indexes]:
        """Where memory at an address lies in each of some captures: byte offset (-1 nowhere), bytes from there.

        Nobody may change what is returned.
        """
        place, available = np.full(len(rows), -1), np.zeros(len(rows), np.int64)
        left = np.arange(len(rows))  # those not found
        # Mostly it is where a piece begins, and that is the same piece of many captures, if not of all.
        while len(left) and (number := self._piece_at(rows[left[0]], address[left[0]])) >= 0:
            begin, at, size = self._pieces[number]
            if len(left) == len(rows) and (self._of(begin, rows) == address).all():
                return self._of(at, rows), self._of(size, rows)
            here = rows[left]
            hit = begin[here] == address[left]
            found, here, left = left[hit], here[hit], left[~hit]
            place[found], available[found] = at[here], size[here]
        if len(left):
            place[left], available[left] = self._around(rows[left], address[left])
        return place, available

    def _piece_at(self, row: np.int64, address: np.uint64) -> int:
        """Number of the piece of a capture that begins at an address, -1 none."""
        return next((number for number, (begin, _, _) in enumerate(self._pieces) if begin[row] == address), -1)

    def _of(self, column: NDArray[Any], rows: Indexes) -> NDArray[Any]:
        """The values of some captures in a column of all."""
        return column if rows is self.rows else column.take(rows)

    def _around(self, rows: Indexes, address: Words) -> tuple[Indexes, Indexes]:
        """What `find` does, wherever in a piece the address lies: in the last one that does not begin behind it."""
        place, available = np.full(len(rows), -1), np.zeros(len(rows), np.int64)
        nearest = np.full(len(rows), _NOWHERE)
        for pieces in self._pieces:
            begin, at, size = (column.take(rows) for column in pieces)
            past = address - begin
            nearer = np.flatnonzero((begin <= address) & (past < nearest))
            past = past[nearer]
            nearest[nearer] = past
            offset = past.view(np.int64)
            inside = (past < size[nearer].view(np.uint64)) | (past == 0)
            place[nearer] = np.where(inside, at[nearer] + offset, -1)
            available[nearer] = np.where(inside, size[nearer] - offset, 0)
        return place, available

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

    def chosen(self, which: Indexes) -> "Spot":
        """Some of the captures, by ascending positions."""
        if len(which) == len(self):
            return self
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
        if which.any():
            self.captures.hard[self.rows[which]] = True

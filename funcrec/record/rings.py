"""Drain rings by mmap and numpy: whole spans at once, no call per event.

The wire structs mirror bpf/events.h and bpf/calls.c field by field. Events are in rings of the program's own
(bpf/rings.h), all else in the kernel's: Linux kernel/bpf/ringbuf.c (consumer page, producer page, data; record header
u32 length with flag bits, u32 page offset).
"""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = [("length", "<u4"), ("page_offset", "<u4")]
_BUSY = np.uint32(1 << 31)
_FLAGGED = np.uint32(1 << 30)

EVENT_ROW = np.dtype(
    [
        ("turn", "<u8"),
        ("time_ns", "<i8"),
        ("goid", "<u8"),
        ("depth", "<u4"),
        ("site", "<u4"),
        ("caller_delta", "<i4"),
        ("tid", "<u4"),
        ("pid", "<u4"),
        ("sequence", "<u4"),
    ]
)
FACT_ROW = np.dtype(
    [
        *_HEADER,
        ("time_ns", "<i8"),
        ("goid", "<u8"),
        ("parent", "<u8"),
        ("gopc", "<u8"),
        ("startpc", "<u8"),
        ("ip", "<u8"),
        ("current", "<u8"),
        ("pid", "<u4"),
        ("site", "<u4"),
    ]
)
RING_STATE = np.dtype(
    [
        ("sequence", "<u8"),
        ("lost_events", "<u8"),
        ("lost_values", "<u8"),
        ("no_goroutine", "<u8"),
        ("full_gates", "<u8"),
        ("full_goroutines", "<u8"),
        ("reserved", "<u8"),
        ("consumed", "<u8"),
    ]
)
CONTROL = np.dtype(
    [(name, "<u8") for name in ("closed", "epoch", "young", "moving", "letting_go", "only_pid")] + [("pad", "<u8", 2)]
)
STACK_MASK = 3
VALUES_FLAG = 4
NO_CALLER = -(2**31)

Rows = NDArray[Any]


class RingMemory:
    """The pages of one ring buffer, of which only those that hold records are mapped, while they are read.

    Args:
        descriptor: of the map; it stays the caller's, and open.
        size: bytes of its data area, a power of two.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        page = mmap.PAGESIZE
        consumer = mmap.mmap(descriptor, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        producer = mmap.mmap(descriptor, page, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._descriptor = descriptor
        self._mask = size - 1
        self._consumer = np.frombuffer(consumer, dtype="<u8", count=1)
        self._producer = np.frombuffer(producer, dtype="<u8", count=1)
        self._window = np.empty(0, dtype=np.uint8)

    def headers(self, stride: int) -> NDArray[np.uint32]:
        """The words that are now at every `stride` bytes of what is not consumed yet, u32."""
        self._window = self._map(self.fill // stride * stride)
        return self._window.view("<u4")[:: stride >> 2].copy()

    def take(self, size: int) -> NDArray[np.uint8]:
        """Copy the oldest `size` bytes, of which all headers were seen to be complete, and give their room back."""
        copied = self._window[:size].copy()
        self._window = self._window[:0].copy()  # the last reference to the pages
        # x86 keeps loads in order and stores after them: the copy is complete before the room is given back.
        self._consumer[0] += np.uint64(size)
        return copied

    def _map(self, size: int) -> NDArray[np.uint8]:
        """The oldest `size` bytes, in one piece: the kernel offers the data twice in a row."""
        if size == 0:
            return np.empty(0, dtype=np.uint8)
        start = int(self._consumer[0]) & self._mask
        lead = start % mmap.PAGESIZE
        offset = 2 * mmap.PAGESIZE + start - lead
        pages = mmap.mmap(self._descriptor, lead + size, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)
        return np.frombuffer(pages, dtype=np.uint8, offset=lead)

    @property
    def fill(self) -> int:
        """Bytes not yet consumed."""
        return int(self._producer[0]) - int(self._consumer[0])


class Ring:
    """One ring buffer whose records all have the same size.

    Args:
        descriptor: of the map; it stays the caller's.
        size: bytes of its data area, a power of two.
        row: dtype of a record with its 8-byte header, a multiple of 8 bytes.
    """

    def __init__(self, descriptor: int, size: int, row: np.dtype[Any]) -> None:
        self._row = row
        self._memory = RingMemory(descriptor, size)

    def drain(self) -> Rows:
        """Copy out what is there now and free its room; records still being written stay for the next call.

        Returns:
            rows of the dtype given, in ring order (by reservation, nearly but not exactly by time).
        """
        headers = self._memory.headers(self._row.itemsize)
        count = len(headers)
        if count and headers.max() >= _FLAGGED:
            count = int(np.append(np.flatnonzero(headers & _BUSY), count)[0])
        return self._memory.take(count * self._row.itemsize).view(self._row)

    @property
    def fill(self) -> int:
        """Bytes not yet drained."""
        return self._memory.fill


class EventRing:
    """The events of one CPU, in slots of an array that all rings share (bpf/rings.h).

    Args:
        descriptor: of the array; it stays the caller's, and open.
        number: of the ring.
        slots: that each ring has, a power of two.
        state: live RING_STATE rows of all rings, writable.
    """

    def __init__(self, descriptor: int, number: int, slots: int, state: Rows) -> None:
        self._descriptor = descriptor
        self._first = number * slots
        self._slots = slots
        self._state = state[number : number + 1]

    def drain(self) -> Rows:
        """Copy out what is there now and free its room; events still being written stay for the next call.

        Returns:
            EVENT_ROW rows in the order in which their slots were given out, nearly but not exactly by time.
        """
        consumed, count = int(self._state["consumed"][0]), self.fill
        start = consumed & (self._slots - 1)
        ahead = min(count, self._slots - start)
        parts = [self._copy(start, ahead, consumed)]
        if len(parts[0]) == ahead < count:
            parts.append(self._copy(0, count - ahead, consumed))
        rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
        # x86 keeps loads in order and stores after them: the copy is complete before the room is given back.
        self._state["consumed"] = consumed + len(rows)
        return rows

    def _copy(self, start: int, count: int, consumed: int) -> Rows:
        """Those of some slots in a row that are written, up to the first one that is not."""
        if count == 0:
            return np.empty(0, dtype=EVENT_ROW)
        begin = (self._first + start) * EVENT_ROW.itemsize
        lead = begin % mmap.PAGESIZE
        # Mapped while they are read only: the pages count as memory of whoever maps them.
        pages = mmap.mmap(
            self._descriptor,
            lead + count * EVENT_ROW.itemsize,
            mmap.MAP_SHARED,
            mmap.PROT_READ,
            offset=begin - lead,
        )
        rows = np.frombuffer(pages, dtype=EVENT_ROW, offset=lead, count=count)
        turns = rows["turn"].copy()
        if turns.min() <= consumed:  # of an earlier round
            count = int(np.flatnonzero(turns <= consumed)[0])
        return rows[:count].copy()

    @property
    def fill(self) -> int:
        """Slots given out and not yet drained."""
        return int(self._state["reserved"][0]) - int(self._state["consumed"][0])


def map_array(descriptor: int, entries: int, row: np.dtype[Any] | str, *, writable: bool = False) -> Rows:
    """View an mmapable BPF array as a live numpy array of `entries` rows (of a size that is a multiple of 8)."""
    dtype = np.dtype(row)
    size = -(-entries * dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    mapped = mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection, offset=0)
    return np.frombuffer(mapped, dtype=dtype, count=entries)


def map_shared(descriptor: int, rings: int) -> tuple[Rows, Rows]:
    """View what every hit looks at (bpf/rings.h): one CONTROL row, and a RING_STATE row for each ring."""
    rows = map_array(descriptor, 1 + rings, RING_STATE, writable=True)
    return rows[:1].view(CONTROL), rows[1:]

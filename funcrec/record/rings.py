"""Drain BPF ring buffers by mmap and numpy: whole spans at once, no call per event.

The wire structs mirror bpf/events.h and bpf/calls.c field by field. Ring layout: Linux kernel/bpf/ringbuf.c (consumer
page, producer page, data mapped twice in a row; record header u32 length with flag bits, u32 page offset).
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
        *_HEADER,
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
        ("pad", "<u8", 2),
    ]
)
STACK_MASK = 3
VALUES_FLAG = 4
NO_CALLER = -(2**31)

Rows = NDArray[Any]


class Ring:
    """One ring buffer whose records all have the same size.

    Args:
        descriptor: of the map; it stays the caller's.
        size: bytes of its data area, a power of two.
        row: dtype of a record with its 8-byte header, a multiple of 8 bytes.
    """

    def __init__(self, descriptor: int, size: int, row: np.dtype[Any]) -> None:
        self._row = row
        self._mask = size - 1
        page = mmap.PAGESIZE
        self._consumer_map = mmap.mmap(descriptor, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        self._data_map = mmap.mmap(descriptor, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._consumer = np.frombuffer(self._consumer_map, dtype="<u8", count=1)
        self._producer = np.frombuffer(self._data_map, dtype="<u8", count=1)
        self._data = np.frombuffer(self._data_map, dtype=np.uint8, offset=page)

    def drain(self) -> Rows:
        """Copy out what is there now and free its room; records still being written stay for the next call.

        Returns:
            rows of the dtype given, in ring order (by reservation, nearly but not exactly by time).
        """
        start, end = int(self._consumer[0]), int(self._producer[0])
        at = start & self._mask
        span = self._data[at : at + end - start]
        rows = span[: len(span) // self._row.itemsize * self._row.itemsize].view(self._row)
        headers = rows["length"]
        if len(rows) and headers.max() >= _FLAGGED:
            busy = np.flatnonzero(headers & _BUSY)
            if len(busy):
                rows = rows[: busy[0]]
        # x86 keeps loads in order and stores after them: the copy is complete before the room is given back.
        copied = rows.copy()
        self._consumer[0] = start + rows.nbytes
        return copied

    @property
    def fill(self) -> int:
        """Bytes not yet drained."""
        return int(self._producer[0]) - int(self._consumer[0])


def map_array(descriptor: int, entries: int, row: np.dtype[Any] | str, *, writable: bool = False) -> Rows:
    """View an mmapable BPF array as a live numpy array of `entries` rows (of a size that is a multiple of 8)."""
    dtype = np.dtype(row)
    size = -(-entries * dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    mapped = mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection, offset=0)
    return np.frombuffer(mapped, dtype=dtype, count=entries)

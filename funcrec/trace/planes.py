"""Integer columns as byte planes: the one encoding of numbers in the file (`formats/trace.md`, "Columns").

A column of n numbers with w bytes each is stored as all lowest bytes, then all second ones, and so on; w follows from
the length. High bytes repeat, so zstd takes them for nothing.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.trace.framing import BadRecordError
from funcrec.trace.records import I64, U32, U64


def pack(values: NDArray[Any]) -> bytes:
    """Encode non-negative integers (n) with as few planes as the largest needs; b"" when all are zero."""
    if len(values) == 0:
        return b""
    width = (int(values.max()).bit_length() + 7) // 8
    if width == 0:
        return b""
    size = next(size for size in (1, 2, 4, 8) if size >= width)
    planes = np.ascontiguousarray(values, f"<u{size}").view(np.uint8).reshape(len(values), size)
    return planes.T[:width].tobytes()


def pack_deltas(values: I64, base: int = 0) -> bytes:
    """Encode the differences between neighbours (the first one's from `base`), zigzag."""
    # Array arithmetic wraps at 64 bits, and so do the sums that undo it.
    deltas = values.copy()
    deltas[1:] -= values[:-1]
    deltas[:1] -= np.int64(base)
    return pack(zigzag(deltas))


def unpack(data: bytes, n: int, width: int) -> U64:
    """Decode n numbers of at most `width` bytes.

    Raises:
        BadRecordError: the length is no whole number of planes, or there are too many.
    """
    return _planes(data, n, width, 8)


def unpack_u32(data: bytes, n: int) -> U32:
    """Decode n numbers of at most 32 bits; see `unpack`."""
    return _planes(data, n, 4, 4)


def unpack_deltas(data: bytes, n: int, width: int, base: int = 0) -> I64:
    """Decode a column of differences; sums wrap at 64 bits, so check the range of what comes out."""
    values = unzigzag(_planes(data, n, width, 4 if len(data) <= 4 * n else 8))
    values[:1] += np.int64(base)
    return np.cumsum(values, out=values)


def zigzag(values: I64) -> U64:
    """0, -1, 1, -2 ... to 0, 1, 2, 3 ..."""
    return ((values << 1) ^ (values >> 63)).view(np.uint64)


def unzigzag(values: U64 | U32) -> I64:
    """Undo `zigzag`."""
    half = (values >> 1).astype(np.int64)
    sign = (values & 1).astype(np.int64)
    np.negative(sign, out=sign)
    return np.bitwise_xor(half, sign, out=half)


def _planes(data: bytes, n: int, width: int, size: int) -> NDArray[Any]:
    if n == 0 or len(data) % n or len(data) > n * width:
        if n == 0 and not data:
            return np.zeros(0, f"<u{size}")
        raise BadRecordError(f"a column of {n} numbers has {len(data)} bytes")
    columns = np.frombuffer(data, np.uint8).reshape(-1, n)
    values = np.zeros(n, f"<u{size}")
    spread = values.view(np.uint8).reshape(n, size)
    for plane, column in enumerate(columns):
        spread[:, plane] = column
    return values

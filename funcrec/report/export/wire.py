"""Protocol buffer bytes, one message or a column of messages at a time.

Wire format: varints of 7 bits, lowest first; a field is the varint `number << 3 | type` and then its value, with type
0 varint, 1 eight bytes, 2 length and bytes (protobuf.dev, "Encoding").
"""

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

_VARINT, _FIXED64, _BYTES = 0, 1, 2


# Most varints are tags and lengths: single bytes.
_SMALL = [bytes([value]) for value in range(0x80)]


def varint(value: int) -> bytes:
    """One varint; negative numbers as 64-bit two's complement."""
    if 0 <= value < 0x80:
        return _SMALL[value]
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: int | bytes | str) -> bytes:
    """One field: numbers as varint, bytes and text with their length."""
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def fixed64(number: int, value: int) -> bytes:
    """One field of type fixed64."""
    return varint(number << 3 | _FIXED64) + value.to_bytes(8, "little")


def double(number: int, value: float) -> bytes:
    """One field of type double."""
    return varint(number << 3 | _FIXED64) + np.float64(value).tobytes()


def packed(number: int, values: Sequence[int]) -> bytes:
    """One packed repeated varint field."""
    return field(number, b"".join(map(varint, values)))


@dataclass(frozen=True, slots=True)
class Column:
    """n byte strings of differing length, padded: the bytes of row i are `data[i][used[i]]`.

    Attributes:
        data: u8[n, w].
        used: bool[n, w].
    """

    data: NDArray[np.uint8]
    used: NDArray[np.bool_]

    def lengths(self) -> NDArray[np.int64]:
        """i64[n] bytes per row."""
        lengths: NDArray[np.int64] = self.used.sum(axis=1, dtype=np.int64)
        return lengths

    def bytes(self) -> NDArray[np.uint8]:
        """All rows, end to end."""
        return self.data[self.used]

    def rows(self) -> list[builtins.bytes]:
        """Each row."""
        whole, ends = self.bytes().tobytes(), np.cumsum(self.lengths())
        return [whole[low:high] for low, high in pairwise([0, *ends.tolist()])]


def join(*columns: Column) -> Column:
    """Row by row, the parts in their order."""
    return Column(np.hstack([part.data for part in columns]), np.hstack([part.used for part in columns]))


def constant(data: bytes, n: int) -> Column:
    """The same bytes in each of n rows."""
    cells = np.broadcast_to(np.frombuffer(data, np.uint8), (n, len(data)))
    return Column(cells, np.ones_like(cells, np.bool_))


def varints(values: NDArray[np.uint64] | NDArray[np.int64] | NDArray[np.uint32]) -> Column:
    """n varints; negative numbers as 64-bit two's complement."""
    unsigned = values.astype(np.uint64)
    width = max(1, -(-int(unsigned.max()).bit_length() // 7)) if len(unsigned) else 1
    shifted = unsigned[:, None] >> (np.arange(width, dtype=np.uint64) * np.uint64(7))
    used = shifted != 0
    used[:, 0] = True
    data = (shifted & np.uint64(0x7F)).astype(np.uint8)
    # Every byte but the last one used carries the continuation bit.
    data[:, :-1] |= used[:, 1:].astype(np.uint8) << np.uint8(7)
    return Column(data, used)


def varint_fields(
    number: int,
    values: NDArray[np.uint64] | NDArray[np.int64] | NDArray[np.uint32],
    present: NDArray[np.bool_] | None = None,
) -> Column:
    """A varint field in each of n rows, or only in those `present`."""
    column = join(constant(varint(number << 3 | _VARINT), len(values)), varints(values))
    return column if present is None else Column(column.data, column.used & present[:, None])


def messages(number: int, body: Column, tail_lengths: NDArray[np.int64] | None = None) -> Column:
    """A length-delimited field around each row; `tail_lengths` counts bytes that will follow the row's own."""
    lengths = body.lengths() if tail_lengths is None else body.lengths() + tail_lengths
    return join(constant(varint(number << 3 | _BYTES), len(lengths)), varints(lengths), body)


def with_tails(column: Column, tails: Sequence[bytes]) -> bytes:
    """The rows end to end, each followed by its tail."""
    if not any(tails):
        return column.bytes().tobytes()
    return b"".join(chain.from_iterable(zip(column.rows(), tails, strict=True)))

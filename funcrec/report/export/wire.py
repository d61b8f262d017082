"""Protocol buffer bytes, one message at a time; `funcrec.report.export.wirerows` makes many.

Wire format: varints of 7 bits, lowest first; a field is the varint `number << 3 | type` and then its value, with type
0 varint, 1 eight bytes, 2 length and bytes (protobuf.dev, "Encoding").
"""

from collections.abc import Sequence

import numpy as np

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

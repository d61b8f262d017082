"""A capture's bytes: the root area and the pieces of memory behind it, found by address.

Mirrors bpf/values.h. Nothing in a blob is trusted: any bytes give a result, in time linear in their length.
"""

import struct
from bisect import bisect_right

AREA_HEAD_BYTES = 8
CAPTURE_FULL = 1  # something was left unread for lack of room
CAPTURE_STACK = 2  # the stack could not be read
STATUS_MASK = 0xFFF
_SEGMENT = struct.Struct("<QII")
_WORD = struct.Struct("<Q")
UNREADABLE = 1  # status of a piece


class UnreadError(Exception):
    """Bytes that the capture does not have, and why.

    Args:
        reason: word for `$error`.
        absent: True when nobody tried to read them (a limit was reached).
    """

    def __init__(self, reason: str, *, absent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.absent = absent


class Memory:
    """One capture.

    Args:
        blob: as in the trace.
        area_bytes: length of the root area by the plan.

    Attributes:
        bias: load bias of the process.
        status: CAPTURE_* bits.
    """

    def __init__(self, blob: bytes, area_bytes: int) -> None:
        self.blob = blob
        self.area_bytes = min(area_bytes, len(blob))
        head = _WORD.unpack_from(blob)[0] if len(blob) >= AREA_HEAD_BYTES else CAPTURE_FULL
        self.bias = head & ~STATUS_MASK
        self.status = head & STATUS_MASK
        self._segments: dict[int, tuple[int, int]] = {}  # address -> place in the blob, length (-1 unreadable)
        self._sorted: list[int] | None = None
        at = (area_bytes + 7) & ~7
        while at + _SEGMENT.size <= len(blob):
            address, length, status = _SEGMENT.unpack_from(blob, at)
            at += _SEGMENT.size
            length = min(length, len(blob) - at)
            known = self._segments.get(address)
            size = -1 if status == UNREADABLE else length
            if known is None or size > known[1]:
                self._segments[address] = (at, size)
            at += (length + 7) & ~7

    def find(self, address: int) -> tuple[int, int]:
        """Where the bytes at an address are: (offset in the blob, how many follow).

        Raises:
            UnreadError: not captured, or not readable.
        """
        found = self._segments.get(address)
        if found is not None:
            if found[1] < 0:
                raise UnreadError("unreadable")
            return found
        if self._sorted is None:
            self._sorted = sorted(self._segments)
        position = bisect_right(self._sorted, address) - 1
        if position >= 0:
            start = self._sorted[position]
            at, length = self._segments[start]
            if address < start + length:
                return at + address - start, length - (address - start)
        raise UnreadError("not captured", absent=True)

    def word(self, address: int) -> int:
        """The 8-byte word at an address.

        Raises:
            UnreadError: not captured, or not readable.
        """
        at, length = self.find(address)
        if length < 8:
            raise UnreadError("not captured", absent=True)
        word: int = _WORD.unpack_from(self.blob, at)[0]
        return word

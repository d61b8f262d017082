"""Decode many functions to numbers, on two processors when it is much: a third of what a large plan takes."""

import os
import sys
import threading
from array import array
from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np
from iced_x86 import Decoder
from numpy.typing import NDArray

_LARGE = 4 << 20  # bytes of code that are worth a process, which takes some 20 ms
_code_of, _length_of = attrgetter("code"), attrgetter("len")
Decoded = tuple[bytes, bytes, bytes]


def decode(codes: Sequence[bytes]) -> tuple[NDArray[np.uint16], NDArray[np.uint8], NDArray[np.int64]]:
    """Decode functions from their starts to their ends.

    Returns:
        iced `Code` (u16) and length in bytes (u8) of all instructions, one function behind the other; their number in
        each function (i64).
    """
    sizes = np.cumsum([0, *map(len, codes)])
    total = int(sizes[-1])
    # Forking is not safe when other threads may hold locks.
    apart = total > _LARGE and sys.platform == "linux" and threading.active_count() == 1
    half = int(np.searchsorted(sizes, total // 2)) if apart and len(os.sched_getaffinity(0)) > 1 else len(codes)
    rest = _decode_apart(codes[half:])
    parts = [_decode(codes[:half]), rest()]
    code, length, counts = (b"".join(pieces) for pieces in zip(*parts, strict=True))
    return np.frombuffer(code, np.uint16), np.frombuffer(length, np.uint8), np.frombuffer(counts, np.int64)


def _decode(codes: Sequence[bytes]) -> Decoded:
    code, length, counts = array("H"), bytearray(), array("q")
    for each in codes:
        instructions = list(Decoder(64, each))
        code.extend(map(_code_of, instructions))
        length.extend(map(_length_of, instructions))
        counts.append(len(instructions))
    return code.tobytes(), bytes(length), counts.tobytes()


def _decode_apart(codes: Sequence[bytes]) -> Callable[[], Decoded]:
    """Begin to decode in a process of its own; returns what waits for it. Nothing begins for nothing."""
    if not codes:
        return lambda: (b"", b"", b"")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as pipe:
                for part in _decode(codes):
                    pipe.write(len(part).to_bytes(8, "little") + part)
        finally:
            os._exit(0)
    os.close(writing)

    def wait() -> Decoded:
        with os.fdopen(reading, "rb") as pipe:
            parts = [pipe.read(int.from_bytes(pipe.read(8), "little")) for _ in range(3)]
        os.waitpid(child, 0)
        # A child that was killed has written less; a whole answer has a count for every function.
        return (parts[0], parts[1], parts[2]) if len(parts[2]) == 8 * len(codes) else _decode(codes)

    return wait

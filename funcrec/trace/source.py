"""Random access to the bytes of a trace, wherever it comes from."""

import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

from funcrec.errors import TraceError


class Source:
    """Bytes by position.

    Reads instead of mapping the file: a mapped file that someone cuts short kills its reader with SIGBUS.

    Args:
        origin: a path, `-` for standard input, or an open binary file; pipes are read to their end first.

    Attributes:
        name: for messages.
        size: length in bytes when it was opened.

    Raises:
        TraceError: the file cannot be opened or read.
    """

    def __init__(self, origin: str | os.PathLike[str] | BinaryIO) -> None:
        self.name = (
            os.fspath(origin) if isinstance(origin, str | os.PathLike) else str(getattr(origin, "name", "trace"))
        )
        self._lock = threading.Lock()
        self._owned = False  # a file that the caller opened is the caller's to close
        try:
            self._file = self._open(origin)
            self.size = self._file.seek(0, io.SEEK_END)
        except OSError as error:
            raise self._failure(error) from error

    def __del__(self) -> None:
        if self._owned:
            self._file.close()

    def _open(self, origin: str | os.PathLike[str] | BinaryIO) -> BinaryIO:
        if isinstance(origin, str | os.PathLike):
            if os.fspath(origin) == "-":
                return io.BytesIO(sys.stdin.buffer.read())
            opened: BinaryIO = open(origin, "rb")  # noqa: SIM115 - lives as long as the source
            self._owned = True
            origin = opened
        return origin if origin.seekable() else io.BytesIO(origin.read())

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer at the end.

        Raises:
            TraceError: the file cannot be read.
        """
        try:
            with self._lock:  # of two threads that read, one may come between
                self._file.seek(offset)
                return self._file.read(size)
        except (OSError, ValueError) as error:
            raise self._failure(error) from error

    def find(self, pattern: bytes, offset: int) -> Iterator[int]:
        """Yield every position of `pattern` at or after `offset`; reads little when the first one is near."""
        step = 1 << 12
        while chunk := self.read(offset, step + len(pattern) - 1):
            at = chunk.find(pattern)
            while at >= 0:
                yield offset + at
                at = chunk.find(pattern, at + 1)
            offset += step
            step = min(2 * step, 1 << 20)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _failure(self, error: Exception) -> TraceError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return TraceError(f"cannot read {self.name!a}: {reason}", remedy="give the path of a trace that you may read")

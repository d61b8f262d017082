"""The output file: created safely, owned by the person who typed the command, never a half record at its end."""

import contextlib
import os
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from funcrec.errors import FuncrecError
from funcrec.record.launch import sudo_caller

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class OutputFile(FileIO):
    """The trace while it grows: a write is whole or leaves no trace of itself."""

    def __init__(self, descriptor: int, path: Path) -> None:
        super().__init__(descriptor, "wb")
        self._path = path
        self._whole = 0

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of it.

        Raises:
            FuncrecError: the disk is full, or the file system went away; what was written before stays readable.
        """
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view):
                done += super().write(view[done:]) or 0
        except OSError as error:
            with contextlib.suppress(OSError):
                self.truncate(self._whole)
            raise FuncrecError(
                f"writing {self._path} failed: {error.strerror}",
                remedy="make room and record again; what was written so far is readable",
            ) from error
        self._whole += done
        return done


def create_output(path: Path) -> OutputFile:
    """Create the trace file (mode 0600, owned by the sudo caller); an existing regular file becomes PATH.old.

    Raises:
        FuncrecError: the folder or file cannot be written, or the path is not a regular file.
    """
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise FuncrecError(f"{path} is not a regular file", remedy="choose another file with -o")
        if path.exists():
            path.replace(path.with_name(path.name + ".old"))
        # O_EXCL and O_NOFOLLOW: what somebody else puts there in between is not written through.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FuncrecError(
            f"cannot write {path}: {error.strerror}", remedy="choose a folder that you can write to with -o"
        ) from error
    caller = sudo_caller()
    if caller is not None:
        os.fchown(descriptor, caller.uid, caller.gid)
    return OutputFile(descriptor, path)

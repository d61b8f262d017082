"""Write an export where the user wants it: whole or not at all."""

import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from funcrec.errors import FuncrecError, UsageError


def write(out: str, pieces: Iterable[bytes]) -> int:
    """Write to a file, which appears only when it is complete, or to standard output for `-`.

    An existing file is replaced in one step. A symbolic link is never followed to a file; pipes and devices are
    written to as they are. Files get mode 0600, since values may be private, or keep the mode they had.

    Returns:
        Number of bytes written.

    Raises:
        UsageError: OUT is a symbolic link or a folder.
        FuncrecError: it cannot be written.
    """
    if out == "-":
        return _stream(sys.stdout.buffer, pieces)
    path = Path(out)
    try:
        status = path.stat() if path.exists() else None
        if status is not None and not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            with path.open("wb") as file:
                return _stream(file, pieces)
        _check(path)
        return _replace(path, pieces, 0o600 if status is None else stat.S_IMODE(status.st_mode))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FuncrecError(
            f"cannot write {out}: {error.strerror or error}", remedy="name a file in a folder you can write to with -o"
        ) from error


def _check(path: Path) -> None:
    if path.is_symlink():
        raise UsageError(f"{path} is a symbolic link", remedy=f"name the file it points to, {os.path.realpath(path)}")
    if path.is_dir():
        raise UsageError(f"{path} is a folder", remedy="name a file, such as out.json")


def _stream(file: BinaryIO, pieces: Iterable[bytes]) -> int:
    size = 0
    for piece in pieces:
        file.write(piece)
        size += len(piece)
    return size


def _replace(path: Path, pieces: Iterable[bytes], mode: int) -> int:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            size = _stream(file, pieces)
            os.fchmod(file.fileno(), mode)
            _hand_over(file.fileno())
        os.replace(name, path)
        return size
    except BaseException:
        os.unlink(name)
        raise


def _hand_over(descriptor: int) -> None:
    """Under sudo the file belongs to whoever called it."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and uid.isdecimal() and gid.isdecimal():
        os.fchown(descriptor, int(uid), int(gid))

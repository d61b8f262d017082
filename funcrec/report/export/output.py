"""Write an export where the user wants it: whole or not at all."""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from funcrec.errors import FuncrecError, UsageError


@contextmanager
def opened(out: str) -> Iterator[BinaryIO]:
    """Give a file to write to that appears as OUT when all went well; standard output for `-`.

    An existing file is replaced in one step. A symbolic link is never followed to a file; pipes and devices are
    written to as they are. Files get mode 0600, since values may be private, or keep the mode they had.

    Raises:
        UsageError: OUT is a symbolic link or a folder.
        FuncrecError: it cannot be written.
    """
    if out == "-":
        yield sys.stdout.buffer
        return
    path = Path(out)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as file:
                yield file
            return
        _check(path)
        with _replacement(path) as file:
            yield file
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


@contextmanager
def _replacement(path: Path) -> Iterator[BinaryIO]:
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            os.fchmod(file.fileno(), mode)
            _hand_over(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _hand_over(descriptor: int) -> None:
    """Under sudo the file belongs to whoever called it."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and uid.isdecimal() and gid.isdecimal():
        os.fchown(descriptor, int(uid), int(gid))

"""The output file: created safely, owned by the person who typed the command, never a half record at its end."""

import os
from io import FileIO
from pathlib import Path

from funcrec.errors import FuncrecError
from funcrec.record.launch import sudo_caller


def create_output(path: Path) -> FileIO:
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
    return FileIO(descriptor, "wb")

"""The executable while it is recorded: the very file that was read, held open, and not written to.

A breakpoint belongs to a place in a file, not to the code that once was there: were the file overwritten while no
process runs it (the kernel forbids it while one does), the next process would have breakpoints in the middle of
instructions. So whoever opens it for writing waits until the probes are gone (fcntl(2), F_SETLEASE), and where a file
system has no leases the file is looked at again and again.
"""

import contextlib
import fcntl
import os
import signal
from collections.abc import Sequence
from types import TracebackType

from funcrec.errors import TargetError
from funcrec.record.processes import FileIdentity, identity_of, in_memory
from funcrec.target.elf import FileStamp

WRITER = signal.SIGIO  # somebody wants to write


class Binary:
    """A context manager.

    Args:
        path: of the executable.
        read: of the file that was read under this path.
        notes: file offset and bytes of what tells its build, in the memory of who runs it as well.

    Raises:
        TargetError: another file is there now.
    """

    def __init__(self, path: str, read: FileStamp, notes: Sequence[tuple[int, bytes]] = ()) -> None:
        self._path = path
        self._read = read
        self._notes = notes
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if self.changed:
            os.close(self.descriptor)
            raise self.refusal()

    @property
    def identity(self) -> FileIdentity:
        """What processes that run it have in common."""
        return FileIdentity(self._read.device, self._read.inode)

    @property
    def changed(self) -> bool:
        """Whether the file is not as it was read."""
        return FileStamp.of(self.descriptor) != self._read

    @property
    def replaced(self) -> bool:
        """Whether the path leads to another file by now, or to none."""
        try:
            return identity_of(self._path) != self.identity
        except OSError:
            return True

    def refusal(self) -> TargetError:
        """What to raise when it has changed."""
        return TargetError(f"{self._path} has changed since it was read", remedy="record again, now that it is written")

    def check_image(self, pid: int, twin: str | None = None) -> None:
        """Make sure that a process has this very build in its memory.

        It is the same file, but what was mapped before the file changed on a server, or was patched, is not what is
        there to read. A process that has not mapped it, has ended or is not ours to see is not judged.

        Args:
            pid: of the process.
            twin: path of the file of its own that it runs.

        Raises:
            TargetError: it has another one.
        """
        identity = self.identity if twin is None else identity_of(twin)
        for offset, expected in self._notes:
            found = in_memory(pid, identity, offset, len(expected))
            if found is not None and found != expected:
                raise TargetError(
                    f"process {pid} has another build of {self._path} in its memory than the file is",
                    remedy="start it again, then record",
                )

    def hold(self) -> None:
        """Let writers wait until `release`: WRITER, which must be blocked, tells that there is one.

        Raises:
            TargetError: it has changed.
        """
        signal.signal(WRITER, signal.SIG_IGN)  # it waits while it is blocked all the same, and does no harm later
        # Without leases, with a file of somebody else's, or with a writer who was there before: `changed` must do.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        if self.changed:
            raise self.refusal()

    def release(self) -> None:
        """Let writers go on."""
        with contextlib.suppress(OSError):  # there was none
            fcntl.fcntl(self.descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    def __enter__(self) -> "Binary":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

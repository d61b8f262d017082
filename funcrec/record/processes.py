"""The processes of the traced binary: who runs it now, who came and went while recording.

Reads /proc; knows nothing of probes.
"""

import os
import select
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from funcrec.errors import TargetError
from funcrec.trace.records import ProcessRecord

DELETED = " (deleted)"  # what the kernel puts behind the path of a file that is no longer there
_LATE_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """The inode that probes belong to."""

    device: int
    inode: int


def identity_of(path: str | int) -> FileIdentity:
    """Return the identity of a path or open descriptor."""
    status = os.stat(path)
    return FileIdentity(status.st_dev, status.st_ino)


def running(identity: FileIdentity) -> list[int]:
    """Return the pids of all processes that run the file now or have it as a library, ascending."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                pid = int(entry.name)
                if identity_of(f"/proc/{pid}/exe") == identity or maps(pid, identity):
                    found.append(pid)
            except OSError:
                continue  # ended, a kernel thread, or not ours to see
    return sorted(found)


def maps(pid: int, identity: FileIdentity) -> bool:
    """Whether a process has code of the file mapped, such as that of a library."""
    # who only reads the file, as we do, does not run it
    return any("x" in permissions for _, permissions, _ in mappings(pid, identity))


def in_memory(pid: int, identity: FileIdentity, offset: int, size: int) -> bytes | None:
    """What a process has in memory of `size` bytes of the file at `offset`.

    None: it has not mapped them, it is gone, or it is not ours to see.
    """
    for span, _, start in mappings(pid, identity):
        if start <= offset and offset + size <= start + len(span):
            try:
                with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                    return os.pread(memory.fileno(), size, span.start + offset - start)
            except OSError:
                return None
    return None


def mappings(pid: int, identity: FileIdentity) -> Iterator[tuple[range, str, int]]:
    """Yield addresses, permissions and file offset of each mapping of the file; none when they are not ours to see."""
    number = str(identity.inode)
    device = f"{os.major(identity.device):02x}:{os.minor(identity.device):02x}"
    try:
        with open(f"/proc/{pid}/maps", errors="replace") as lines:
            for line in lines:
                if number in line:
                    # address permissions offset device inode path
                    addresses, permissions, offset, *found = line.split(None, 5)[:5]
                    if found == [device, number]:
                        low, high = (int(address, 16) for address in addresses.split("-"))
                        yield range(low, high), permissions, int(offset, 16)
    except OSError:
        return


def check_runs(pid: int, identity: FileIdentity | None, binary: str) -> None:
    """Make sure that a process runs the very file that was read; without an identity nothing is it.

    Raises:
        TargetError: no such process, or it runs another file.
    """
    try:
        exe = f"/proc/{pid}/exe"
        if identity_of(exe) == identity:
            return
        actual = os.readlink(exe)
    except FileNotFoundError as error:
        raise TargetError(f"no process has pid {pid}", remedy="pgrep -a NAME shows what runs") from error
    except OSError as error:
        raise TargetError(
            f"process {pid} cannot be inspected: {error.strerror}",
            remedy="run as root, or as its owner with CAP_SYS_PTRACE",
        ) from error
    replaced = actual.endswith(DELETED)
    raise TargetError(
        f"process {pid} runs {actual}, not {binary}",
        remedy=f"record /proc/{pid}/exe instead of {binary}" if replaced else f"give {actual} as BINARY, or another -p",
    )


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc(5)); [] when there is no such process."""
    try:
        # The command name may hold blanks and parentheses: count fields after the last one.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def is_debugged(pid: int) -> bool:
    """Whether a debugger holds the process (TracerPid of proc(5)); False when that cannot be known."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return False
    return "\nTracerPid:\t0\n" not in status


def parent_of(pid: int) -> int:
    """Return the parent's pid, 0 when it cannot be known."""
    try:
        return int(stat_fields(pid)[1])
    except (ValueError, IndexError):
        return 0


def exe_of(pid: int) -> str:
    """Return the path of the file that a process runs, with DELETED behind it or not; "" when it cannot be known."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def descends_from(pid: int, ancestor: int) -> bool:
    """Whether a process is a descendant of another; also true when it is gone and nobody can tell."""
    while pid > 1:
        if pid == ancestor:
            return True
        parent = parent_of(pid)
        if parent == 0:
            return True
        pid = parent
    return False


class ProcessTable:
    """Every process that was seen, as records for the trace."""

    def __init__(self) -> None:
        self._alive: dict[int, tuple[ProcessRecord, int]] = {}
        self._ended: dict[int, int] = {}  # pid -> when, of the last few seconds

    def see(self, pid: int, now_ns: int) -> ProcessRecord | None:
        """Note a process; returns its record when it is new."""
        # Its last events may come when it is known to have ended.
        if pid in self._alive or now_ns <= self._ended.get(pid, -1):
            return None
        record = ProcessRecord(
            pid=pid, start_ns=now_ns, parent_pid=parent_of(pid), exe=exe_of(pid), command=_command(pid)
        )
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            handle = -1
        self._alive[pid] = (record, handle)
        return record

    def ended(self, now_ns: int) -> list[ProcessRecord]:
        """Return the records of processes that have ended since the last call."""
        self._ended = {pid: end_ns for pid, end_ns in self._ended.items() if now_ns - end_ns < _LATE_NS}
        gone = [pid for pid, (_, handle) in self._alive.items() if not _lives(pid, handle)]
        records = []
        for pid in gone:
            record, handle = self._alive.pop(pid)
            self._ended[pid] = now_ns
            if handle >= 0:
                os.close(handle)
            records.append(
                ProcessRecord(
                    pid=pid,
                    start_ns=record.start_ns,
                    end_ns=now_ns,
                    parent_pid=record.parent_pid,
                    exe=record.exe,
                    command=record.command,
                )
            )
        return records

    @property
    def alive(self) -> list[int]:
        """Pids that had not ended at the last look."""
        return sorted(self._alive)


def _command(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(part) for part in raw.rstrip(b"\0").split(b"\0")] if raw else []


def _lives(pid: int, handle: int) -> bool:
    if handle < 0:
        return os.path.exists(f"/proc/{pid}")
    readable, _, _ = select.select([handle], [], [], 0)
    return not readable

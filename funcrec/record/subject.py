"""What `-p` names, and which file those processes really run: in containers, deleted, replaced, or as typed.

Reads /proc; asks no daemon.
"""

import filecmp
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from funcrec.errors import TargetError, UsageError
from funcrec.record.processes import DELETED, FileIdentity, check_runs, exe_of, identity_of, maps

_CONTAINER = re.compile(r"[0-9a-f]{12,64}")
_UNIT_SUFFIXES = (".service", ".scope", ".slice", ".socket", ".mount")
_COMM_BYTES = 15  # TASK_COMM_LEN of include/linux/sched.h, without the NUL
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Subject:
    """What is recorded.

    Attributes:
        path: of the file to read and to probe; of a descriptor that is held open when no path leads to it.
        shown: what people call it.
        pids: only these processes; empty: all of the file.
        twins: processes with a file of their own of the same contents, as containers of one image have -> its path.
        notes: lines for people.
    """

    path: str
    shown: str
    pids: list[int] = field(default_factory=list)
    twins: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@contextmanager
def subject(binary: str, words: Sequence[str]) -> Iterator[Subject]:
    """Find the processes and their file; what is held open for it is closed in the end.

    Args:
        binary: as typed.
        words: of -p: pids, names of processes, systemd units, container ids.

    Raises:
        UsageError: a word can be none of these.
        TargetError: there is no such process, or it does not run the binary.
    """
    pids = sorted({pid for word in words for pid in _pids(word, binary)})
    held: list[int] = []
    try:
        yield _of(binary, pids, held) if pids else Subject(binary, binary)
    finally:
        for descriptor in held:
            os.close(descriptor)


def _of(binary: str, pids: list[int], held: list[int]) -> Subject:
    first = pids[0]
    seen = _seen_from(first, binary)
    if seen is None:
        raise _strange(first, binary)
    path, notes = binary, []
    if seen != binary:
        held.append(os.open(seen, os.O_RDONLY | os.O_CLOEXEC))
        path = f"/proc/self/fd/{held[0]}"
        notes.append(_remark(first, binary))
    identity = identity_of(path)
    twins: dict[int, str] = {}
    for pid in pids:
        exe = f"/proc/{pid}/exe"
        if _identity(exe) == identity or maps(pid, identity):
            continue
        if _seen_from(pid, binary) is None or not filecmp.cmp(path, exe, shallow=False):
            check_runs(pid, identity, binary)
        held.append(os.open(exe, os.O_RDONLY | os.O_CLOEXEC))
        twins[pid] = f"/proc/self/fd/{held[-1]}"
    return Subject(path, binary, pids, twins, notes)


def _seen_from(pid: int, binary: str) -> str | None:
    """Where the file is that a process runs, if the binary is that: as typed, or /proc/PID/exe; None if it is not."""
    exe = f"/proc/{pid}/exe"
    runs = _identity(exe)
    if runs is None:
        return None
    known = _identity(binary)
    if known is not None and (known == runs or maps(pid, known)):
        return binary
    if os.readlink(exe).removesuffix(DELETED) == os.path.abspath(binary):
        return exe
    # The path as the process itself has it, in a root of its own.
    inside = f"/proc/{pid}/root{binary}" if os.path.isabs(binary) else ""
    return exe if inside and _identity(inside) == runs else None


def _remark(pid: int, binary: str) -> str:
    if os.readlink(f"/proc/{pid}/exe").endswith(DELETED):
        became = "replaced" if os.path.exists(binary) else "deleted"
        return f"pid {pid} runs {binary} as it was before it was {became}: that is recorded"
    return f"recorded is {binary} as pid {pid} has it, in a root of its own"


def _identity(path: str) -> FileIdentity | None:
    try:
        return identity_of(path)
    except OSError:
        return None


def _strange(pid: int, binary: str) -> TargetError:
    """Why a process cannot be recorded as one of the binary."""
    try:
        check_runs(pid, None, binary)
    except TargetError as error:
        return error
    return TargetError(f"process {pid} does not run {binary}", remedy="give the file that it runs as BINARY")


def _pids(word: str, binary: str) -> list[int]:
    """The processes that a word names: one by number, else those of a group that run the binary."""
    if re.fullmatch(r"[+-]?\d+", word):
        if int(word) <= 0:
            raise UsageError(f"'{word}' is not a pid", remedy="pgrep -a NAME shows what runs")
        return [int(word)]
    group = [pid for pid in _processes() if _belongs(pid, word)]
    if not group:
        raise TargetError(
            f"no process, systemd unit or container is called '{word}'",
            remedy="pgrep -a NAME, systemctl status UNIT or docker ps --no-trunc show what runs",
        )
    found = [pid for pid in group if _seen_from(pid, binary) is not None]
    if not found:
        others = ", ".join(f"{pid} ({_exe(pid) or 'hidden from us'})" for pid in group[:_NAMED])
        raise TargetError(f"no process of '{word}' runs {binary}", remedy=f"give what one of them runs: {others}")
    return found


def _processes() -> list[int]:
    own = os.getpid()
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own)


def _belongs(pid: int, word: str) -> bool:
    return word in _names(pid) or any(_is_of(component, word) for component in _cgroups(pid))


def _names(pid: int) -> set[str]:
    """What people call a process: the kernel's short name, its file's, and that of argv[0]."""
    try:
        comm = Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
        started_as = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0])
    except OSError:
        return set()
    names = {os.path.basename(_exe(pid)), os.path.basename(started_as)}
    # A short name that was cut is none.
    return (names | ({comm} if len(os.fsencode(comm)) < _COMM_BYTES else set())) - {""}


def _exe(pid: int) -> str:
    return exe_of(pid).removesuffix(DELETED)


def _cgroups(pid: int) -> set[str]:
    """The folders of the control groups that a process is in, in any hierarchy: cgroups(7)."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return set()
    return {component for line in lines for component in line.split(":", 2)[-1].split("/") if component}


def _is_of(component: str, word: str) -> bool:
    """Whether a control group is that of a unit, or of a container whose id begins so.

    Units have a group of their name. Containers: ID (docker and others with cgroupfs), docker-ID.scope,
    cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope (with systemd).
    """
    if component == word or (not word.endswith(_UNIT_SUFFIXES) and component == f"{word}.service"):
        return True
    if not _CONTAINER.fullmatch(word):
        return False
    identifier = component.removesuffix(".scope").rpartition("-")[2]
    return len(identifier) == 64 and identifier.startswith(word)

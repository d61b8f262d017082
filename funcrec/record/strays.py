"""Breakpoints in a process that no recorder holds, and how they go.

The kernel writes no foreign memory on behalf of a task that is being killed. So a recorder that is killed together with
the child that arms for it (`shelter.py`), as a whole control group or container is, leaves breakpoints: they cost time
and do nothing else. Whoever probes their places and stops to do so takes them away. What others hold stays, since the
kernel knows it.
"""

import contextlib
import mmap
import os
from collections.abc import Callable

import numpy as np

from funcrec.errors import FuncrecError
from funcrec.record import shelter
from funcrec.record.attach import Attacher
from funcrec.record.machine import machine
from funcrec.record.processes import identity_of, is_debugged, mappings

# Bits of an entry of /proc/PID/pagemap (Linux 5.15 Documentation/admin-guide/mm/pagemap.rst).
_PRESENT, _SWAPPED, _OF_FILE = (np.uint64(1 << bit) for bit in (63, 62, 61))


def breakpoints(pid: int, path: str) -> list[int]:
    """Return the offsets in a file at which a process that runs it has a breakpoint and the file has none, ascending.

    Only pages of its own are looked at, so that nothing is brought into its memory. A process that a debugger holds, is
    gone or is not ours to see has none.
    """
    if is_debugged(pid):
        return []
    found: list[int] = []
    try:
        with (
            open(f"/proc/{pid}/mem", "rb", buffering=0) as memory,
            open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap,
            open(path, "rb", buffering=0) as file,
        ):
            for span, permissions, start in mappings(pid, identity_of(file.fileno())):
                for page in _own_pages(pagemap.fileno(), span) if "x" in permissions else ():
                    now = os.pread(memory.fileno(), mmap.PAGESIZE, page)
                    offset = start + page - span.start
                    found += _differences(now, os.pread(file.fileno(), len(now), offset), offset)
    except OSError:
        return []
    return sorted(set(found))


def take_away(pid: int, path: str, attaching: Callable[[str], Attacher], cookie: int) -> int:
    """Take stray breakpoints out of a process.

    Args:
        pid: of the process.
        path: of the file that it runs.
        attaching: makes what attaches a program, which ignores the hits, to a file.
        cookie: for those hits.

    Returns:
        how many are gone. What cannot be taken away stays.
    """
    before = breakpoints(pid, path)
    if not before:
        return 0
    attacher = attaching(path)
    with contextlib.suppress(FuncrecError):
        links = attacher.attach(before, [cookie] * len(before), [pid])
        shelter.given_up([link.disarm for link in links])
        for link in links:
            link.close()
    attacher.close()
    return max(len(before) - len(breakpoints(pid, path)), 0)


def _own_pages(pagemap: int, span: range) -> list[int]:
    """Addresses of the pages of a mapping that are the process' own, and not the file's."""
    size = mmap.PAGESIZE
    raw = os.pread(pagemap, 8 * (len(span) // size), 8 * (span.start // size))
    entries = np.frombuffer(raw[: len(raw) // 8 * 8], dtype=np.uint64)
    own = ((entries & _PRESENT) != 0) & ((entries & _OF_FILE) == 0) | ((entries & _SWAPPED) != 0)
    return (span.start + size * np.flatnonzero(own)).tolist()


def _differences(now: bytes, before: bytes, offset: int) -> list[int]:
    """Where `now` has a breakpoint and `before` has not, from `offset` on."""
    trap = np.frombuffer(machine().breakpoint, dtype=np.uint8)
    length = min(len(now), len(before)) // len(trap) * len(trap)
    there, was = (
        (np.frombuffer(text[:length], dtype=np.uint8).reshape(-1, len(trap)) == trap).all(axis=1)
        for text in (now, before)
    )
    return (offset + len(trap) * np.flatnonzero(there & ~was)).tolist()

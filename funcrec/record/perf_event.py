"""perf_event_open() for uprobes, and BPF links to what it opens."""

import ctypes
import errno
import os
from pathlib import Path

from funcrec.errors import FuncrecError, HostError
from funcrec.record.ended import EndedError
from funcrec.record.machine import machine
from funcrec.record.syscall import LINK_CREATE, bpf, syscall

_FLAG_CLOEXEC = 8
TRACEPOINT = 2  # PERF_TYPE_TRACEPOINT
_BPF_PERF_EVENT = 41
_UPROBE_TYPE = Path("/sys/bus/event_source/devices/uprobe/type")


class _EventAttr(ctypes.Structure):
    """struct perf_event_attr up to config2, PERF_ATTR_SIZE_VER1 of Linux 5.15 include/uapi/linux/perf_event.h."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("wakeup_events", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
        ("config2", ctypes.c_uint64),
    )


class _LinkAttr(ctypes.Structure):
    """union bpf_attr.link_create with .perf_event, Linux 5.15 include/uapi/linux/bpf.h."""

    _fields_ = (
        ("prog_fd", ctypes.c_uint32),
        ("target_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("link_flags", ctypes.c_uint32),
        ("cookie", ctypes.c_uint64),
    )


def uprobe_type() -> int | None:
    """Type number of the kernel's uprobe events, None when it has none (Linux 4.17)."""
    try:
        return int(_UPROBE_TYPE.read_text())
    except (OSError, ValueError):
        return None


def open_event(kind: int, pid: int, *, config: int = 0, path: str = "", offset: int = 0) -> tuple[int, int]:
    """Open an event for one process (pid) or all (0).

    Args:
        kind: TRACEPOINT, or `uprobe_type()`.
        pid: in our own pid namespace.
        config: id of the tracepoint.
        path, offset: of a uprobe.

    Returns:
        descriptor and error number; one of them means nothing.
    """
    encoded = ctypes.create_string_buffer(os.fsencode(path))
    attr = _EventAttr(
        type=kind,
        size=ctypes.sizeof(_EventAttr),
        config=config,
        sample_period=1,
        config1=ctypes.addressof(encoded) if path else 0,
        config2=offset,
    )
    # A program runs whichever CPU the hit is on: CPU 0 stands for all of them.
    task, cpu = (pid, -1) if pid else (-1, 0)
    return syscall(machine().sys_perf_event_open, ctypes.byref(attr), task, cpu, -1, _FLAG_CLOEXEC)


def link_to(event: int, program: int, cookie: int) -> tuple[int, int]:
    """Run a program at each hit of an event; returns the link's descriptor and error number."""
    attr = _LinkAttr(prog_fd=program, target_fd=event, attach_type=_BPF_PERF_EVENT, cookie=cookie)
    return bpf(LINK_CREATE, attr)


def explain(code: int, what: str, pid: int = 0) -> FuncrecError:
    """The error for an error number."""
    if code in (errno.EPERM, errno.EACCES):
        return HostError(f"the kernel does not let this process {what}", remedy="run as root; funcrec doctor says more")
    if code == errno.ESRCH:
        return EndedError(pid)
    if code == errno.EMFILE:
        return HostError(f"no file descriptor is left to {what}", remedy="ulimit -n 65536, or name fewer functions")
    reason = os.strerror(code) if code in errno.errorcode else f"error {code}"
    return FuncrecError(f"the kernel refuses to {what}: {reason}", remedy="run funcrec doctor")

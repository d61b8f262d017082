"""Attach a loaded program to many file offsets with uprobe_multi links.

One link holds any number of sites, so nothing here grows with them but two arrays; closing its descriptor, or dying,
removes every breakpoint. Never a return probe.
"""

import ctypes
import errno
import os
from collections.abc import Sequence

import numpy as np

from funcrec.errors import FuncrecError, HostError
from funcrec.plan.sites import ProbeSite
from funcrec.record.syscall import bpf

_BPF_LINK_CREATE = 28
_BPF_TRACE_UPROBE_MULTI = 48
_ENOTSUPP = 524  # kernel-internal; uprobe registration leaks it for an instruction it cannot probe


class _LinkAttr(ctypes.Structure):
    """union bpf_attr.link_create with .uprobe_multi, Linux 6.6 include/uapi/linux/bpf.h; 64 bytes."""

    _fields_ = (
        ("prog_fd", ctypes.c_uint32),
        ("target_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("link_flags", ctypes.c_uint32),
        ("path", ctypes.c_uint64),
        ("offsets", ctypes.c_uint64),
        ("ref_ctr_offsets", ctypes.c_uint64),
        ("cookies", ctypes.c_uint64),
        ("count", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("_pad", ctypes.c_uint32),
    )


def cookie(number: int, site: ProbeSite, *, root: bool, values: bool = False, twin: int = 0) -> int:
    """Pack what the BPF program must know of a site; the COOKIE_* macros of bpf/calls.c unpack it.

    Args:
        number: index of the site in the plan, below 2**24.
        site: its role, edge, condition and SP offset.
        root: its function opens a gate.
        values: a value plan exists for it.
        twin: edges on which the hit of an entry is also the exit whose number follows, 0 for none.
    """
    condition = max(site.condition, 0)
    return (
        number
        | int(site.role) << 24
        | int(root) << 28
        | int(values) << 29
        | condition << 30
        | int(site.edge) << 34
        | twin << 36
        | (site.sp_delta // 8) << 40
    )


def of_generation(plain: int, generation: int) -> int:
    """The cookie in a link of a generation, 0 or 1: COOKIE_GENERATION of bpf/guard.h."""
    return plain | generation << 38


def attach_multi(program: int, path: str, offsets: Sequence[int], cookies: Sequence[int], pid: int = 0) -> int:
    """Create one link over all offsets and return its descriptor.

    Args:
        program: descriptor of a program loaded for uprobe_multi.
        path: the file; `/proc/self/fd/N` pins the very inode that was read.
        offsets: file offsets of instruction starts.
        cookies: one per offset.
        pid: 0 for every process, also later ones, that maps the file.

    Raises:
        HostError: the kernel has no uprobe_multi, or forbids it.
        FuncrecError: an offset cannot be probed, or the process is gone.
    """
    offset_array = np.asarray(offsets, dtype=np.uint64)
    plainarray = np.asarray(cookies, dtype=np.uint64)
    encoded = ctypes.create_string_buffer(os.fsencode(path))
    attr = _LinkAttr(
        prog_fd=program,
        attach_type=_BPF_TRACE_UPROBE_MULTI,
        path=ctypes.addressof(encoded),
        offsets=offset_array.ctypes.data,
        cookies=plainarray.ctypes.data,
        count=len(offset_array),
        pid=pid,
    )
    link, code = bpf(_BPF_LINK_CREATE, attr)
    if code:
        raise _explain(code, path, len(offset_array), pid)
    return link


def _explain(code: int, path: str, count: int, pid: int) -> FuncrecError:
    if code in (errno.EPERM, errno.EACCES):
        return HostError(
            f"the kernel does not let this process attach probes to {path}",
            remedy="run as root, or with CAP_BPF and CAP_PERFMON",
        )
    if code == errno.ESRCH:
        return FuncrecError(f"process {pid} ended before the probes were in place", remedy="start it again and retry")
    if code == errno.EINVAL:
        return HostError(
            "this kernel cannot attach many probes at once (uprobe_multi, Linux 6.6)",
            remedy="use a kernel of 6.6 or later; funcrec doctor checks it",
        )
    if code == _ENOTSUPP:
        return FuncrecError(
            f"one of {count} instructions of {path} cannot be probed",
            remedy="leave functions out with -u '!PATTERN'; funcrec list -v shows the instructions",
        )
    reason = os.strerror(code) if code in errno.errorcode else f"error {code}"
    return FuncrecError(f"attaching {count} probes to {path} failed: {reason}", remedy="run funcrec doctor")

"""uprobe_multi links: any number of sites in one, armed in milliseconds and gone with their descriptor."""

import ctypes
import errno
import os
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from funcrec.errors import FuncrecError, HostError
from funcrec.record import shelter
from funcrec.record.descriptors import Descriptor, make_room
from funcrec.record.ended import EndedError
from funcrec.record.syscall import LINK_CREATE, bpf

TRACE_UPROBE_MULTI = 48
_ENOTSUPP = 524  # kernel-internal; uprobe registration leaks it for an instruction it cannot probe


class LinkAttr(ctypes.Structure):
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


class MultiAttacher:
    """One link for each process, or one for all; see `Attacher`."""

    by_site = False

    def __init__(self, program: int, path: str, twins: Mapping[int, str] | None = None) -> None:
        self._program = program
        self._path = path
        self._twins = twins or {}

    def attach(self, offsets: Sequence[int], cookies: Sequence[int], pids: Sequence[int]) -> list[Descriptor]:
        """See `Attacher.attach`."""
        make_room()
        offset_array = np.asarray(offsets, dtype=np.uint64)
        cookie_array = np.asarray(cookies, dtype=np.uint64)
        wanted = list(pids) or [0]
        paths = [ctypes.create_string_buffer(os.fsencode(self._twins.get(pid, self._path))) for pid in wanted]
        makes = [
            partial(
                bpf,
                LINK_CREATE,
                LinkAttr(
                    prog_fd=self._program,
                    attach_type=TRACE_UPROBE_MULTI,
                    path=ctypes.addressof(path),
                    offsets=offset_array.ctypes.data,
                    cookies=cookie_array.ctypes.data,
                    count=len(offset_array),
                    pid=pid,
                ),
            )
            for pid, path in zip(wanted, paths, strict=True)
        ]
        try:
            return [Descriptor(link) for link in shelter.made(makes)]
        except shelter.NotMadeError as error:
            pid = wanted[error.position]
            raise _explain(error.code, self._twins.get(pid, self._path), len(offset_array), pid) from None

    def close(self) -> None:
        """Nothing is left beside the links."""


def _explain(code: int, path: str, count: int, pid: int) -> FuncrecError:
    if code in (errno.EPERM, errno.EACCES):
        return HostError(
            f"the kernel does not let this process attach probes to {path}",
            remedy="run as root, or with CAP_BPF and CAP_PERFMON",
        )
    if code == errno.ESRCH:
        return EndedError(pid)
    if code == errno.EINVAL:
        return HostError(
            "this kernel cannot attach many probes at once (uprobe_multi, Linux 6.6)",
            remedy="use a kernel of 6.6 or later; funcrec doctor checks it",
        )
    if code == errno.EMFILE:
        return HostError(
            "no file descriptor is left for a link", remedy="ulimit -n 65536, or fewer processes at a time"
        )
    if code == _ENOTSUPP:
        return FuncrecError(
            f"one of {count} instructions of {path} cannot be probed",
            remedy="leave functions out with -u '!PATTERN'; funcrec list -v shows the instructions",
        )
    reason = os.strerror(code) if code in errno.errorcode else f"error {code}"
    return FuncrecError(f"attaching {count} probes to {path} failed: {reason}", remedy="run funcrec doctor")

"""Which ways of attaching this kernel has, for this process: found out by trial, never by version number.

Every trial is undone at once and touches no process.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable

from funcrec.errors import HostError, UsageError
from funcrec.record.attach import Way
from funcrec.record.attach_multi import TRACE_UPROBE_MULTI, LinkAttr
from funcrec.record.attach_tracefs import tracefs
from funcrec.record.perf_event import link_to, open_event, uprobe_type
from funcrec.record.syscall import LINK_CREATE, bpf

FORCE = "FUNCREC_ATTACH"

_PROG_LOAD = 5  # enum bpf_cmd
_PROG_TYPE_KPROBE = 2
# r0 = 0; exit
_EMPTY_PROGRAM = bytes.fromhex("b700000000000000 9500000000000000")


def load_empty(attach_type: int = 0) -> tuple[int, int]:
    """Load a program that does nothing, as `union bpf_attr` of PROG_LOAD up to expected_attach_type.

    Returns:
        descriptor and error number; one of them means nothing.
    """
    instructions = ctypes.create_string_buffer(_EMPTY_PROGRAM, len(_EMPTY_PROGRAM))
    licence = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack(
        "<IIQQIIQII16sII",
        *(_PROG_TYPE_KPROBE, len(_EMPTY_PROGRAM) // 8, ctypes.addressof(instructions), ctypes.addressof(licence)),
        *(0, 0, 0, 0, 0, b"funcrec_check", 0, attach_type),
    )
    return bpf(_PROG_LOAD, ctypes.create_string_buffer(attr, len(attr)))


def close(descriptor: int) -> None:
    """Close a descriptor, if it is one."""
    if descriptor >= 0:
        os.close(descriptor)


def _try_multi() -> int:
    """Ask for a uprobe_multi link on a folder: a kernel that knows such links says EBADF, and nothing is attached."""
    program, code = load_empty(TRACE_UPROBE_MULTI)
    if code:
        return code
    path = ctypes.create_string_buffer(b"/")
    offsets = (ctypes.c_uint64 * 1)(0)
    attr = LinkAttr(
        prog_fd=program,
        attach_type=TRACE_UPROBE_MULTI,
        path=ctypes.addressof(path),
        offsets=ctypes.addressof(offsets),
        count=1,
    )
    link, code = bpf(LINK_CREATE, attr)
    close(link)
    close(program)
    return 0 if code == errno.EBADF else code


def _try_perf_link() -> int:
    """Ask for a link to an event that is none: a kernel that knows such links says EBADF."""
    program, code = load_empty()
    if code:
        return code
    link, code = link_to(-1, program, 1)
    close(link)
    close(program)
    return 0 if code == errno.EBADF else code


def _try_tracefs() -> int:
    return errno.EACCES if tracefs() is None else _try_perf_link()


def _try_perf() -> int:
    """Ask for a uprobe on a folder: who may have uprobes is told EINVAL, who may not EACCES."""
    kind = uprobe_type()
    if kind is None:
        return errno.ENOENT
    event, code = open_event(kind, 0, path="/", offset=0)
    close(event)
    return _try_perf_link() if code == errno.EINVAL else code


_TRIALS: dict[Way, Callable[[], int]] = {Way.MULTI: _try_multi, Way.TRACEFS: _try_tracefs, Way.PERF: _try_perf}


def attempt(way: Way) -> int:
    """Try a way; returns 0 when this process can attach so, else an error number."""
    return _TRIALS[way]()


def forced() -> Way | None:
    """The way that the environment asks for, None when it leaves the choice to us.

    Raises:
        UsageError: there is no such way.
    """
    value = os.environ.get(FORCE, "")
    if not value:
        return None
    try:
        return Way(value)
    except ValueError as error:
        raise UsageError(f"{FORCE}={value!r} is no way to attach", remedy=f"set it to {', '.join(Way)}") from error


def choose() -> Way:
    """The way to attach: the one asked for, else the first that works.

    Raises:
        UsageError: the environment asks for a way that does not exist.
        HostError: no way works, or not the one asked for.
    """
    asked = forced()
    answers = {}
    for way in Way if asked is None else [asked]:
        answers[way] = attempt(way)
        if not answers[way]:
            return way
    if set(answers.values()) <= {errno.EPERM, errno.EACCES}:
        raise HostError(
            "the kernel does not let this process load BPF programs",
            remedy="run as root, or with CAP_BPF and CAP_PERFMON; funcrec doctor says more",
        )
    tried = ", ".join(f"{way}: {errno.errorcode.get(code, str(code))}" for way, code in answers.items())
    raise HostError(f"no way to attach probes works here ({tried})", remedy="funcrec doctor says what is missing")

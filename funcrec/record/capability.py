"""Can this machine record? Each requirement is tried, not derived from a version number.

Every trial is undone at once and touches no process. What it does not know: the target and its plan.
"""

import ctypes
import errno
import os
import platform
import resource
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from funcrec.errors import FuncrecError, HostError
from funcrec.record.cpus import slots
from funcrec.units import format_size

_SYS_BPF = 321  # x86-64
# Commands and types of include/uapi/linux/bpf.h.
_MAP_CREATE, _PROG_LOAD, _LINK_CREATE = 0, 5, 28
_MAP_TYPE_RINGBUF, _PROG_TYPE_KPROBE = 27, 2
_TRACE_UPROBE_MULTI = 48
# r0 = 0; exit
_EMPTY_PROGRAM = bytes.fromhex("b700000000000000 9500000000000000")
_CAP_PERFMON, _CAP_BPF, _CAP_SYS_ADMIN = 38, 39, 21  # include/uapi/linux/capability.h

_AS_ROOT = "run as root (sudo), or give the process CAP_BPF and CAP_PERFMON"
_CONTAINER = (
    "a seccomp filter may refuse bpf(): run outside the container, or with --privileged, or with "
    "--cap-add BPF --cap-add PERFMON --security-opt seccomp=unconfined"
)
_BCC = "apt install python3-bpfcc (Fedora: python3-bcc; Arch: python-bcc)"


class Status(StrEnum):
    """Outcome of one check; only `missing` keeps `record` from working."""

    FOUND = "found"
    MISSING = "missing"
    NOTE = "note"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that recording needs.

    Attributes:
        name: short, for a table.
        status: outcome of the trial.
        detail: what was found, or why not; one line.
        remedy: what to do, one line; "" when nothing has to be done.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def _bpf(command: int, attr: bytes) -> int:
    """One bpf() call; returns the descriptor, or minus errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attr, len(attr))
    result = int(libc.syscall(_SYS_BPF, command, buffer, len(attr)))
    return result if result >= 0 else -ctypes.get_errno()


def _create_ring() -> int:
    page = resource.getpagesize()
    return _bpf(_MAP_CREATE, struct.pack("<IIII", _MAP_TYPE_RINGBUF, 0, 0, page).ljust(72, b"\0"))


def _load_program(attach_type: int) -> int:
    """Load a program that does nothing, as `union bpf_attr` of PROG_LOAD up to expected_attach_type."""
    instructions = ctypes.create_string_buffer(_EMPTY_PROGRAM, len(_EMPTY_PROGRAM))
    licence = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack(
        "<IIQQIIQII16sII",
        *(_PROG_TYPE_KPROBE, len(_EMPTY_PROGRAM) // 8, ctypes.addressof(instructions), ctypes.addressof(licence)),
        *(0, 0, 0, 0, 0, b"funcrec_check", 0, attach_type),
    )
    return _bpf(_PROG_LOAD, attr)


def _link_to_folder(program: int) -> int:
    """Ask for a uprobe_multi link on a folder: a kernel that knows such links says EBADF, and nothing is attached."""
    path = ctypes.create_string_buffer(b"/")
    offsets = (ctypes.c_uint64 * 1)(0)
    attr = struct.pack(
        "<IIIIQQQQIII4x",
        *(program, 0, _TRACE_UPROBE_MULTI, 0, ctypes.addressof(path), ctypes.addressof(offsets), 0, 0, 1, 0, 0),
    )
    return _bpf(_LINK_CREATE, attr)


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _status_field(name: str) -> str:
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def _capabilities() -> str:
    """What of the needed capabilities is in effect, in words."""
    effective = int(_status_field("CapEff") or "0", 16)
    named = {"CAP_BPF": _CAP_BPF, "CAP_PERFMON": _CAP_PERFMON, "CAP_SYS_ADMIN": _CAP_SYS_ADMIN}
    held = [name for name, bit in named.items() if effective >> bit & 1]
    where = " in a user namespace" if _in_user_namespace() else ""
    return f"uid {os.geteuid()} with {', '.join(held) if held else 'none of ' + ', '.join(named)}{where}"


def _in_user_namespace() -> bool:
    """Whether ids are mapped: capabilities then mean nothing to bpf()."""
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", str(2**32 - 1)]


def _refusal() -> str:
    """The remedy for EPERM from bpf()."""
    if _in_user_namespace():
        return "run as root outside of this user namespace (rootless container, unshare)"
    return _CONTAINER if _status_field("Seccomp") == "2" else _AS_ROOT


def _architecture() -> Requirement:
    machine = platform.machine()
    if platform.system() == "Linux" and machine in ("x86_64", "AMD64"):
        return Requirement("machine", Status.FOUND, f"Linux {platform.release()} on {machine}")
    return Requirement(
        "machine",
        Status.MISSING,
        f"{platform.system()} on {machine}",
        "record on Linux on x86-64; report works here on traces from there",
    )


def _privilege() -> Requirement:
    program = _load_program(0)
    _close(program)
    if program >= 0:
        return Requirement("privilege", Status.FOUND, _capabilities())
    detail = f"{_capabilities()}: loading a BPF program gives {errno.errorcode.get(-program, str(-program))}"
    remedy = (
        "use a kernel built with CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS" if program == -errno.ENOSYS else _refusal()
    )
    return Requirement("privilege", Status.MISSING, detail, remedy)


def _ring_buffer() -> Requirement:
    ring = _create_ring()
    _close(ring)
    if ring >= 0:
        return Requirement("ring buffer", Status.FOUND, "BPF ring buffer maps can be created")
    if ring == -errno.EINVAL:
        return Requirement("ring buffer", Status.MISSING, "unknown to this kernel", "use Linux 5.8 or later")
    if ring in (-errno.EPERM, -errno.EACCES):
        return Requirement("ring buffer", Status.MISSING, "bpf() refuses to create a map", _refusal())
    detail = f"creating one gives {errno.errorcode.get(-ring, str(-ring))}"
    return Requirement("ring buffer", Status.MISSING, detail, "raise the memory limits: ulimit -l unlimited")


def _uprobe_multi() -> Requirement:
    program = _load_program(_TRACE_UPROBE_MULTI)
    if program in (-errno.EPERM, -errno.EACCES):
        return Requirement("uprobes", Status.UNKNOWN, "cannot be tried without privilege", _refusal())
    answer = _link_to_folder(program) if program >= 0 else program
    _close(program)
    if answer == -errno.EBADF:
        return Requirement("uprobes", Status.FOUND, "uprobe_multi links (many probes at once)")
    detail = f"no uprobe_multi links ({errno.errorcode.get(-answer, str(-answer))})"
    return Requirement("uprobes", Status.MISSING, detail, "use Linux 6.6 or later, built with CONFIG_UPROBES")


def _bcc() -> Requirement:
    """Have the compile child build a program of one line and load it: BCC, LLVM and verifier in one go."""
    from funcrec.record.compile import Compiler, Program

    compiler = Compiler()
    compiler.submit(Program("int check(void *context) { return 0; }", (), ("check",), (), multi=False))
    try:
        for descriptor in compiler.result().values():
            _close(descriptor)
    except HostError as error:
        if "load" in error.cause and "Python module" not in error.cause:
            return Requirement("BCC", Status.FOUND, "compiles; the kernel refused to load what it made")
        return Requirement("BCC", Status.MISSING, error.cause, _BCC if "module" in error.cause else error.remedy)
    except FuncrecError as error:
        return Requirement("BCC", Status.MISSING, error.cause, error.remedy)
    return Requirement("BCC", Status.FOUND, "compiles and loads a program")


def _packages() -> Requirement:
    missing = [name for name in ("elftools", "iced_x86") if find_spec(name) is None]
    if not missing:
        return Requirement("packages", Status.FOUND, "pyelftools, iced-x86")
    names = ", ".join({"elftools": "pyelftools", "iced_x86": "iced-x86"}[name] for name in missing)
    return Requirement("packages", Status.MISSING, f"not installed: {names}", f"pip install {names.replace(',', '')}")


def _lockdown() -> Requirement:
    try:
        modes = Path("/sys/kernel/security/lockdown").read_text().strip()
    except OSError:
        return Requirement("lockdown", Status.FOUND, "not in force, or not visible here")
    current = modes.partition("[")[2].partition("]")[0]
    if current == "confidentiality":
        # funcrec reads registers and user memory only, which this mode allows as far as its sources tell.
        remedy = "if record fails, boot without lockdown=confidentiality"
        return Requirement("lockdown", Status.NOTE, "confidentiality: kernel reads are refused", remedy)
    return Requirement("lockdown", Status.FOUND, f"{current or modes}: does not hinder funcrec")


def _limits() -> Requirement:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    size, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    words = [
        f"open files {files}",
        "locked memory " + ("unlimited" if locked == resource.RLIM_INFINITY else format_size(locked)),
    ]
    if size != resource.RLIM_INFINITY:
        detail = ", ".join([*words, f"file size {format_size(size)}"])
        return Requirement("limits", Status.NOTE, detail, "ulimit -f unlimited, or the trace ends at that size")
    needed = 2 * slots() + 64  # a ring of events and one of values for each CPU
    if files != resource.RLIM_INFINITY and files < needed:
        return Requirement("limits", Status.MISSING, ", ".join(words), f"ulimit -n {max(needed, 1024)}")
    return Requirement("limits", Status.FOUND, ", ".join(words))


_CHECKS: tuple[Callable[[], Requirement], ...] = (
    *(_architecture, _privilege, _ring_buffer, _uprobe_multi),
    *(_lockdown, _limits, _packages, _bcc),
)


def requirements() -> Iterator[Requirement]:
    """Try everything that recording needs, one after the other; the last ones take half a second.

    On another system than Linux on x86-64 only the first is yielded: nothing else could be tried.
    """
    for check in _CHECKS:
        requirement = check()
        yield requirement
        if check is _architecture and requirement.status == Status.MISSING:
            return


def require() -> None:
    """Make sure, in about a millisecond, that the kernel lets this process record; BCC is not tried.

    Raises:
        HostError: the first requirement that is missing, with its remedy.
    """
    for check in (_architecture, _privilege, _ring_buffer, _uprobe_multi):
        requirement = check()
        if requirement.status == Status.MISSING:
            raise HostError(
                f"this machine cannot record: {requirement.name}: {requirement.detail}", remedy=requirement.remedy
            )

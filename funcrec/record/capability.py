"""Can this machine record? Each requirement is tried, not derived from a version number.

Every trial is undone at once and touches no process. What it does not know: the target and its plan.
"""

import contextlib
import errno
import os
import platform
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from funcrec.errors import FuncrecError, HostError
from funcrec.record.attach import Way
from funcrec.record.cpus import slots
from funcrec.record.machine import machine
from funcrec.record.maps import create_ring
from funcrec.record.ways import attempt, close, forced, load_empty
from funcrec.units import format_size

_CAP_PERFMON, _CAP_BPF, _CAP_SYS_ADMIN = 38, 39, 21  # include/uapi/linux/capability.h

_AS_ROOT = (
    "run as root (sudo), or with CAP_BPF and CAP_PERFMON: sudo setpriv --reuid=$USER --init-groups "
    "--inh-caps=+bpf,+perfmon --ambient-caps=+bpf,+perfmon funcrec record ... "
    "(CAP_SYS_PTRACE, +sys_ptrace, too for processes of others)"
)
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
    found = f"{platform.system()} {platform.release()} on {platform.machine()}"
    with contextlib.suppress(HostError):
        here = machine()
        if platform.system() == "Linux":
            return Requirement("machine", Status.NOTE if here.untried else Status.FOUND, found, here.untried)
    return Requirement(
        "machine",
        Status.MISSING,
        found,
        "record on Linux on x86-64 or arm64; report works here on traces from there",
    )


def _privilege() -> Requirement:
    program, code = load_empty()
    close(program)
    if not code:
        return Requirement("privilege", Status.FOUND, _capabilities())
    detail = f"{_capabilities()}: loading a BPF program gives {errno.errorcode.get(code, str(code))}"
    remedy = "use a kernel built with CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS" if code == errno.ENOSYS else _refusal()
    return Requirement("privilege", Status.MISSING, detail, remedy)


def _ring_buffer() -> Requirement:
    try:
        close(create_ring(resource.getpagesize()))
    except OSError as error:
        code = error.errno or 0
    else:
        return Requirement("ring buffer", Status.FOUND, "BPF ring buffer maps can be created")
    if code == errno.EINVAL:
        return Requirement("ring buffer", Status.MISSING, "unknown to this kernel", "use Linux 5.8 or later")
    if code in (errno.EPERM, errno.EACCES):
        return Requirement("ring buffer", Status.MISSING, "bpf() refuses to create a map", _refusal())
    detail = f"creating one gives {errno.errorcode.get(code, str(code))}"
    return Requirement("ring buffer", Status.MISSING, detail, "raise the memory limits: ulimit -l unlimited")


_WAYS = {
    Way.MULTI: "uprobe_multi links (many probes at once)",
    Way.TRACEFS: "an event with many points in tracefs: thousands of probes take seconds to arm",
    Way.PERF: "a perf event for each probe: for a few dozen, given back at ten a second",
}


def _uprobes() -> Requirement:
    asked = forced()
    answers = {}
    for way in Way if asked is None else [asked]:
        answers[way] = attempt(way)
        if not answers[way]:
            if way == Way.MULTI or asked:
                return Requirement("uprobes", Status.FOUND, _WAYS[way])
            return Requirement("uprobes", Status.NOTE, _WAYS[way], "Linux 6.6 or later arms them at once")
    if all(code in (errno.EPERM, errno.EACCES) for code in answers.values()):
        return Requirement("uprobes", Status.UNKNOWN, "cannot be tried without privilege", _refusal())
    tried = ", ".join(f"{way} {errno.errorcode.get(code, str(code))}" for way, code in answers.items())
    remedy = "mount -t tracefs nodev /sys/kernel/tracing; or use Linux 6.6 or later, built with CONFIG_UPROBES"
    if os.geteuid() != 0:
        remedy = "run as root (sudo): capabilities are enough from Linux 6.6 on"
    return Requirement("uprobes", Status.MISSING, f"no way to attach works ({tried})", remedy)


def _bcc() -> Requirement:
    """Have the compile child build a program of one line and load it: BCC, LLVM and verifier in one go."""
    from funcrec.record.compile import Compiler, Program

    compiler = Compiler()
    compiler.submit(Program("int check(void *context) { return 0; }", (), ("check",), (), multi=False))
    try:
        for descriptor in compiler.result().values():
            close(descriptor)
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
    *(_architecture, _privilege, _ring_buffer, _uprobes),
    *(_lockdown, _limits, _packages, _bcc),
)


def requirements() -> Iterator[Requirement]:
    """Try everything that recording needs, one after the other; the last ones take half a second.

    On another system than Linux, or another processor, only the first is yielded: nothing else could be tried.
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
    for check in (_architecture, _privilege, _ring_buffer, _uprobes):
        requirement = check()
        if requirement.status == Status.MISSING:
            raise HostError(
                f"this machine cannot record: {requirement.name}: {requirement.detail}", remedy=requirement.remedy
            )

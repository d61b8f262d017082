"""The pid namespace that this process is in: BPF programs see processes by the numbers of the outermost one."""

import os
from dataclasses import dataclass

from funcrec.errors import HostError

_OUTERMOST = 0xEFFFFFFC  # PROC_PID_INIT_INO, Linux include/linux/proc_ns.h


@dataclass(frozen=True, slots=True)
class PidSpace:
    """A namespace as the kernel names it to bpf_get_ns_current_pid_tgid (Linux 5.7)."""

    device: int
    inode: int


def own_space() -> PidSpace | None:
    """The namespace of this process, None in the outermost one.

    Raises:
        HostError: /proc shows the processes of another one.
    """
    try:
        shown = os.readlink("/proc/self")
    except OSError:
        shown = ""
    if shown != str(os.getpid()):
        raise HostError(
            f"/proc is that of another pid namespace: this process is {os.getpid()} here and {shown or 'absent'} there",
            remedy="mount -t proc proc /proc (unshare --mount-proc does it)",
        )
    status = os.stat("/proc/self/ns/pid")
    return None if status.st_ino == _OUTERMOST else PidSpace(status.st_dev, status.st_ino)

"""Arming and disarming where no SIGKILL comes in between.

The kernel does not let a task that is being killed write to the memory of another one (Linux mm/gup.c looks for fatal
signals): a recorder that is killed in the midst of a system call that arms or disarms leaves breakpoints for good, in
processes that it never harmed. So both are a child's work. It arms to the end whatever becomes of the recorder, and
disarms by ending, when a signal does not count any more (kernel/signal.c drops it for a task group that exits).
"""

import contextlib
import errno
import os
import signal
import socket
import warnings
from collections.abc import Callable, Iterable

_KILLED = errno.EINTR


def made(make: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Have a child make a descriptor.

    Args:
        make: returns a descriptor and an error number, of which one means nothing.

    Returns:
        the same; the descriptor is ours.
    """
    ours, theirs = socket.socketpair()
    child = _fork()
    if child == 0:
        try:
            ours.close()
            descriptor, code = make()
            socket.send_fds(theirs, [code.to_bytes(4, "little")], [] if code else [descriptor])
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        answer, descriptors, _, _ = socket.recv_fds(ours, 4, 1, socket.MSG_CMSG_CLOEXEC)
    _reap(child)
    return descriptors[0] if descriptors else -1, int.from_bytes(answer, "little") if answer else _KILLED


def given_up(closes: Iterable[Callable[[], None]]) -> None:
    """Call what closes descriptors of ours; a child gives them up last, and is gone when this returns."""
    waiting, over = os.pipe()
    child = _fork()
    if child == 0:
        os.close(over)
        os.read(waiting, 1)  # until it is closed, also by our death
        os._exit(0)
    os.close(waiting)
    try:
        for close in closes:
            close()
    finally:
        os.close(over)
        _reap(child)


def _fork() -> int:
    """A child with all signals blocked, in a session of its own: who kills the recorder's group does not mean it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    with warnings.catch_warnings():
        # Other threads may hold locks; the child makes a system call and needs none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.setsid()
    else:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child


def _reap(child: int) -> None:
    # Somebody else here may wait for whatever child there is.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)

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
from collections.abc import Callable, Iterable, Sequence
from functools import partial

_KILLED = errno.EINTR
_TOGETHER = 16  # children that give up links


class NotMadeError(Exception):
    """One of several descriptors could not be made.

    Attributes:
        position: of what should have made it.
        code: error number.
    """

    def __init__(self, position: int, code: int) -> None:
        super().__init__(position, code)
        self.position = position
        self.code = code


def made(makes: Sequence[Callable[[], tuple[int, int]]]) -> list[int]:
    """Have one child make descriptors, one after the other.

    Args:
        makes: each returns a descriptor and an error number, of which one means nothing.

    Returns:
        the descriptors, which are ours.

    Raises:
        NotMadeError: one of them could not be made; those before it are given up.
    """
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    child = _fork()
    if child == 0:
        try:
            ours.close()
            for make in makes:
                descriptor, code = make()
                socket.send_fds(theirs, [code.to_bytes(4, "little")], [] if code else [descriptor])
                if code:
                    break
        finally:
            os._exit(0)
    theirs.close()
    descriptors: list[int] = []
    code = 0
    with ours:
        while not code and len(descriptors) < len(makes):
            answer, fresh, _, _ = socket.recv_fds(ours, 4, 1, socket.MSG_CMSG_CLOEXEC)
            code = int.from_bytes(answer, "little") if answer else _KILLED
            if not code and not fresh:
                code = errno.EMFILE  # the kernel drops a descriptor that has no room here
            descriptors += fresh
    _reap(child)
    if code:
        given_up([partial(os.close, descriptor) for descriptor in descriptors])
        raise NotMadeError(len(descriptors), code)
    return descriptors


def given_up(closes: Sequence[Callable[[], None]], small: Sequence[Callable[[], None]] = ()) -> None:
    """Close descriptors of ours; children give them up last, and are gone when this returns.

    The kernel lets everybody wait for some hundredths of a second with each link that goes. They can wait together; but
    site by site they are in each other's way (dup_mmap_sem in kernel/events/uprobes.c), so those of many sites
    take turns.

    Args:
        closes: each closes some, in any order.
        small: the same for links of few sites.
    """
    shares = [*_shares(closes, len(closes) // 4), *_shares(small, len(small))]
    closes = [*closes, *small]
    waiting, over = os.pipe()
    children = []
    for own in range(len(shares)):
        children.append(_fork())
        if children[-1] == 0:
            try:
                os.close(over)
                for share in shares[:own] + shares[own + 1 :]:
                    _call(share)
                os.read(waiting, 1)  # until it is closed, also by our death
            finally:
                os._exit(0)
    os.close(waiting)
    try:
        _call(closes)
    finally:
        os.close(over)
        for child in children:
            _reap(child)


def _shares(closes: Sequence[Callable[[], None]], wanted: int) -> list[Sequence[Callable[[], None]]]:
    count = max(1, min(_TOGETHER, wanted))
    return [closes[first::count] for first in range(count)] if closes else []


def _call(closes: Iterable[Callable[[], None]]) -> None:
    for close in closes:
        close()


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

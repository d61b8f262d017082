"""Start the traced program once the probes are in place, follow it, tell how it ended.

The child is forked at once, while the recorder still has one thread and default signals, and waits; so its pid is
known before the first event, and it inherits nothing of what the recorder sets up later.
"""

import contextlib
import ctypes
import errno
import os
import pwd
import signal
from dataclasses import dataclass

from funcrec.errors import FuncrecError, TargetError

_PR_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a launched program runs as; name and home are "" for a uid that no user has."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str = ""
    home: str = ""


def sudo_caller() -> Identity | None:
    """The user behind sudo, None when there is none or it is root itself."""
    try:
        uid = int(os.environ.get("SUDO_UID", "0"))
        gid = int(os.environ.get("SUDO_GID", "0"))
    except ValueError:
        return None
    if os.geteuid() != 0 or uid == 0:
        return None
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return Identity(uid, gid, (gid,))
    return Identity(uid, gid, tuple(os.getgrouplist(user.pw_name, gid)), user.pw_name, user.pw_dir)


def environment_of(identity: Identity | None) -> dict[str, str]:
    """Our environment for a program that runs as somebody else: as sudo itself would have it for that user.

    sudo has reset it for root. HOME, USER and LOGNAME become the user's again, and nothing says that sudo is at work:
    the program is not privileged and must not believe it is.
    """
    if identity is None:
        return dict(os.environ)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
    if identity.name:
        environment |= {"HOME": identity.home, "USER": identity.name, "LOGNAME": identity.name}
        if "MAIL" in environment:
            environment["MAIL"] = f"/var/mail/{identity.name}"
    return environment


class LaunchedProgram:
    """A program that is ready to run and starts when told.

    Args:
        binary: path of the executable.
        arguments: its own arguments (without argv[0]).
        identity: whom it runs as; None: unchanged.
    """

    def __init__(self, binary: str, arguments: list[str], identity: Identity | None) -> None:
        # Orphans of the program come to us, so that every process descending from it can be told from strangers.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        go_read, self._go_write = os.pipe()
        self._error_read, error_write = os.pipe()
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go_write)
            os.close(self._error_read)
            _become(binary, arguments, identity, go_read, error_write)
        os.close(go_read)
        os.close(error_write)

    def start(self) -> None:
        """Let it run.

        Raises:
            TargetError: it could not be executed.
        """
        os.write(self._go_write, b"g")
        os.close(self._go_write)
        self._go_write = -1
        with os.fdopen(self._error_read, "rb") as pipe:
            failure = pipe.read()  # ends at once when execve closes the other side
        if failure:
            code = int(failure)
            self.poll()
            raise TargetError(
                f"the program could not be started: {os.strerror(code)}", remedy="check that it runs by itself"
            )

    def cancel(self) -> None:
        """End the waiting child when the recording never came to starting it."""
        if self._go_write >= 0:
            os.close(self._go_write)
            self._go_write = -1
            os.close(self._error_read)
            os.waitpid(self.pid, 0)

    def poll(self) -> int | None:
        """Return the exit status (128 + signal when it was killed) or None while it runs; reap orphans on the way."""
        while self.status is None:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.pid:
                code = os.waitstatus_to_exitcode(raw)
                self.status = code if code >= 0 else 128 - code
        return self.status

    def send(self, number: int) -> None:
        """Pass a signal on."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _become(binary: str, arguments: list[str], identity: Identity | None, go_read: int, error_write: int) -> None:
    """In the child: wait for the word, then become the program. Never returns."""
    try:
        for number in (
            signal.SIGINT,
            signal.SIGPIPE,
            signal.SIGXFSZ,
        ):  # Python's own dispositions are not the program's
            signal.signal(number, signal.SIG_DFL)
        environment = environment_of(identity)
        # A Ctrl-C during set-up ends the recorder, and with it this wait.
        if os.read(go_read, 1) != b"g":
            os._exit(127)
        if identity is not None:
            os.setgroups(identity.groups)
            os.setgid(identity.gid)
            os.setuid(identity.uid)
        os.execve(binary, [binary, *arguments], environment)
    except OSError as error:
        os.write(error_write, str(error.errno or errno.EIO).encode())
    finally:
        os._exit(127)


def program_path(binary: str) -> str:
    """The path to execute: as typed when it names a file, with `./` where a bare name needs it.

    Raises:
        FuncrecError: it is not executable.
    """
    path = binary if os.sep in binary else os.path.join(".", binary)
    if not os.access(path, os.X_OK):
        raise FuncrecError(
            f"{binary} is not executable", remedy=f"chmod +x {binary}, or record a running process with -p PID"
        )
    return path

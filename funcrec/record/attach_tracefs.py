"""One uprobe event with many points, in tracefs: thousands of sites go at once, though they come slowly.

A point has no cookie: the program finds it by place. The definition of an event outlives its recorder, unlike links,
but without one it arms nothing. Its group's name tells whose it is, and the next recorder of the machine sweeps up what
dead ones left.
"""

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from funcrec.errors import FuncrecError, HostError
from funcrec.record import shelter
from funcrec.record.descriptors import Descriptor, make_room
from funcrec.record.perf_event import TRACEPOINT, explain, link_to, open_event
from funcrec.record.places import Places
from funcrec.record.processes import stat_fields

_ROOTS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_PREFIX = "funcrec"
MOST = 20_000  # defining points takes quadratic time: 3 s for 10,000, over a minute for 35,000 (Linux 6.18)
_WRITE = 3500  # bytes; the kernel reads definitions through a buffer of 4096


def tracefs() -> Path | None:
    """Where tracefs is mounted, None when it is not or is not ours to read."""
    return next((root for root in _ROOTS if os.access(root / "uprobe_events", os.W_OK)), None)


def _group() -> str:
    """A name for the events of this process: by pid namespace, pid and start, since pids are used again."""
    return f"{_PREFIX}_{_namespace()}_{os.getpid()}_{_started(os.getpid())}"


def _namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino


def _started(pid: int) -> str:
    """Start time of a process in ticks since boot, "" when there is none."""
    return "".join(stat_fields(pid)[19:20])


class TracefsAttacher:
    """See `Attacher`."""

    by_site = False
    _numbers = itertools.count()

    def __init__(self, program: int, path: str, places: Places, twins: Mapping[int, str] | None = None) -> None:
        root = tracefs()
        if root is None:
            raise HostError(
                "tracefs cannot be written: uprobe events need it",
                remedy="run as root; mount -t tracefs nodev /sys/kernel/tracing",
            )
        self._root = root
        self._program = program
        self._paths = [path, *(twins or {}).values()]
        self._places = places
        self._group = _group()
        # Kept open: what is left to do at the end needs no privilege then.
        self._definitions = os.open(root / "uprobe_events", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        sweep(root, self._definitions)

    def attach(self, offsets: Sequence[int], cookies: Sequence[int], pids: Sequence[int]) -> "list[_Event]":
        """See `Attacher.attach`."""
        if len(offsets) > MOST:
            raise HostError(
                f"{len(offsets)} probes would take this kernel minutes to arm",
                remedy=f"name fewer functions ({MOST} probes at most), or use Linux 6.6 or later",
            )
        name = f"e{next(self._numbers)}"
        link = self._places.enter(offsets, cookies)
        event = _Event(self._definitions, f"{self._group}/{name}", self._places, link, offsets)
        try:
            self._define(name, offsets)
            event.held = self._arm(name, link, pids or [0])
        except FuncrecError:
            event.close()
            raise
        return [event]

    def close(self) -> None:
        """Give back the descriptor that events are removed through."""
        if self._definitions >= 0:
            os.close(self._definitions)
            self._definitions = -1

    def _define(self, name: str, offsets: Sequence[int]) -> None:
        for path in self._paths:
            lines = (f"p:{self._group}/{name} {path}:{offset:#x}\n".encode() for offset in offsets)
            try:
                for text in _batches(lines):
                    os.write(self._definitions, text)
            except OSError as error:
                if error.errno == errno.EEXIST and path != self._paths[0]:
                    continue  # another name of the same inode, as images of an overlay have
                raise FuncrecError(
                    f"the kernel refuses to define {len(offsets)} probes in {path}: {error.strerror}",
                    remedy=f"{self._root}/error_log says more; leave functions out with -u '!PATTERN'",
                ) from error

    def _arm(self, name: str, link: int, pids: Sequence[int]) -> Descriptor:
        """Open the event for every process; the program is attached once, since it runs for all of them."""
        number = int((self._root / "events" / self._group / name / "id").read_text())
        make_room()
        try:
            held = shelter.made([partial(open_event, TRACEPOINT, pid, config=number) for pid in pids])
        except shelter.NotMadeError as error:
            raise explain(error.code, "open an event of its own", pids[error.position]) from None
        linked, code = link_to(held[0], self._program, link)
        if code:
            shelter.given_up([partial(os.close, event) for event in held])
            raise explain(code, "link a program to an event")
        return Descriptor(linked, *held)


class _Event:
    """A defined event and what keeps it armed."""

    def __init__(self, definitions: int, name: str, places: Places, link: int, offsets: Sequence[int]) -> None:
        self.held = Descriptor()
        self._definitions = definitions
        self._name = name
        self._places = places
        self._link = link
        self._offsets = offsets

    def disarm(self) -> None:
        """See `Link.disarm`."""
        self.held.close()

    def close(self) -> None:
        """Disarm it, then remove the definition, which the kernel does for one that nobody holds."""
        self.disarm()
        _remove(self._definitions, self._name)
        self._places.leave(self._link, self._offsets)


def sweep(root: Path, definitions: int) -> list[str]:
    """Remove the events of recorders that are dead; returns their names.

    Args:
        root: of tracefs.
        definitions: `uprobe_events`, open for writing.
    """
    removed = []
    for folder in (root / "events").glob(f"{_PREFIX}_{_namespace()}_*"):
        pid, _, started = folder.name.removeprefix(f"{_PREFIX}_{_namespace()}_").partition("_")
        if not pid.isdecimal() or _started(int(pid)) == started:
            continue
        for event in folder.iterdir():
            if event.is_dir() and _remove(definitions, f"{folder.name}/{event.name}"):
                removed.append(f"{folder.name}/{event.name}")
    return removed


def _remove(definitions: int, name: str) -> bool:
    # Gone already, or never defined; busy: somebody else traces it, and the next recorder tries again.
    with contextlib.suppress(OSError):
        os.write(definitions, f"-:{name}\n".encode())
        return True
    return False


def _batches(lines: Iterator[bytes]) -> Iterator[bytes]:
    batch = b""
    for line in lines:
        if len(batch) + len(line) > _WRITE:
            yield batch
            batch = b""
        batch += line
    if batch:
        yield batch

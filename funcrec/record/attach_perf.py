"""A perf event for every site: where nothing better is, for a few dozen sites.

The kernel takes about a tenth of a second to give one back, one after the other, also when the recorder is killed.
"""

import contextlib
import resource
from collections.abc import Mapping, Sequence

from funcrec.errors import FuncrecError, HostError
from funcrec.record.descriptors import Descriptor, hold_all
from funcrec.record.perf_event import explain, link_to, open_event, uprobe_type

MOST = 1000


class PerfAttacher:
    """See `Attacher`."""

    by_site = True

    def __init__(self, program: int, path: str, twins: Mapping[int, str] | None = None) -> None:
        self._program = program
        self._path = path
        self._twins = twins or {}

    def attach(self, offsets: Sequence[int], cookies: Sequence[int], pids: Sequence[int]) -> list[Descriptor]:
        """See `Attacher.attach`."""
        if len(offsets) > MOST:
            raise HostError(
                f"{len(offsets)} probes are too many for this kernel, which gives them back one by one",
                remedy=f"name fewer functions ({MOST} probes at most), or use Linux 6.6 or later",
            )
        _make_room()
        pairs = zip(offsets, cookies, strict=True)
        return hold_all(self._attach(offset, cookie, pids or [0]) for offset, cookie in pairs)

    def close(self) -> None:
        """Nothing is left beside the links."""

    def _attach(self, offset: int, cookie: int, pids: Sequence[int]) -> Descriptor:
        held: list[int] = []
        try:
            for pid in pids:
                path = self._twins.get(pid, self._path)
                event, code = open_event(uprobe_type() or 0, pid, path=path, offset=offset)
                if code:
                    raise explain(code, f"probe offset {offset:#x} of {path}", pid)
                held.append(event)
                link, code = link_to(event, self._program, cookie)
                if code:
                    raise explain(code, "link a program to a perf event")
                held.insert(len(held) - 1, link)  # goes before its event
        except FuncrecError:
            Descriptor(*held).close()
            raise
        return Descriptor(*held)


def _make_room() -> None:
    """As many descriptors as this process may ever have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

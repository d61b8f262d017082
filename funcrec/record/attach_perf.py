"""A perf event for every site: where nothing better is, for a few dozen sites.

The kernel takes about a tenth of a second to give one back, one after the other, also when the recorder is killed.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial

from funcrec.errors import HostError
from funcrec.record import shelter
from funcrec.record.descriptors import Descriptor, make_room
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
        make_room()
        wanted = list(pids) or [0]
        kind = uprobe_type() or 0
        makes = [
            partial(open_event, kind, pid, path=self._twins.get(pid, self._path), offset=offset)
            for offset in offsets
            for pid in wanted
        ]
        try:
            events = shelter.made(makes)
        except shelter.NotMadeError as error:
            site, number = divmod(error.position, len(wanted))
            path = self._twins.get(wanted[number], self._path)
            raise explain(error.code, f"probe offset {offsets[site]:#x} of {path}", wanted[number]) from None
        return self._link(events, cookies, len(wanted))

    def close(self) -> None:
        """Nothing is left beside the links."""

    def _link(self, events: list[int], cookies: Sequence[int], processes: int) -> list[Descriptor]:
        """Run the program at each hit; `events`: those of all processes for each cookie."""
        links: list[int] = []
        for position, event in enumerate(events):
            link, code = link_to(event, self._program, cookies[position // processes])
            if code:
                shelter.given_up([partial(os.close, descriptor) for descriptor in (*links, *events)])
                raise explain(code, "link a program to a perf event")
            links.append(link)
        # A link goes before its event.
        pairs = [descriptor for pair in zip(links, events, strict=True) for descriptor in pair]
        each = 2 * processes
        return [Descriptor(*pairs[first : first + each]) for first in range(0, len(pairs), each)]

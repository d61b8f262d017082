"""The links of a recording: armed stage by stage, made anew without some sites, closed.

A link cannot lose a site, so another one without it takes its place. For a moment both are there and most hits come
twice; bpf/guard.h drops one of the two, exactly, where order.py has found that the kernel lets it. Knows nothing of
plans or of what a site means.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from funcrec.record import shelter
from funcrec.record.attach import Attacher, Link, of_generation
from funcrec.record.ended import EndedError
from funcrec.record.rings import Rows

_SMALL = 256  # sites


@dataclass
class _Stage:
    sites: NDArray[np.int64]
    offsets: NDArray[np.int64]
    cookies: NDArray[np.uint64]
    generation: int = 0
    links: list[Link] = field(default_factory=list)


class Links:
    """All links of one program to one file.

    Args:
        attacher: of the program to the file; closed with the links.
        control: live CONTROL row of the program's map.
        pids: links for these; none: for every process.
    """

    def __init__(self, attacher: Attacher, control: Rows, pids: Sequence[int]) -> None:
        self._attacher = attacher
        self._control = control
        self._pids = list(pids)
        self._stages: list[_Stage] = []
        self._epoch = 0

    def arm(self, sites: Sequence[int], offsets: NDArray[np.int64], cookies: NDArray[np.uint64]) -> None:
        """Attach one more stage.

        Args:
            sites, offsets, cookies: one of each per probe.

        Raises:
            FuncrecError: see `Attacher.attach`; links that were made stay until `close`.
        """
        if sites:
            stage = _Stage(np.array(sites, np.int64), offsets, cookies)
            self._stages.append(stage)
            self._attach(stage)

    def drop(self, sites: Collection[int]) -> None:
        """Go on without some sites; no hit of the others is missed or comes twice.

        Raises:
            FuncrecError: see `Attacher.attach`; the old links are still there then.
        """
        dropped = np.array(list(sites), dtype=np.int64)
        for position in reversed(range(len(self._stages))):
            stage = self._stages[position]
            kept = np.flatnonzero(~np.isin(stage.sites, dropped))
            if len(kept) == len(stage.sites):
                continue
            if self._attacher.by_site:
                self._leave(stage, kept)
                continue
            young = _Stage(stage.sites[kept], stage.offsets[kept], stage.cookies[kept], 1 - stage.generation)
            self._succeed(stage, young)
            self._stages[position] = young

    def _leave(self, stage: _Stage, kept: NDArray[np.int64]) -> None:
        """Close the links of all sites but those at some positions."""
        stays = set(kept.tolist())
        _close([link for at, link in enumerate(stage.links) if at not in stays])
        stage.links = [stage.links[at] for at in kept.tolist()]
        stage.sites, stage.offsets, stage.cookies = stage.sites[kept], stage.offsets[kept], stage.cookies[kept]

    def _succeed(self, old: _Stage, young: _Stage) -> None:
        self._epoch += 1
        self._control["young"] = young.generation
        self._control["epoch"] = self._epoch
        closing = young  # unless all of it could be attached
        try:
            if len(young.sites):
                self._attach(young)
            closing = old
        finally:
            _close(closing.links)
            closing.links = []
            self._control["epoch"] = 0

    def _attach(self, stage: _Stage) -> None:
        cookies = [of_generation(cookie, stage.generation) for cookie in stage.cookies.tolist()]
        # Once the recording is open, those that have ended are left out.
        is_open = not self._control["closed"][0]
        pids = [pid for pid in self._pids if not is_open or os.path.exists(f"/proc/{pid}")]
        while pids or not self._pids:
            try:
                stage.links += self._attacher.attach(stage.offsets.tolist(), cookies, pids)
                return
            except EndedError as ended:
                if not is_open and len(pids) == 1:
                    raise
                pids.remove(ended.pid)

    def close(self, others: Sequence[Link] = ()) -> None:
        """Disarm all at once, with small links of others that go too; safe to call twice."""
        large: list[Link] = []
        small = [*others]
        for stage in self._stages:
            (small if len(stage.sites) <= _SMALL else large).extend(stage.links)
        self._stages = []
        _close(large, small)
        self._attacher.close()


def _close(links: Sequence[Link], small: Sequence[Link] = ()) -> None:
    if links or small:
        shelter.given_up([link.disarm for link in links], [link.disarm for link in small])
    for link in (*links, *small):
        link.close()

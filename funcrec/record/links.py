"""The links of a recording: armed stage by stage, made anew without some sites, closed.

A link cannot lose a site, so another one without it takes its place. For a moment both are there and most hits come
twice; bpf/guard.h drops one of the two, exactly, where order.py has found that the kernel lets it. Knows nothing of
plans or of what a site means.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from funcrec.record.attach import attach_multi, of_generation
from funcrec.record.rings import Rows

CONTROL = np.dtype([("closed", "<u8"), ("epoch", "<u8"), ("young", "<u8")])


@dataclass
class _Stage:
    sites: list[int]
    offsets: list[int]
    cookies: list[int]
    generation: int = 0
    links: list[int] = field(default_factory=list)


class Links:
    """All links of one program to one file.

    Args:
        program: descriptor of the loaded program; it stays the caller's.
        control: live CONTROL row of the program's map.
        path: the file, see `attach_multi`.
        pids: one link for each and stage; none: links for every process.
    """

    def __init__(self, program: int, control: Rows, path: str, pids: Sequence[int]) -> None:
        self._program = program
        self._control = control
        self._path = path
        self._pids = list(pids) or [0]
        self._stages: list[_Stage] = []
        self._epoch = 0

    def arm(self, sites: list[int], offsets: list[int], cookies: list[int]) -> None:
        """Attach one more stage.

        Args:
            sites, offsets, cookies: one of each per probe.

        Raises:
            FuncrecError: see `attach_multi`; links that were made stay until `close`.
        """
        if sites:
            stage = _Stage(sites, offsets, cookies)
            self._stages.append(stage)
            self._attach(stage)

    def drop(self, sites: Collection[int]) -> None:
        """Go on without some sites; no hit of the others is missed or comes twice.

        Raises:
            FuncrecError: see `attach_multi`; the old links are still there then.
        """
        dropped = set(sites)
        for position in reversed(range(len(self._stages))):
            stage = self._stages[position]
            kept = [at for at, site in enumerate(stage.sites) if site not in dropped]
            if len(kept) == len(stage.sites):
                continue
            young = _Stage(
                [stage.sites[at] for at in kept],
                [stage.offsets[at] for at in kept],
                [stage.cookies[at] for at in kept],
                1 - stage.generation,
            )
            self._succeed(stage, young)
            self._stages[position] = young

    def _succeed(self, old: _Stage, young: _Stage) -> None:
        self._epoch += 1
        self._control["young"] = young.generation
        self._control["epoch"] = self._epoch
        closing = young  # unless all of it could be attached
        try:
            if young.sites:
                self._attach(young)
            closing = old
        finally:
            _close(closing.links)
            self._control["epoch"] = 0

    def _attach(self, stage: _Stage) -> None:
        cookies = [of_generation(cookie, stage.generation) for cookie in stage.cookies]
        for pid in self._pids:
            if self._epoch and pid and not os.path.exists(f"/proc/{pid}"):
                continue  # ended since the first attach
            stage.links.append(attach_multi(self._program, self._path, stage.offsets, cookies, pid))

    def close(self) -> None:
        """Disarm, the last stage first; safe to call twice."""
        while self._stages:
            _close(self._stages.pop().links)


def _close(links: list[int]) -> None:
    while links:
        os.close(links.pop())

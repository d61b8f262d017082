"""A scrap of machine code of our own, to learn what a probe is like on this machine without the traced program."""

import ctypes
import mmap
import os

import numpy as np

from funcrec.plan.sites import ProbeSite, Role, SiteKind
from funcrec.record.attach import Attacher, Link, cookie, of_generation
from funcrec.record.machine import machine

_KINDS = (SiteKind.EMULATED, SiteKind.STEPPED)
_SLOT = 64
SITES = len(_KINDS)


class Scrap:
    """One function for each kind of site, mapped from a file without a name.

    Attributes:
        path: of that file, for this process.
        address: where it is mapped.

    Args:
        first_site: number of the first of SITES site numbers that the plan leaves free.
        goid_offset: of runtime.g, to make up a goroutine that the program believes.
    """

    def __init__(self, first_site: int, goid_offset: int) -> None:
        self._first_site = first_site
        self._descriptor = os.memfd_create("funcrec-scrap", os.MFD_CLOEXEC)
        code = _code()
        os.write(self._descriptor, code)
        self._map = mmap.mmap(self._descriptor, len(code), mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
        self.address = np.frombuffer(self._map, dtype=np.uint8).ctypes.data
        self._goroutine = _goroutine(goid_offset)
        self.path = f"/proc/self/fd/{self._descriptor}"
        self._links: list[Link] = []
        self._attacher: Attacher | None = None

    def attach(self, attacher: Attacher, generation: int = 0) -> None:
        """Put probes on all its sites; they stay until the end, since taking them away takes long.

        Args:
            attacher: of the loaded `hit` to this file; closed with the scrap.
            generation: of the link, see bpf/guard.h.

        Raises:
            FuncrecError: see `Attacher.attach`.
        """
        offsets = [index * _SLOT + len(machine().scrap.before) for index in range(SITES)]
        cookies = [
            of_generation(cookie(self._first_site + index, ProbeSite(0, 0, offset, Role.POINT), root=True), generation)
            for index, offset in enumerate(offsets)
        ]
        self._attacher = attacher
        self._links += attacher.attach(offsets, cookies, [os.getpid()])

    def run(self, kind: SiteKind, hits: int) -> None:
        """Pass the site of a kind so many times."""
        function = self.address + _KINDS.index(kind) * _SLOT
        ctypes.CFUNCTYPE(None, ctypes.c_long, ctypes.c_void_p)(function)(hits, self._goroutine.ctypes.data)

    def site(self, kind: SiteKind) -> int:
        """Its number."""
        return self._first_site + _KINDS.index(kind)

    def hand_out(self) -> list[Link]:
        """Its links, for the caller to close."""
        links, self._links = self._links, []
        return links

    def close(self) -> None:
        """Take the probes away; safe to call twice."""
        for link in self.hand_out():
            link.close()
        if self._attacher is not None:
            self._attacher.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _code() -> bytes:
    scrap = machine().scrap
    parts = [(scrap.before + scrap.sites[kind] + scrap.after).ljust(_SLOT, scrap.padding) for kind in _KINDS]
    return b"".join(parts).ljust(mmap.PAGESIZE, scrap.padding)


def _goroutine(goid_offset: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """A runtime.g whose stack is all of memory and whose goid is 1."""
    words = np.zeros(64, dtype=np.uint64)
    words[1] = np.uint64(2**63 - 8)
    words[goid_offset // 8] = 1
    return words

"""Cookies by place, for attached sites that cannot carry one each: what bpf/place.h looks up.

A place is a link's number and a file offset. Where the image begins in memory the program finds for itself: it is
known for a fixed executable, and of a position-independent one every goroutine's stack tells it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from funcrec.errors import TargetError
from funcrec.record import maps
from funcrec.record.machine import Machine
from funcrec.target.executable import Executable

PLACES = 65_536  # two links of as many sites as tracefs takes in bearable time
_OFFSET_BITS = 48
ABSOLUTE = 1 << 15  # a link whose places are addresses in memory


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """How a hit's address becomes a file offset.

    Attributes:
        bias: address minus file offset of the code, None when it varies.
        goexit: file offset of the address that every goroutine's outermost frame returns to.
    """

    bias: int | None
    goexit: int


def image_facts(executable: Executable, here: Machine) -> ImageFacts:
    """The facts of an executable on a machine.

    Raises:
        TargetError: it is position-independent and its place in memory is not to be found.
    """
    start = executable.text[0]
    if not executable.is_pie:
        return ImageFacts(start - (executable.offset_of(start) or 0), 0)
    if not here.moving_images:
        raise TargetError(
            f"{executable.path} is position-independent: its probes need uprobe_multi on {here.name}",
            remedy="build it without -buildmode=pie, or record it on Linux 6.6 or later",
        )
    found = [function for function in executable.functions.named("runtime.goexit") if not function.wrapper]
    offset = executable.offset_of(found[0].address) if found else None
    if offset is None:
        raise TargetError(
            f"{executable.path} is position-independent and has no runtime.goexit",
            remedy="build it without -buildmode=pie, or record it on Linux 6.6 or later",
        )
    # Go 1.18 to 1.27 runtime/proc.go, newproc1: the return address is that of goexit's second instruction.
    return ImageFacts(None, offset + 1)


class Places:
    """The table of one program.

    Args:
        descriptor: of the map `places`.
        base: memory address of the file's first byte, when it is no executable but mapped there by ourselves.
    """

    _links = 0  # in this process: the map may be shared by several tables

    def __init__(self, descriptor: int, base: int | None = None) -> None:
        self._descriptor = descriptor
        self._base = base

    def enter(self, offsets: Sequence[int], cookies: Sequence[int]) -> int:
        """Make sites known and return the number that their link has to carry as its cookie.

        Raises:
            OSError: the table is full.
        """
        Places._links += 1
        link = Places._links | (0 if self._base is None else ABSOLUTE)
        for offset, cookie in zip(offsets, cookies, strict=True):
            maps.update(self._descriptor, self._key(link, offset), struct.pack("<Q", cookie))
        return link

    def leave(self, link: int, offsets: Sequence[int]) -> None:
        """Forget the sites of a link that is closed."""
        for offset in offsets:
            maps.delete(self._descriptor, self._key(link, offset))

    def _key(self, link: int, offset: int) -> bytes:
        return struct.pack("<Q", link << _OFFSET_BITS | (self._base or 0) + offset)

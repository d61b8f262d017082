"""Ways to attach a loaded program to many file offsets, behind one small interface.

A way never uses return probes, and closing what it made removes every breakpoint. `ways.py` says which a kernel has.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.sites import ProbeSite
from funcrec.record.places import Places


class Way(StrEnum):
    """How sites are attached, the best first."""

    MULTI = "multi"  # uprobe_multi links, Linux 6.6
    TRACEFS = "tracefs"  # one uprobe event with many points, Linux 5.15 (for the cookies of links to perf events)
    PERF = "perf"  # a perf event for every site, Linux 5.15


class Link(Protocol):
    """Something that keeps sites armed."""

    def disarm(self) -> None:
        """Close the descriptors that keep them so; safe to call twice."""

    def close(self) -> None:
        """The same, and give back what else there is."""


class Attacher(Protocol):
    """Attaches one program to one file.

    Attributes:
        by_site: every link holds one site only, so that a site can go without the others.
    """

    by_site: bool

    def attach(self, offsets: Sequence[int], cookies: Sequence[int], pids: Sequence[int]) -> Sequence[Link]:
        """Arm the sites.

        Args:
            offsets: file offsets of instruction starts, each once.
            cookies: one for each.
            pids: in these processes; none: in every process that maps the file, also later.

        Returns:
            one link for each site when `by_site`, else any number.

        Raises:
            HostError: the kernel cannot do this, or forbids it.
            EndedError: a process is gone.
            FuncrecError: an offset cannot be probed.
        """

    def close(self) -> None:
        """Give back what was made beside the links, which are closed by then."""


def attacher(
    way: Way, program: int, path: str, places: Places | None = None, twins: Mapping[int, str] | None = None
) -> Attacher:
    """Return what attaches a program to a file.

    Args:
        way: that the program was loaded for.
        program: descriptor of the program; it stays the caller's.
        path: of the file; `/proc/self/fd/N` pins the very inode that was read.
        twins: processes that run another file of the same contents, and its path.
        places: where a program looks its cookies up, if `way` cannot hand them over.
    """
    if way == Way.TRACEFS:
        from funcrec.record.attach_tracefs import TracefsAttacher

        if places is None:
            raise ValueError("attaching through tracefs needs a table of places")
        return TracefsAttacher(program, path, places, twins)
    if way == Way.PERF:
        from funcrec.record.attach_perf import PerfAttacher

        return PerfAttacher(program, path, twins)
    from funcrec.record.attach_multi import MultiAttacher

    return MultiAttacher(program, path, twins)


def cookies(
    numbers: Sequence[int],
    sites: Sequence[ProbeSite],
    roots: Sequence[bool],
    values: Sequence[bool],
    twins: Sequence[int],
    chained: Sequence[bool],
) -> NDArray[np.uint64]:
    """Pack what the BPF program must know of sites, u64; the COOKIE_* macros of bpf/calls.c unpack it.

    Args:
        numbers: of the sites in the plan, below 2**24.
        sites: their role, edge, condition and SP offset.
        roots: its function opens a gate.
        values: a value plan exists for it.
        twins: edges on which the hit of an entry is also the exit whose number follows, 0 for none.
        chained: the hit may tell other exits than its own: a twin's, or of callers.
    """
    packed = np.array(numbers, dtype=np.uint64)
    for shift, column in (
        (24, [site.role for site in sites]),
        (28, roots),
        (29, values),
        (30, [max(site.condition, 0) for site in sites]),
        (34, [site.edge for site in sites]),
        (36, twins),
        (39, chained),
        (40, [site.sp_delta // 8 for site in sites]),
    ):
        packed |= np.array(column, dtype=np.uint64) << np.uint64(shift)
    return packed


def cookie(number: int, site: ProbeSite, *, root: bool, values: bool = False, twin: int = 0) -> int:
    """The same for one site."""
    return int(cookies([number], [site], [root], [values], [twin], [twin > 0])[0])


def of_generation(plain: int, generation: int) -> int:
    """The cookie in a link of a generation, 0 or 1: COOKIE_GENERATION of bpf/guard.h."""
    return plain | generation << 38

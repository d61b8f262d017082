"""Can one link take over from another on this kernel? Tried on code of our own, before anything relies on it.

bpf/guard.h drops the second of two hits of the same instruction, which is exact only if the newer link runs first.
"""

from funcrec.plan.sites import SiteKind
from funcrec.record.rings import Rows
from funcrec.record.scrap import Scrap

_ROUNDS = 16


def takes_over(scrap: Scrap, control: Rows, idle_hits: Rows, *, young: int) -> bool:
    """Whether every hit counts once while two links share a site.

    The scrap has a link of each generation, attached in the order of their numbers. Nothing is recorded by then.

    Args:
        scrap: with both links.
        control: live CONTROL row of the program's map, see `Links`.
        idle_hits: live hits that count but tell nothing, by site.
        young: generation that is said to be the newer one.
    """
    kind = SiteKind.EMULATED
    before = int(idle_hits[scrap.site(kind)])
    control["young"] = young
    control["closed"] = 1  # whatever the program would make of a hit, it is idle then
    for epoch in range(1, _ROUNDS + 1):  # a new one for each hit: a mark that was left behind cannot help
        control["epoch"] = epoch
        scrap.run(kind, 1)
    control["epoch"] = control["closed"] = 0
    return int(idle_hits[scrap.site(kind)]) - before == _ROUNDS

"""What a traced call will cost, before anything is measured. Pure.

`record` measures the cost of a hit on the machine it runs on; these are for deciding beforehand. On Linux 6.18 a hit of
an emulated instruction took 0.7 us on a virtual machine and a single-stepped one 15 us, because every debug trap leaves
the guest; the figures for bare metal follow from the rates that the kernel's authors measured.
"""

from dataclasses import dataclass

from funcrec.plan.sites import ProbePlan, Role, SiteKind

_BARE_NS = {SiteKind.EMULATED: 350.0, SiteKind.STEPPED: 950.0, SiteKind.CHAINED: 50.0}
_VIRTUAL_NS = {SiteKind.EMULATED: 700.0, SiteKind.STEPPED: 15_000.0, SiteKind.CHAINED: 100.0}


@dataclass(frozen=True, slots=True)
class CallCost:
    """Estimated ns that one call of a planned function takes longer, averaged over the functions."""

    bare_ns: float
    virtual_ns: float


def estimate_cost(plan: ProbePlan) -> CallCost:
    """Average over functions of one hit at the entry and one at an exit (their average when there are several)."""
    bare = virtual = 0.0
    visible = {number for number, function in enumerate(plan.functions) if not function.hidden}
    exits: dict[int, list[SiteKind]] = {}
    for site in plan.sites:
        if site.function not in visible or site.spare:
            continue
        if site.role == Role.EXIT:
            exits.setdefault(site.function, []).append(site.kind)
        else:
            bare += _BARE_NS[site.kind]
            virtual += _VIRTUAL_NS[site.kind]
    for kinds in exits.values():
        bare += sum(_BARE_NS[kind] for kind in kinds) / len(kinds)
        virtual += sum(_VIRTUAL_NS[kind] for kind in kinds) / len(kinds)
    count = max(len(visible), 1)
    return CallCost(bare / count, virtual / count)

"""A condition plan as bytes for the maps of bpf/condition.h; the layouts mirror its structs field by field."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.conditionloads import MAX_HOPS
from funcrec.plan.conditions import MAX_LOADS, ConditionPlans
from funcrec.plan.conditiontree import Lowered
from funcrec.plan.sites import ProbeSite

FRAMES = 262_144  # open calls that were let in, at one time; what finds no room is counted as lost
THREADS = 8192

SITE = np.dtype(
    [("address", "<u8"), ("truths", "<u8"), ("first", "<u4"), ("used", "u1"), ("waits", "u1"), ("pad", "u1", 2)]
)
HOP = np.dtype([("offset", "<i4"), ("index", "<i4")])
LOAD = np.dtype(
    [
        ("number", "<i8"),
        ("last", "<i4"),
        ("index", "<i4"),
        ("start", "u1"),
        ("register_", "u1"),
        ("second", "u1"),
        ("flags", "u1"),
        ("size", "u1"),
        ("shift", "u1"),
        ("hops", "u1"),
        ("pad", "u1"),
        ("hop", HOP, MAX_HOPS),
    ]
)
# An open call that was let in: its key, and of its row what is looked at.
FRAME_KEY = np.dtype([("stack", "<u8"), ("pid", "<u4"), ("depth", "<u4")])
FRAME = np.dtype([("time_ns", "<i8"), ("rest", "u1", 48)])
STACK_KEY = np.dtype([("stack", "<u8"), ("pid", "<u8")])
STACK = np.dtype("<u8")


def condition_macros(lowered: Lowered, *, exits: bool) -> dict[str, int]:
    """Macros of bpf/condition.h."""
    return {
        "CONDITION_LOADS": MAX_LOADS,
        "CONDITION_VALUES": len(lowered.slots),
        "CONDITION_FRAMES": FRAMES,
        "CONDITION_THREADS": THREADS,
        "CONDITION_EXITS": int(exits),
    }


def condition_maps(plans: ConditionPlans, sites: tuple[ProbeSite, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of the maps: sites by number, loads. Sites of no probe plan have no address."""
    rows = np.zeros(max(len(sites), max(plans.sites, default=0) + 1), SITE)
    for number, site in plans.sites.items():
        address = sites[number].address if number < len(sites) else 0
        rows[number] = (address, site.truths, site.first, 1, site.waits, (0, 0))
    loads = np.zeros(len(plans.loads), LOAD)
    for at, load in enumerate(plans.loads):
        row = loads[at]
        for name in ("last", "index", "start", "second", "size", "shift"):
            row[name] = getattr(load, name)
        word = load.number % (1 << 64)
        row["number"] = word - (1 << 64) if word >> 63 else word
        row["register_"], row["flags"], row["hops"] = load.register, int(load.flags), len(load.hops)
        for place, hop in enumerate(load.hops):
            row["hop"][place] = hop
    return rows, loads

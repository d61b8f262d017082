"""Steps to results as bytes for the maps of bpf/results.h; the layouts mirror its structs field by field."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.sites import ProbePlan, Role
from funcrec.target.results import Steps

SITE = np.dtype([("first", "<u4", 2), ("steps", "<u2", 2), ("pad", "<u4")])  # maps have rows of whole words
STEP = np.dtype(
    [
        ("number", "<i8"),
        ("to", "u1"),
        ("base", "u1"),
        ("second", "u1"),
        ("shift", "u1"),
        ("load", "u1"),
        ("cut", "u1"),
        ("is_signed", "u1"),
        ("keep", "u1"),
    ]
)


def result_maps(plan: ProbePlan) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of the maps: sites by number, steps."""
    sites = np.zeros(len(plan.sites), SITE)
    placed: dict[Steps, int] = {}
    rows: list[tuple[int, ...]] = []
    for number, site in enumerate(plan.sites):
        if site.role != Role.EXIT:
            continue
        for edge, steps in enumerate(plan.results.get(site.address, ())):
            if steps not in placed:
                placed[steps] = len(rows)
                rows += [(_signed(each.number), *each[:4], *each[5:]) for each in steps]
            sites[number]["first"][edge], sites[number]["steps"][edge] = placed[steps], len(steps)
    return sites, np.array(rows, STEP)


def _signed(number: int) -> int:
    word = number % (1 << 64)
    return word - (1 << 64) if word >> 63 else word

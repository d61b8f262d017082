"""A value plan as bytes for the maps of bpf/values.h; the layouts mirror its structs field by field."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.programs import MAX_PROGRAMS, MAX_REFERENCES, ValueLimits
from funcrec.plan.sites import ProbeSite
from funcrec.plan.values import MAX_DYNAMIC_TYPES, ValuePlans

MAX_THREADS = 8192  # threads that may capture values

SITE = np.dtype(
    [
        ("address", "<u8"),
        ("first_ref", "<u4"),
        ("refs", "<u2"),
        ("stack_bytes", "<u2"),
        ("stack_offset", "<i4"),
        ("registers", "u1"),
        ("used", "u1"),
        ("register_of", "u1", 16),
        ("pad", "u1", 2),
    ]
)
PROGRAM = np.dtype([("first_ref", "<u4"), ("refs", "<u2"), ("size", "<u2")])
REFERENCE = np.dtype(
    [
        ("displacement", "<i8"),
        ("offset", "<u2"),
        ("cap", "<u2"),
        ("program", "<u2"),
        ("kind", "u1"),
        ("cost", "u1"),
    ]
)
HEADER = np.dtype([("time_ns", "<i8"), ("tid", "<u4"), ("site", "<u4"), ("length", "<u4"), ("status", "<u4")])


@dataclass(frozen=True, slots=True)
class ValueMaps:
    """Rows of the maps: sites, programs and references by number, types by address (program | cost << 16)."""

    sites: NDArray[Any]
    programs: NDArray[Any]
    references: NDArray[Any]
    types: dict[int, int]


def value_macros(limits: ValueLimits) -> dict[str, int]:
    """Macros of bpf/values.h: sizes of the tables, fixed because the program is compiled before the plan exists."""
    return {
        "VALUE_PROGRAMS": MAX_PROGRAMS,
        "VALUE_REFS": MAX_REFERENCES,
        "VALUE_TYPES": MAX_DYNAMIC_TYPES,
        "VALUE_BYTES": limits.total_bytes,
        "VALUE_DEPTH": limits.depth,
        "VALUE_THREADS": MAX_THREADS,
        "VALUE_REDACTED": int(limits.redacted),
    }


def value_maps(plans: ValuePlans, sites: tuple[ProbeSite, ...]) -> ValueMaps:
    """Lay out the maps for what to read at the sites of a probe plan."""
    rows = np.zeros(len(sites), SITE)
    for number, read in plans.sites.items():
        values = plans.reads[read]
        row = rows[number]
        row["address"], row["used"] = sites[number].address, 1
        row["first_ref"], row["refs"] = values.first_reference, values.references
        row["stack_offset"], row["stack_bytes"] = values.stack_offset, values.stack_bytes
        row["registers"] = len(values.registers)
        row["register_of"][: len(values.registers)] = values.registers
    programs = np.array(plans.programs, PROGRAM)
    references = np.array(
        [(ref.displacement, ref.offset, ref.cap, ref.program, int(ref.kind), ref.cost) for ref in plans.references],
        REFERENCE,
    )
    dynamic = {address: program | cost << 16 for address, (program, cost) in plans.dynamic.items() if program}
    return ValueMaps(rows, programs, references, dynamic)

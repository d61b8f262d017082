"""The functions that captured function values run, by name: the trace has their addresses only.

A capture holds the first word of each function value, in a segment of its own. What looks like one and is not the
entry of a function is left out; what is one by chance costs a row.
"""

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.programs import CODE_BYTES
from funcrec.plan.values import ValuePlans
from funcrec.target.executable import Executable
from funcrec.trace.blobs import STATUS_MASK
from funcrec.trace.records import CodeRecord, ValueColumns

_SEGMENT_WORDS = 2  # address, length and status
_OK = CODE_BYTES  # length 8, status 0: as one word


class FunctionValues:
    """Names each function once.

    Args:
        plans: what is captured; None: nothing is.
        executable: the binary.
        sites: number of sites.
    """

    def __init__(self, plans: ValuePlans | None, executable: Executable, sites: int) -> None:
        self._executable = executable
        # Words of the root area, by site; 0: no function value comes there.
        self._area = np.zeros(sites if plans is not None else 0, dtype=np.int64)
        for site, read in plans.sites.items() if plans is not None else ():
            if plans is not None and read in plans.functions:
                self._area[site] = (plans.rows[read]["area"] + 7) // 8
        self._any = bool(self._area.any())
        self._known: NDArray[np.bool_] = np.zeros(len(executable.functions), dtype=bool)

    def learn(self, values: ValueColumns | None, site: NDArray[np.uint32]) -> list[CodeRecord]:
        """Functions that no capture had before.

        Args:
            values: captures.
            site: of each event that `values` counts.
        """
        if values is None or not self._any or len(values) == 0:
            return []
        words = np.frombuffer(values.data, dtype="<u8")
        linked = _code(words, values.length.astype(np.int64) // 8, self._area[site[values.event]])
        entries = self._executable.functions.addresses
        at = np.minimum(np.searchsorted(entries, linked), len(entries) - 1)
        at = at[(entries[at] == linked) & ~self._known[at]]
        self._known[at] = True
        return [CodeRecord(int(entries[index]), self._executable.functions.name(index)) for index in at.tolist()]


def _code(words: NDArray[np.uint64], length: NDArray[np.int64], area: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distinct addresses as linked that stand in segments of one word, in captures with a root area to step over."""
    start = np.cumsum(length) - length
    end = start + length
    bias = words[np.minimum(start, len(words) - 1)] & ~np.uint64(STATUS_MASK)
    cursor = start + area
    open_ = np.flatnonzero(area > 0)
    found: list[NDArray[np.int64]] = []
    while True:
        open_ = open_[cursor[open_] + _SEGMENT_WORDS < end[open_]]
        if len(open_) == 0:
            return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
        head = words[cursor[open_] + 1]
        hit = open_[head == _OK]
        found.append((words[cursor[hit] + _SEGMENT_WORDS] - bias[hit]).view(np.int64))
        size = (head & np.uint64(0xFFFF_FFFF)).astype(np.int64)
        cursor[open_] += _SEGMENT_WORDS + (size + 7) // 8

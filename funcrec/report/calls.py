"""Events to calls."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    pass


class State(IntEnum):
    """How a call ended; `label` is the word in every output."""

    RETURNED = 0
    PANICKED = 1
    GOEXIT = 2
    OPEN = 3
    LOST = 4
    ENTRY = 5  # --entry-only: no duration is known

    @property
    def label(self) -> str:
        """The word for it in the machine contract."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Calls:
    """n calls as columns of equal length, sorted by start (ties: outer call first); the row number is the call's id.

    Attributes:
        start_ns: i64, CLOCK_MONOTONIC.
        end_ns: i64, -1 where unknown (open, lost, entry).
        self_ns: i64, duration minus that of recorded children; -1 where the end is unknown.
        state: u8, a `State`.
        function: u32, id in the trace's functions.
        pid: u32; tid: u32, the thread at entry; goid: u64, the user goroutine (0: none).
        stack: u64, 0 for the goroutine's own stack (see EventColumns).
        depth: u32, number of recorded callers.
        parent: i64, row of the nearest recorded caller or -1.
        caller: u32, call site id + 1, 0 unknown.
        entry_event, exit_event: i64, event numbers (position over all blocks of the trace), -1 none: the key to values.
    """

    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    self_ns: NDArray[np.int64]
    state: NDArray[np.uint8]
    function: NDArray[np.uint32]
    pid: NDArray[np.uint32]
    tid: NDArray[np.uint32]
    goid: NDArray[np.uint64]
    stack: NDArray[np.uint64]
    depth: NDArray[np.uint32]
    parent: NDArray[np.int64]
    caller: NDArray[np.uint32]
    entry_event: NDArray[np.int64]
    exit_event: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start_ns)

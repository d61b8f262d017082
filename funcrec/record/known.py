"""What a recording has to know of its functions to the end, as columns.

A recorder runs for hours beside the program that the machine is for, and of 30,000 functions the objects of the plan
alone take 12 MB, and keep as much again from being given back around them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.sites import PlannedFunction


class KnownFunctions:
    """The functions of a plan by their numbers, without the plan.

    Attributes:
        hidden, root: see `PlannedFunction`; bool, one per function.
    """

    def __init__(self, functions: Sequence[PlannedFunction]) -> None:
        names = [function.name.encode("utf-8", "surrogateescape") for function in functions]
        self._names = b"".join(names)
        self._ends = np.cumsum([len(name) for name in names], dtype=np.int64)
        self.hidden = np.array([function.hidden for function in functions], dtype=bool)
        self.root = np.array([function.root for function in functions], dtype=bool)
        self._callers, self._callees = _ended_by(functions)

    def __len__(self) -> int:
        return len(self._ends)

    def name(self, number: int) -> str:
        """Its full name."""
        start = int(self._ends[number - 1]) if number else 0
        return self._names[start : int(self._ends[number])].decode("utf-8", "surrogateescape")

    def groups(self) -> list[list[int]]:
        """What goes together with each function: those whose exits its own exits tell; nothing when that has a root."""
        callers: dict[int, list[int]] = {}
        for caller, callee in zip(self._callers.tolist(), self._callees.tolist(), strict=True):
            callers.setdefault(callee, []).append(caller)
        groups = []
        for number in range(len(self)):
            group, known = [number], {number}
            for one in group:
                fresh = set(callers.get(one, ())) - known
                known |= fresh
                group += sorted(fresh)
            groups.append([] if (self.root[group] | self.hidden[group]).any() else group)
        return groups


def _ended_by(functions: Sequence[PlannedFunction]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Pairs of functions: the first one's exits are seen, in places, by those of the second."""
    numbers = {function.address: number for number, function in enumerate(functions)}
    pairs = [
        (caller, numbers[address])
        for caller, function in enumerate(functions)
        for address in function.ended_by
        if address in numbers
    ]
    table = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()

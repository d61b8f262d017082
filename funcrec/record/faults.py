"""Sites that nobody planned: where an instruction of a recorded function faulted, one for each function."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from funcrec.plan.sites import ProbePlan, Role
from funcrec.target.executable import Executable
from funcrec.trace.records import SiteRecord


class FaultSites:
    """Numbers of FAULT sites, which follow those of the plan."""

    def __init__(self, plan: ProbePlan, executable: Executable) -> None:
        self._executable = executable
        self._planned = np.array([function.index for function in plan.functions], dtype=np.int32)
        self._elsewhere = next((n for n, site in enumerate(plan.sites) if site.role == Role.FAULT), 0)
        self._next = len(plan.sites)
        self._ids: dict[int, int] = {}
        self._fresh: list[SiteRecord] = []

    @cached_property
    def _functions(self) -> dict[int, int]:
        """Numbers of functions in the plan by their numbers in the executable; most recordings see no fault."""
        return {index: number for number, index in enumerate(self._planned.tolist())}

    def ids(self, addresses: Sequence[int]) -> list[int]:
        """Site of each fault, given the linked address of the instruction.

        Faults of functions that are not recorded are at the planned site, which belongs to none of them.
        """
        return [self._id(int(address)) for address in addresses]

    def _id(self, address: int) -> int:
        function = self._executable.function_at(address)
        number = None if function is None else self._functions.get(function.index)
        if number is None:
            return self._elsewhere
        if number not in self._ids:
            self._ids[number] = self._next
            self._next += 1
            self._fresh.append(SiteRecord(number, address, int(Role.FAULT), stepped=False, chained=True))
        return self._ids[number]

    def take_fresh(self) -> list[SiteRecord]:
        """Return the sites made since the last call, in order of their numbers."""
        fresh, self._fresh = self._fresh, []
        return fresh

"""Drained rows to the columns and records of the trace.

Pure bookkeeping: numbers in, `funcrec.trace` records out; neither kernel nor file is touched here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from funcrec.plan.sites import ProbePlan, Role
from funcrec.plan.values import ValuePlans
from funcrec.record.faults import FaultSites
from funcrec.record.funcvalues import FunctionValues
from funcrec.record.rings import NO_CALLER, STACK_MASK, Rows
from funcrec.record.selfcheck import SelfCheck
from funcrec.record.snapshot import CallSiteTable
from funcrec.target.executable import Executable
from funcrec.trace.records import EventColumns, GoroutineRecord


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts for the closing line."""

    calls: int
    events: int


class Translator:
    """Turns event and fact rows of one plan into columns and records."""

    def __init__(self, plan: ProbePlan, executable: Executable, values: ValuePlans | None = None) -> None:
        self._executable = executable
        self._site_address = np.array([site.address for site in plan.sites], dtype=np.int64)
        self._site_role = np.array([int(site.role) for site in plan.sites], dtype=np.uint8)
        self._starts_call = (self._site_role == Role.ENTRY) | (self._site_role == Role.POINT)
        self.fault_sites = FaultSites(plan, executable)
        self.call_sites = CallSiteTable(executable)
        self.function_values = FunctionValues(values, executable, len(plan.sites))
        self.selfcheck = SelfCheck(self._site_address, executable)
        self.calls = 0
        self.events = 0

    def columns(self, rows: Rows) -> EventColumns:
        """Return the columns of event rows, in their order.

        New call sites wait in `call_sites`, new sites in `fault_sites`.
        """
        site = rows["site"].astype(np.uint32)
        flags = rows["depth"] & np.uint32(STACK_MASK)
        tid = rows["tid"].astype(np.uint32)
        own = flags == 0
        stack = np.where(own, 0, tid.astype(np.uint64) << np.uint64(2) | flags)
        starts = self._starts_call[site]
        caller = np.zeros(len(rows), dtype=np.uint32)
        delta = rows["caller_delta"][starts].astype(np.int64)
        address = np.where(delta == NO_CALLER, -1, self._site_address[site[starts]] + delta)
        caller[starts] = self.call_sites.ids(address)
        self._count(site)
        faults = np.flatnonzero(self._site_role[site] == Role.FAULT)
        if len(faults):
            address = self._site_address[site[faults]] + rows["caller_delta"][faults]
            site[faults] = self.fault_sites.ids(address)
        return EventColumns(
            time_ns=rows["time_ns"].astype(np.int64),
            pid=rows["pid"].astype(np.uint32),
            goid=rows["goid"].astype(np.uint64),
            stack=stack.astype(np.uint64),
            tid=tid,
            site=site,
            depth=rows["depth"] & np.uint32(0xFFFFFFF8),
            caller=caller,
        )

    def _count(self, site: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> None:
        by_role = np.bincount(self._site_role[site], minlength=len(Role) + 1)
        self.calls += int(by_role[Role.ENTRY] + by_role[Role.POINT])
        self.events += int(by_role[Role.ENTRY] + by_role[Role.EXIT] + 2 * by_role[Role.POINT])

    def goroutines(self, facts: Rows, wanted: Callable[[int], bool]) -> list[GoroutineRecord]:
        """Return the records of goroutine facts whose pid is wanted."""
        rows = facts[[wanted(int(pid)) for pid in facts["pid"]]] if len(facts) else facts
        bias = rows["ip"].astype(np.int64) - self._site_address[rows["site"]]
        created = rows["gopc"].astype(np.int64)
        created_at = np.zeros(len(rows), dtype=np.uint32)
        by_statement = created != 0
        created_at[by_statement] = self.call_sites.ids((created - bias)[by_statement])
        return [
            GoroutineRecord(
                pid=int(row["pid"]),
                goid=int(row["goid"]),
                parent=int(row["parent"]),
                created_at=int(created_at[index]),
                entry=self._name(int(row["startpc"]) - int(bias[index])),
                first_ns=int(row["time_ns"]),
            )
            for index, row in enumerate(rows)
        ]

    def _name(self, address: int) -> str:
        function = self._executable.function_at(address)
        return function.name if function is not None else ""

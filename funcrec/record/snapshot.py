"""Target and plan to the tables of the trace: what report must know without the binary."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.plan.sites import ProbePlan, SiteKind
from funcrec.plan.values import ValuePlans
from funcrec.target.executable import Executable
from funcrec.trace.records import CallSite, FunctionRecord, SiteRecord, SkippedRecord, SnapshotDelta


def plan_snapshot(plan: ProbePlan, values: ValuePlans | None = None) -> SnapshotDelta:
    """Functions, sites, skipped functions and values of a plan, in its order: its numbers are the trace's ids."""
    return SnapshotDelta(
        functions=[
            FunctionRecord(
                name=function.name,
                address=function.address,
                file=function.file,
                line=function.line,
                root=function.root,
                hidden=function.hidden,
                inlined_into=function.inlined_into,
            )
            for function in plan.functions
        ],
        sites=[
            SiteRecord(
                function=site.function,
                address=site.address,
                role=int(site.role),
                stepped=site.kind == SiteKind.STEPPED,
                edge=int(site.edge),
                condition=site.condition,
                sp_delta=site.sp_delta,
                chained=site.kind == SiteKind.CHAINED,
            )
            for site in plan.sites
        ],
        skipped=[SkippedRecord(skipped.name, skipped.reason) for skipped in plan.skipped],
        types=values.types if values is not None else [],
        plans=list(values.rows) if values is not None else [],
    )


def target_facts(executable: Executable, shown: str) -> dict[str, Any]:
    """What the header says of the executable; shown: the path that people know it by."""
    return {
        "path": os.path.abspath(shown),
        "size": os.stat(executable.path).st_size,
        "architecture": executable.architecture,
        "go_version": executable.go_version,
        "go_build_id": executable.go_build_id,
        "gnu_build_id": executable.gnu_build_id,
        "main_module": executable.main_module,
        "settings": executable.settings,
    }


class CallSiteTable:
    """Return addresses to call site ids, resolved once each."""

    def __init__(self, executable: Executable) -> None:
        self._executable = executable
        self._addresses = np.empty(0, dtype=np.int64)  # ascending, as linked
        self._ids = np.empty(0, dtype=np.uint32)
        self._fresh: list[CallSite] = []

    def ids(self, addresses: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return call site id + 1 for each linked return address (u32, same length)."""
        if len(addresses) == 0:
            return np.empty(0, dtype=np.uint32)
        at = np.searchsorted(self._addresses, addresses)
        if len(self._addresses):
            known = self._addresses[np.minimum(at, len(self._addresses) - 1)] == addresses
        else:
            known = np.zeros(len(addresses), dtype=bool)
        if not known.all():
            self._learn(np.unique(addresses[~known]))
            at = np.searchsorted(self._addresses, addresses)
        return self._ids[at]

    def _learn(self, addresses: NDArray[np.int64]) -> None:
        for address in addresses.tolist():
            self._fresh.append(self._resolve(address))
        first = len(self._ids) + 1
        merged = np.concatenate([self._addresses, addresses])
        ids = np.concatenate([self._ids, np.arange(first, first + len(addresses), dtype=np.uint32)])
        order = np.argsort(merged)
        self._addresses, self._ids = merged[order], ids[order]

    def _resolve(self, address: int) -> CallSite:
        if address < 0:
            return CallSite(0, "", 0, "", 0)
        return CallSite(address, *self._executable.describe(address))

    def take_fresh(self) -> list[CallSite]:
        """Return the call sites learnt since the last call, in order of their ids."""
        fresh, self._fresh = self._fresh, []
        return fresh

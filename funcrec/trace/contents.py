"""The small records of a trace, put together: everything but events and captures."""

from typing import Any

from funcrec.trace import bodies
from funcrec.trace.budgets import ObjectBudget
from funcrec.trace.framing import BadRecordError
from funcrec.trace.limits import MAX_GOROUTINES, MAX_ROWS
from funcrec.trace.records import (
    ClockReading,
    Closing,
    GoroutineRecord,
    LostRecord,
    NoteRecord,
    ProcessRecord,
    RecordType,
)
from funcrec.trace.tables import SnapshotTables

_ROWS_OF_OBJECTS = frozenset({RecordType.LOST, RecordType.CLOCK, RecordType.PROCESSES, RecordType.NOTE})


class Contents:
    """What the records read so far say.

    Args:
        budget: of rows.

    Attributes:
        tables: functions, sites and the rest of the snapshot.
        lost, clocks, notes: in file order.
        processes, goroutines: by (pid, start) and (pid, goid); later ones have replaced earlier ones.
        closing: None until the index record was read.
    """

    def __init__(self, budget: ObjectBudget) -> None:
        self._budget = budget
        self.tables = SnapshotTables(budget)
        self.lost: list[LostRecord] = []
        self.clocks: list[ClockReading] = []
        self.notes: list[NoteRecord] = []
        self.processes: dict[tuple[int, int], ProcessRecord] = {}
        self.goroutines: dict[tuple[int, int], GoroutineRecord] = {}
        self.closing: Closing | None = None

    def add(self, kind: RecordType, fields: dict[str, Any], count: int) -> None:
        """Take in a record of `count` rows.

        Raises:
            BadRecordError: its content is not as it must be; nothing of it was taken in.
        """
        if kind in _ROWS_OF_OBJECTS:
            self._budget.take(count)
        match kind:
            case RecordType.SNAPSHOT:
                self.tables.add(fields, count)
            case RecordType.LOST:
                self.lost += _bounded(self.lost, bodies.decode_lost(fields, count, self.tables.sites))
            case RecordType.CLOCK | RecordType.NOTE if count != 1:
                raise BadRecordError(f"it has 1 row instead of {count}")
            case RecordType.CLOCK:
                self.clocks += _bounded(self.clocks, [bodies.decode_clock(fields)])
            case RecordType.PROCESSES:
                for process in _bounded(self.processes, bodies.decode_processes(fields, count)):
                    self.processes[process.pid, process.start_ns] = process
            case RecordType.GOROUTINES:
                found = bodies.decode_goroutines(fields, count, len(self.tables.call_sites))
                for goroutine in _bounded(self.goroutines, found, MAX_GOROUTINES):
                    self.goroutines[goroutine.pid, goroutine.goid] = goroutine
            case RecordType.NOTE:
                self.notes += _bounded(self.notes, [bodies.decode_note(fields, len(self.tables.functions))])
            case RecordType.INDEX:
                self.closing = bodies.decode_closing(fields.get("closing"), self.tables.sites)
            case _:
                raise BadRecordError("it is in the wrong place")


def _bounded(known: Any, more: list[Any], limit: int = MAX_ROWS) -> list[Any]:
    if len(known) + len(more) > limit:
        raise BadRecordError(f"it goes beyond {limit} rows of its kind")
    return more

"""The trace, or one trace after the other: each is complete, with all that is known by then, and read by itself.

What began in one file and ends in the next is open in the first, and its end is passed over in the second.
"""

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from funcrec.errors import FuncrecError
from funcrec.record.clocks import read_clocks
from funcrec.record.output import OutputFile, create_output
from funcrec.trace.records import (
    ClockReading,
    Closing,
    EventColumns,
    GoroutineRecord,
    Header,
    LostRecord,
    NoteRecord,
    ProcessRecord,
    SnapshotDelta,
    ValueColumns,
)
from funcrec.trace.writer import TraceWriter

_GOROUTINES = 65_536  # facts kept for the next file; the latest ones


class TraceSeries:
    """Writes like a TraceWriter, and can go on in another file.

    Args:
        path: of the file that is being written; earlier ones become PATH.1, PATH.2 and so on, the latest first.
        header: makes the header from the clocks at which the file begins.
        files: how many are kept, the current one included.
    """

    def __init__(self, path: Path, header: Callable[[ClockReading], Header], files: int = 1) -> None:
        self._path = path
        self._header = header
        self._files = files
        self._tables = SnapshotDelta()
        self._processes: dict[tuple[int, int], ProcessRecord] = {}
        self._goroutines: dict[tuple[int, int], GoroutineRecord] = {}
        self._notes: list[NoteRecord] = []
        self._lost = self._lost_values = 0
        self._before = Closing(read_clocks(), 0, 0)
        self._marks = (self._before.clock, self._before.clock)
        self._file, self._writer = self._open(self._before.clock)

    def _open(self, clock: ClockReading) -> tuple[OutputFile, TraceWriter]:
        file = create_output(self._path)
        return file, TraceWriter(file, self._header(clock))

    @property
    def bytes_written(self) -> int:
        """Length of the current file."""
        return self._writer.bytes_written

    def snapshot(self, delta: SnapshotDelta) -> None:
        """See `TraceWriter.snapshot`."""
        for each in fields(SnapshotDelta) if self._files > 1 else ():
            getattr(self._tables, each.name).extend(getattr(delta, each.name))
        self._writer.snapshot(delta)

    def events(self, events: EventColumns, values: ValueColumns | None = None) -> None:
        """See `TraceWriter.events`."""
        self._writer.events(events, values)

    def lost(self, losses: list[LostRecord]) -> None:
        """See `TraceWriter.lost`."""
        self._lost += sum(loss.count for loss in losses if loss.kind == "events")
        self._lost_values += sum(loss.count for loss in losses if loss.kind == "values")
        self._writer.lost(losses)

    def processes(self, processes: list[ProcessRecord]) -> None:
        """See `TraceWriter.processes`."""
        for process in processes:
            if process.end_ns < 0:
                self._processes[process.pid, process.start_ns] = process
            else:
                self._processes.pop((process.pid, process.start_ns), None)
        self._writer.processes(processes)

    def goroutines(self, goroutines: list[GoroutineRecord]) -> None:
        """See `TraceWriter.goroutines`."""
        if self._files > 1:
            self._goroutines |= {(each.pid, each.goid): each for each in goroutines}
            for key in list(self._goroutines)[: max(len(self._goroutines) - _GOROUTINES, 0)]:
                del self._goroutines[key]
        self._writer.goroutines(goroutines)

    def note(self, note: NoteRecord) -> None:
        """See `TraceWriter.note`."""
        self._notes += [note] if note.functions else []
        self._writer.note(note)

    def clock(self, reading: ClockReading) -> None:
        """See `TraceWriter.clock`."""
        self._writer.clock(reading)

    def mark(self) -> None:
        """Remember the time: call it every second. A file begins before all events that are still to be drained."""
        self._marks = (self._marks[1], read_clocks())

    def proceed(self, totals: Closing) -> None:
        """Close this file and go on in another one.

        Args:
            totals: counts of the whole recording so far; its losses are not looked at.

        Raises:
            FuncrecError: the files cannot be renamed, or the next one not be made.
        """
        self.close(replace(totals, lost_events=self._lost, lost_values=self._lost_values))
        self._before = replace(totals, lost_events=self._lost, lost_values=self._lost_values)
        self._shift()
        clock = self._marks[0]
        self._file, self._writer = self._open(clock)
        self._writer.snapshot(self._tables)
        self._writer.processes(list(self._processes.values()))
        self._writer.goroutines(list(self._goroutines.values()))
        for note in self._notes:
            self._writer.note(replace(note, time_ns=max(note.time_ns, clock.monotonic_ns)))

    def _shift(self) -> None:
        numbered = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._files))]
        try:
            for older, newer in reversed(list(zip(numbered[1:], numbered[:-1], strict=True))):
                if newer.exists():
                    os.replace(newer, older)
        except OSError as error:
            raise FuncrecError(
                f"cannot rename {self._path}: {error.strerror}", remedy="record into a folder that you can write to"
            ) from error

    def close(self, totals: Closing) -> None:
        """Close the file with what is its own of the totals."""
        before = self._before
        hits = {site: count - before.site_hits.get(site, 0) for site, count in totals.site_hits.items()}
        self._writer.close(
            replace(
                totals,
                events=totals.events - before.events,
                lost_events=totals.lost_events - before.lost_events,
                lost_values=totals.lost_values - before.lost_values,
                site_hits={site: count for site, count in hits.items() if count > 0},
            )
        )
        self._file.close()

    def abandon(self) -> None:
        """Leave the file as it is: complete up to here; safe after `close`."""
        self._file.close()

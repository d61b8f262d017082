"""Recording: what is in a trace file."""

import os
from functools import cached_property
from typing import Any, BinaryIO, Protocol, Self

from funcrec.report.text import printable
from funcrec.trace.records import (
    CallSite,
    ClockReading,
    Closing,
    EventColumns,
    FunctionRecord,
    GoroutineRecord,
    Header,
    LostRecord,
    NoteRecord,
    ProcessRecord,
    SiteRecord,
    SkippedRecord,
)


class BlockFacts(Protocol):
    """What is known of a block of events without decoding it."""

    @property
    def n(self) -> int:
        """Number of events."""
        ...

    @property
    def first_event(self) -> int:
        """Number of its first event, counted over the file."""
        ...

    @property
    def t_min(self) -> int:
        """Earliest time, monotonic ns."""
        ...

    @property
    def t_max(self) -> int:
        """Latest time, monotonic ns."""
        ...


class Source(Protocol):
    """What a Recording needs of a reader (`funcrec.trace.reader.TraceReader` is one); tests give their own."""

    header: Header
    functions: list[FunctionRecord]
    sites: list[SiteRecord]
    call_sites: list[CallSite]
    skipped: list[SkippedRecord]
    types: list[dict[str, Any]]
    plans: list[dict[str, Any]]
    processes: list[ProcessRecord]
    goroutines: list[GoroutineRecord]
    lost: list[LostRecord]
    clocks: list[ClockReading]
    notes: list[NoteRecord]
    closing: Closing | None

    @property
    def damage(self) -> str | None:
        """What is wrong with the file, one line; None when nothing is."""
        ...

    @property
    def blocks(self) -> Any:
        """Sequence of `BlockFacts` in file order."""
        ...

    def events(self, number: int, /) -> EventColumns:
        """Events of one block in stored order."""
        ...


class Recording:
    """A trace file opened for reading.

    Args:
        path: the trace file, or an open binary file.
        reader: used instead of opening `path`.

    Raises:
        TraceError: not a trace, or nothing in it can be read.
    """

    def __init__(self, path: str | os.PathLike[str] | BinaryIO, reader: Source | None = None) -> None:
        if reader is None:
            from funcrec.trace.reader import TraceReader

            reader = TraceReader(path)
        self.path = os.fspath(path) if isinstance(path, str | os.PathLike) else getattr(path, "name", "-")
        self.reader: Any = reader
        self.header: Header = reader.header
        self.functions: list[FunctionRecord] = reader.functions
        self.sites: list[SiteRecord] = reader.sites
        self.call_sites: list[CallSite] = reader.call_sites
        self.skipped: list[SkippedRecord] = reader.skipped
        self.processes: list[ProcessRecord] = reader.processes
        self.goroutines: list[GoroutineRecord] = reader.goroutines
        self.lost: list[LostRecord] = reader.lost
        self.notes: list[NoteRecord] = reader.notes
        self.closing: Closing | None = reader.closing

    def close(self) -> None:
        """Close the file; calls already made stay usable."""
        self.reader.close()

    def __repr__(self) -> str:
        functions = sum(not function.hidden for function in self.functions)
        return f"<Trace {printable(str(self.path))}: {functions} functions, lost: {self.lost_events}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def damage(self) -> str | None:
        """What is wrong with the file, one line; None when nothing is (known so far)."""
        damage: str | None = self.reader.damage
        return damage

    @property
    def passed_over(self) -> list[str]:
        """One line for each kind of record that a later version has written and this one does not know."""
        return list(getattr(self.reader, "passed_over", ()))

    @property
    def start_ns(self) -> int:
        """First clock reading, monotonic ns: where the times of every view and export count from."""
        return self.header.clock.monotonic_ns

    @cached_property
    def end_ns(self) -> int:
        """Last time known in the trace, monotonic ns."""
        times = [self.start_ns]
        times += [block.t_max for block in self.reader.blocks]
        times += [clock.monotonic_ns for clock in self.reader.clocks]
        times += [record.last_ns for record in self.lost]
        if self.closing is not None:
            times.append(self.closing.clock.monotonic_ns)
        return max(times)

    @property
    def stored(self) -> int:
        """Number of events of any role in the file, as its blocks say."""
        return sum(block.n for block in self.reader.blocks)

    @property
    def lost_events(self) -> int:
        """Entries and exits that happened and are not in the trace."""
        return sum(record.lost for record in self.lost if record.kind == "events")

    @property
    def lost_values(self) -> int:
        """Captures of values that are not in the trace; their calls are."""
        return sum(record.count for record in self.lost if record.kind == "values")

    @property
    def shortcomings(self) -> list[str]:
        """What is known to be missing, a line each: damage, an end never written, lost events; [] when whole."""
        lines = []
        if self.damage is not None:
            lines.append(f"damaged, what is intact is shown: {self.damage}")
        elif self.closing is None:
            lines.append("not closed cleanly: the last second before the recorder was stopped may be missing")
        if self.lost_events:
            lines.append(f"{self.lost_events} events were lost while it was recorded")
        if self.passed_over:
            what = "; ".join(self.passed_over)
            lines.append(f"written by a later funcrec, and not all of it is understood here: {what}")
        return lines

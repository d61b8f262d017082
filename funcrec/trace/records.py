"""What a trace holds, as Python records: the shapes that `formats/trace.md` specifies byte by byte.

No bcc, no ELF: the writer gets these from `record`, the reader gives them to `report`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = 1  # a reader that does not know it cannot read the file
MINOR = 1  # additions that older readers pass over

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]


class RecordType(IntEnum):
    """Type byte of a record; numbers are never reused."""

    HEADER = 1
    SNAPSHOT = 2
    EVENTS = 3
    VALUES = 4
    LOST = 5
    CLOCK = 6
    PROCESSES = 7
    GOROUTINES = 8
    INDEX = 9
    NOTE = 10
    SPANS = 11


# Records whose bodies are binary columns; all others are small and rows of msgpack values.
LARGE = frozenset({RecordType.EVENTS, RecordType.VALUES, RecordType.INDEX, RecordType.SPANS})


class SiteRole(IntEnum):
    """What an event at a site means (same numbers as the probe plan's roles)."""

    ENTRY = 1
    EXIT = 2
    POINT = 3
    RECOVERY = 4
    GOEXIT = 5
    FATAL = 6
    START = 7
    FAULT = 8


# How many entries and exits an event of a site is, by the site's role; of others none.
EVENTS_OF_ROLE: Mapping[int, int] = MappingProxyType({SiteRole.ENTRY: 1, SiteRole.EXIT: 1, SiteRole.POINT: 2})


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The three clocks read together, in ns."""

    monotonic_ns: int
    boottime_ns: int
    realtime_ns: int


@dataclass(frozen=True, slots=True)
class Header:
    """First record. `features_required`: a reader that does not know one refuses the file.

    Attributes:
        tool: name and version of the writer.
        argv: the recording command line.
        clock: reading at start; `start_ns` in every export counts from its monotonic part.
        host: str -> str/int: hostname, kernel, machine, cpus, os.
        target: path, size, go_version, go_build_id, gnu_build_id, main_module, buildmode ... (str -> str/int).
        options: the options in force, for the reader's information.
        probe_cost_ns: measured cost of one hit by site kind (`emulated`, `stepped`), {} when not measured.
    """

    tool: str
    argv: list[str]
    clock: ClockReading
    host: dict[str, Any]
    target: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    probe_cost_ns: dict[str, float] = field(default_factory=dict)
    features_required: list[str] = field(default_factory=list)
    features_optional: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FunctionRecord:
    """A recorded function; `hidden` ones carry state events only and have no calls."""

    name: str
    address: int
    file: str
    line: int
    root: bool = False
    hidden: bool = False
    inlined_into: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """A probed address. `stepped` sites cost more, `chained` ones nothing: another site's hit tells their events."""

    function: int
    address: int
    role: int
    stepped: bool
    edge: int = 3
    condition: int = -1
    sp_delta: int = 0
    chained: bool = False


@dataclass(frozen=True, slots=True)
class CallSite:
    """Where a call came from: physical function, offset of the return address in it, innermost source line of the call.

    `name` is "" when the return address lies outside the binary.
    """

    address: int
    name: str
    offset: int
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A function that matched but has no probe, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class CodeRecord:
    """A function that some captured function value runs: its address as linked, and its name."""

    address: int
    name: str


@dataclass(frozen=True, slots=True)
class SnapshotDelta:
    """New rows for the snapshot tables; ids are positions in order of appearance over the whole file.

    types and plans belong to fetched values; their rows are defined in trace.md ("Values").
    """

    functions: list[FunctionRecord] = field(default_factory=list)
    sites: list[SiteRecord] = field(default_factory=list)
    call_sites: list[CallSite] = field(default_factory=list)
    skipped: list[SkippedRecord] = field(default_factory=list)
    types: list[dict[str, Any]] = field(default_factory=list)
    plans: list[dict[str, Any]] = field(default_factory=list)
    code: list[CodeRecord] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EventColumns:
    """n events as columns of equal length.

    stack is 0 on the goroutine's own stack, else tid << 2 | 1 (g0) or 2 (gsignal).
    depth is in bytes (stack.hi - SP at function entry), a multiple of 8.
    caller is a call site id + 1, or 0 where none was recorded (every role but ENTRY and POINT).
    """

    time_ns: I64
    pid: U32
    goid: U64
    stack: U64
    tid: U32
    site: U32
    depth: U32
    caller: U32

    def __len__(self) -> int:
        return len(self.time_ns)

    def take(self, at: NDArray[Any] | slice) -> "EventColumns":
        """Return some of the events, by position; of a slice, views."""
        return EventColumns(**{name: getattr(self, name)[at] for name in self.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class ValueColumns:
    """k captures: `event` is the position in the events of the same block, `data` holds the blobs end to end."""

    event: U32
    length: U32
    data: bytes

    def __len__(self) -> int:
        return len(self.event)


@dataclass(frozen=True, slots=True)
class LostRecord:
    """count events of one ring that found no room, between two monotonic times.

    kind is "events" or "values". by_site: site id -> at most how many of them were lost there (sites and places are
    counted apart, so the sum may be above count; when it is below, the sites of some are unknown).
    events: the entries and exits among them, exact over all records of a file; None: not told apart.
    damaged: the reader made this one because a part of the file cannot be read; such a record is never in a file.
    """

    ring: int
    first_ns: int
    last_ns: int
    count: int
    kind: str = "events"
    by_site: dict[int, int] = field(default_factory=dict)
    events: int | None = None
    damaged: bool = False

    @property
    def lost(self) -> int:
        """Entries and exits, or captures, that are not in the trace."""
        return self.count if self.events is None else self.events


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """One EVENTS record, known without decoding it.

    Attributes:
        number: position in `TraceReader.blocks`.
        offset: in the file, of the record's prefix.
        n: events; 0 once it has turned out to be damaged.
        first_event: number of its first event among those that can be read.
        t_min, t_max: monotonic ns of its first and last event; blocks may overlap in time.
        goid_min, goid_max: which goroutines are in it, as far as it is known (else 0 and 2**64 - 1).
        values: captures that belong to its events.
    """

    number: int
    offset: int
    n: int
    first_event: int
    t_min: int
    t_max: int
    goid_min: int
    goid_max: int
    values: int


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A traced process. Times are monotonic ns; end_ns -1 while it lives, exit_status -1 when unknown."""

    pid: int
    start_ns: int
    end_ns: int = -1
    exit_status: int = -1
    parent_pid: int = 0
    exe: str = ""
    command: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GoroutineRecord:
    """A goroutine: created_at is a call site id + 1 (the go statement; 0 unknown), entry the function it runs.

    first_ns: when it was first seen; parent 0 when unknown (Go before 1.21, or the runtime's own).
    """

    pid: int
    goid: int
    parent: int
    created_at: int
    entry: str
    first_ns: int


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """Something worth telling at its time: `what` is a short word ("guard", "replaced" ...), text one line.

    functions: ids of those whose events end at this time while the recording goes on; their open calls end `open`.
    """

    time_ns: int
    what: str
    text: str
    functions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Closing:
    """What the writer knew at a clean stop; stored in the index record."""

    clock: ClockReading
    events: int
    lost_events: int
    lost_values: int = 0
    exit_status: int = -1
    reason: str = ""
    site_hits: dict[int, int] = field(default_factory=dict)

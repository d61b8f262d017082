"""ProbePlan and ProbeSite: everything to attach, as plain data.

Knows nothing of BPF or of the running system; `funcrec.record` turns a plan into links, `funcrec list` prints it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag, StrEnum
from typing import TYPE_CHECKING, NamedTuple

from funcrec.lang.pattern import Pattern

if TYPE_CHECKING:  # commands name these types before anything heavy is loaded
    from funcrec.target.results import AtEdges, Reads

MAX_INLINED_NAMES = 10


class Role(IntEnum):
    """What a hit at a site means. The numbers are written into traces: never reuse one."""

    ENTRY = 1  # the call begins
    EXIT = 2  # the call returns
    POINT = 3  # both at once: a function without an emulated instruction before its only RET
    RECOVERY = 4  # a panic was recovered: frames deeper than the hit's depth are gone
    GOEXIT = 5  # the goroutine ends: every frame it still has is gone
    FATAL = 6  # the process dies of a panic of this goroutine
    START = 7  # a program image begins in this process: goroutines and frames known before belong to another one
    FAULT = 8  # an instruction faults: exits just told of frames that the hit's frame lies within are taken back


class ExitMode(StrEnum):
    """How the ends of calls are observed."""

    RET = "ret"  # at every RET
    AUTO = "auto"  # at the last emulated instruction before it, where that is proven exact


class Edge(IntFlag):
    """On which outcome of a conditional jump a hit counts; ALWAYS for every other instruction."""

    FALLTHROUGH = 1
    TAKEN = 2
    ALWAYS = 3


class SiteKind(StrEnum):
    """The instruction at the site, as far as its cost goes."""

    EMULATED = "emulated"  # the kernel emulates it: jcc, jmp, call, push, nop
    STEPPED = "stepped"  # single-stepped out of line: many times dearer on virtual machines
    CHAINED = "chained"  # no probe of its own: what another site's hit tells besides


class ProbeSite(NamedTuple):
    """One address to probe; a tuple, since there are hundreds of thousands.

    Attributes:
        function: index into `ProbePlan.functions`.
        address: virtual address as linked (before any load bias); of a chained exit the return address in its function
            at which a callee's exit ends it too, or that of the entry site before it, whose hit is both.
        offset: offset in the file, what the kernel takes.
        role: what a hit means.
        edge: for a conditional jump, the outcomes that count.
        condition: x86 condition code 0..15 of a conditional jump, -1 for other instructions.
        sp_delta: bytes to add to SP at the site to get SP at function entry (where it points at the return address).
        kind: emulated, stepped or chained.
        why: why this instruction was chosen, for `list -v`.
        arguments_intact: False at an entry or point where registers of arguments may have changed since the entry.
        spare: not armed at first: a RET that takes over when the cheap exits of its function turn out to be dear.
        yields: given up when the spare RETs of its function take over.
    """

    function: int
    address: int
    offset: int
    role: Role
    edge: Edge = Edge.ALWAYS
    condition: int = -1
    sp_delta: int = 0
    kind: SiteKind = SiteKind.STEPPED
    why: str = ""
    arguments_intact: bool = True
    spare: bool = False
    yields: bool = False


@dataclass(frozen=True, slots=True)
class PlannedFunction:
    """A function to be recorded.

    Attributes:
        name: full symbol name for display, `%2e` unescaped.
        address: entry address as linked.
        file, line: where it is declared ("" and 0 when unknown).
        root: True when it opens a gate (ROOT): only what runs inside such a call is recorded.
        pattern: index of the first -u pattern that selected it, -1 for roots and runtime helpers.
        inlined_into: names of callers that have an inlined copy, so that counts are partial (empty when none); the
            first `MAX_INLINED_NAMES` of `inlined_count`.
        hidden: probed only for the truth of states (runtime.recovery, goexit1, fatalpanic): no calls of its own.
        inlined_count: how many functions have an inlined copy.
        index: its number in `Executable.functions`.
        patterns: indexes of all -u patterns that name it: values may have been asked for in any of them.
        roots: indexes of all ROOT patterns that name it.
        ends_callers: some caller does nothing but return after a call of it, and its exit is seen here.
        ended_by: entry addresses of callees whose exits are this function's own, in some places: such exits are seen
            only as long as those functions are probed.
    """

    name: str
    address: int
    file: str = ""
    line: int = 0
    root: bool = False
    pattern: int = -1
    inlined_into: tuple[str, ...] = ()
    hidden: bool = False
    inlined_count: int = 0
    index: int = -1
    patterns: tuple[int, ...] = ()
    roots: tuple[int, ...] = ()
    ends_callers: bool = False
    ended_by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """What a condition on calls (--if) wants of a function's sites.

    Attributes:
        reason: why no call of it can meet the condition, so that it needs no probes; "" when one can.
        arguments: registers of arguments must be as at entry at the entry site.
        results: the results must be known at the exit sites.
        reads: which; None: any.
    """

    reason: str = ""
    arguments: bool = False
    results: bool = False
    reads: "Reads | None" = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A matched function that is not probed, and the reason a user can understand."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """Everything that `record` attaches for one binary.

    Attributes:
        binary: path of the executable that was read.
        functions, sites: index spaces referred to by number in the trace; at most 2**24 sites.
        skipped: matched functions without a probe.
        notes: lines for the user (inlined away, partly inlined ...).
        patterns: the parsed -u patterns, in the order given; `PlannedFunction.patterns` are positions here.
        root_patterns: the parsed ROOT patterns.
        results: address of an exit site -> steps from the registers there to those at the RET.
    """

    binary: str
    functions: tuple[PlannedFunction, ...]
    sites: tuple[ProbeSite, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    root_patterns: tuple[Pattern, ...] = ()
    results: "Mapping[int, AtEdges]" = field(default_factory=dict)

    @property
    def rooted(self) -> bool:
        """True when only what runs inside a ROOT is recorded."""
        return any(function.root for function in self.functions)

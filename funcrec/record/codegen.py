"""ProbePlan and target layout to C text and compiler flags: pure, no kernel.

The fixed sources are in `bpf/`; only what depends on the machine (one ring per CPU) or on the plan is generated.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from funcrec.plan.conditiontree import Lowered
from funcrec.plan.programs import ValueLimits
from funcrec.record.compile import Program
from funcrec.record.conditioncode import condition_code
from funcrec.record.conditionmaps import condition_macros
from funcrec.record.machine import Machine, machine
from funcrec.record.pidspace import PidSpace
from funcrec.record.places import PLACES, ImageFacts
from funcrec.record.valuemaps import value_macros
from funcrec.resources import data_path
from funcrec.target.results import MAX_ROWS
from funcrec.target.runtime_layout import RuntimeLayout

PAGE_BYTES = 4096  # BCC's PAGE_SIZE in bpf/stubs/include/asm/page.h
FACT_PAGES = 256
MAX_RINGS = 1024
DEFERRED_FRAMES = 262_144  # open frames at one time; beyond it calls are kept whatever they last

# Programs that read the target's memory, the best first. Sleeping ones can bring in pages. Verifiers that count rounds
# follow fewer steps of a capture: what is left unread then is marked.
VARIANTS = (
    {"SLEEPABLE": 1, "MAY_GOTO": 1},
    {"SLEEPABLE": 1, "MAY_GOTO": 0},
    {"SLEEPABLE": 1, "MAY_GOTO": 0, "VALUE_STEPS": 32},
    {"SLEEPABLE": 0, "MAY_GOTO": 1},
    {"SLEEPABLE": 0, "MAY_GOTO": 0},
    {"SLEEPABLE": 0, "MAY_GOTO": 0, "VALUE_STEPS": 32},
)


class PidFilter(IntEnum):
    """Which processes of the binary are recorded."""

    NONE = 0
    LISTED = 1
    ALL_BUT_LISTED = 2


@dataclass(frozen=True, slots=True)
class ProgramRequest:
    """What the text depends on.

    Attributes:
        layout: offsets in the target's runtime structures.
        rings: number of event rings, one per CPU.
        event_slots: room of each, in events; a power of two.
        sites: number of sites, those for calibration included.
        pid_filter: see PidFilter.
        gated: record only what runs inside a ROOT.
        min_ns: drop calls that last shorter; 0: none.
        values: what may be captured, None when nothing is.
        chained: some hits tell the exits of several frames.
        condition: that calls are tested against.
        entry_only: no exits are probed.
        multi: load for uprobe_multi links.
        machine: to run on.
        pid_space: by whose numbers processes are known; None: by those of the outermost namespace.
        image: how to find the cookie of a hit by its place; None: links hand it over.
    """

    layout: RuntimeLayout
    rings: int
    event_slots: int
    sites: int
    pid_filter: PidFilter
    gated: bool
    min_ns: int = 0
    values: ValueLimits | None = None
    chained: bool = False
    condition: Lowered | None = None
    entry_only: bool = False
    multi: bool = True
    machine: Machine = field(default_factory=machine)
    pid_space: PidSpace | None = None
    image: ImageFacts | None = None


def generate(request: ProgramRequest) -> Program:
    """Return the program for a request; equal requests give equal text."""
    text = "\n".join(
        [
            "#include <uapi/linux/ptrace.h>",
            "#include <linux/types.h>",
            _source("reads.h"),
            _source(request.machine.source),
            _source("events.h"),
            _source("goroutine.h"),
            *([_source("place.h")] if request.image else []),
            _source("rings.h"),
            _source("guard.h"),
            _source("send.h"),
            *([_source("gate.h")] if request.gated else []),
            *([_source("hit.h"), _source("results.h")] if request.values or request.condition else []),
            *([_source("values.h")] if request.values else []),
            *([_source("frames.h")] if request.min_ns or request.condition else []),
            *(_condition(request.condition) if request.condition else []),
            *([_source("deferred.h")] if request.min_ns else []),
            *([_source("chain.h")] if request.chained else []),
            _source("calls.c"),
        ]
    )
    maps = ["shared", "site_lost", "let_go", "moves", "idle_hits", "vain_hits"]
    maps += ["goroutines", "facts", "event_slots"]
    if request.pid_filter:
        maps.append("pids")
    if request.min_ns:
        maps.append("deferred")
    if request.values:
        maps += ["value_sites", "value_programs", "value_refs", "value_types", "value_rings", "value_scratches"]
    if request.condition:
        maps += ["condition_sites", "condition_loads", "condition_frames", "condition_stacks", "condition_scratches"]
    if request.chained:
        maps += ["chains", "chain_origins"]
    if request.values or request.condition:
        maps += ["result_sites", "result_steps"]
    if request.image:
        maps.append("places")
    reads_memory = request.values is not None or request.condition is not None
    return Program(
        text=text,
        flags=_flags(request),
        programs=("hit",),
        maps=tuple(maps),
        multi=request.multi,
        variants=VARIANTS if reads_memory else ({},),
    )


def _source(name: str) -> str:
    return (data_path("bpf") / name).read_text()


def _condition(lowered: Lowered) -> list[str]:
    return [_source("condition.h"), condition_code(lowered), _source("admission.h")]


def _flags(request: ProgramRequest) -> tuple[str, ...]:
    layout = request.layout
    values = {
        "G_GOID": layout.goid,
        "G_M": layout.m,
        "G_GOPC": layout.gopc,
        "G_STARTPC": layout.startpc,
        "M_G0": layout.g0,
        "M_GSIGNAL": layout.gsignal,
        "M_CURG": layout.curg,
        "RINGS": request.rings,
        "EVENT_SLOTS": request.event_slots,
        "SITES": request.sites,
        "FACT_PAGES": FACT_PAGES,
        "PID_FILTER": int(request.pid_filter),
        "GATED": int(request.gated),
        "DEFERRED": int(request.min_ns > 0),
        "DEFERRED_FRAMES": DEFERRED_FRAMES,
        "MIN_NS": request.min_ns,
        "VALUES": int(request.values is not None),
        "BY_PLACE": int(request.image is not None),
        "CHAINED": int(request.chained),
        "CONDITION": int(request.condition is not None),
    }
    if request.condition is not None:
        values |= condition_macros(request.condition, exits=not request.entry_only)
    if request.values is not None or request.condition is not None:
        values["RESULT_ROWS"] = MAX_ROWS
    if request.values is not None:
        values |= value_macros(request.values)
    if request.image is not None:
        values |= {"PLACES": PLACES}
        if request.image.bias is None:
            values["GOEXIT_OFFSET"] = request.image.goexit
        else:
            values["IMAGE_BIAS"] = request.image.bias
    if request.pid_space is not None:
        values |= {"PID_NS_DEVICE": request.pid_space.device, "PID_NS_INODE": request.pid_space.inode}
    if layout.parent_goid is not None:
        values["G_PARENT"] = layout.parent_goid
    return tuple(f"-D{name}={value}" for name, value in values.items())

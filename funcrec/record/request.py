"""What is asked of a recording."""

from dataclasses import dataclass, field
from pathlib import Path

from funcrec.plan.builder import DEFAULT_MAX_PROBES
from funcrec.plan.programs import ValueLimits
from funcrec.plan.sites import ExitMode


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a recording ends by itself; None: nowhere.

    files: above 1 it goes on in another file when one has max_bytes, and so many are kept.
    """

    duration_ns: int | None
    max_bytes: int | None
    files: int = 1


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """Everything that a recording depends on.

    Attributes:
        binary: path of the executable.
        patterns, roots: as typed, see `funcrec.lang.pattern`.
        debug_file: that has its debug information; None: found by build id.
        output: trace file.
        processes: only these, by pid, name, systemd unit or container id; empty: every process of the binary.
        launch: the program's own arguments when it is to be started; None: it is not.
        keep_user: start it as the current user even under sudo.
        limits: where the recording ends by itself.
        buffer_bytes: for all event rings together.
        max_probes: refuse larger plans.
        entry_only: leave exits unprobed.
        min_ns: drop calls that last shorter, in the kernel; 0: keep all.
        arguments, results: of every function whose pattern names none.
        values: False: capture no values at all.
        value_limits: caps on what is read.
        redact: names of values that are not to be read.
        condition: record only calls that meet it; "": all.
        exits: how the ends of calls are observed.
        max_overhead: cost of all probes, in percent of one CPU, above which functions are let go; None: no limit.
        verbose: name every function that is probed; say how the buffers were emptied.
        quiet: no progress, no closing line.
        argv: the command line, for the header.
    """

    binary: str
    patterns: list[str]
    roots: list[str] = field(default_factory=list)
    match: str = "glob"
    debug_file: str | None = None
    exclude_vendor: bool = True
    output: Path = Path("trace.zst")
    processes: list[str] = field(default_factory=list)
    launch: list[str] | None = None
    keep_user: bool = False
    limits: Limits = field(default_factory=lambda: Limits(None, None))
    buffer_bytes: int = 64 << 20
    max_probes: int = DEFAULT_MAX_PROBES
    entry_only: bool = False
    min_ns: int = 0
    arguments: bool = False
    results: bool = False
    values: bool = True
    value_limits: ValueLimits = field(default_factory=ValueLimits)
    redact: list[str] = field(default_factory=list)
    condition: str = ""
    exits: ExitMode = ExitMode.AUTO
    max_overhead: float | None = None
    quiet: bool = False
    verbose: bool = False
    argv: list[str] = field(default_factory=list)

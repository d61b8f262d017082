"""Places in the runtime that tell how calls end which never return: recovered panics, Goexit, death by panic, exec.

Source: Go 1.18-1.27 `runtime/panic.go` and `runtime/proc.go`; 1.21-1.27 checked in machine code.
"""

from dataclasses import dataclass

from funcrec.plan.sites import Role
from funcrec.target.architecture import SiteReader
from funcrec.target.executable import Executable, Function
from funcrec.target.text import CodeSite


@dataclass(frozen=True, slots=True)
class Helper:
    """A runtime function that is probed for the truth of states; its sites carry `role`."""

    function: Function
    role: Role
    sites: tuple[CodeSite, ...]


def runtime_helpers(executable: Executable, reader: SiteReader) -> tuple[tuple[Helper, ...], tuple[str, ...]]:
    """The helpers of an executable, and lines about those that are missing.

    - recovery: where runtime.recovery, on the system stack, calls gogo to resume the recovering function. At that
      moment m.curg.sched.sp is the SP with which it resumes.
    - goexit1: entered when a goroutine's function returned or Goexit ran its deferred calls, g still the goroutine's.
    - fatalpanic: entered when nobody recovers.
    - main: entered once by every program image, before any package initialiser.
    - sigpanic: entered as if the faulting instruction had called it.
    """
    helpers = []
    notes = []
    for name, role, lost in (
        ("runtime.recovery", Role.RECOVERY, "calls that end in a recovered panic"),
        ("runtime.goexit1", Role.GOEXIT, "calls that end in Goexit"),
        ("runtime.fatalpanic", Role.FATAL, "calls that die of a panic"),
        ("runtime.main", Role.START, "calls before a process executes itself anew"),
        ("runtime.sigpanic", Role.FAULT, ""),
    ):
        function = _body(executable, name)
        sites: tuple[CodeSite, ...] = ()
        if function is not None:
            sites = _resumptions(executable, reader, function) if role == Role.RECOVERY else _entry(reader, function)
        if function is None or not sites:
            if lost:
                notes.append(f"{name} cannot be probed: {lost} are seen later than they happen")
            continue
        helpers.append(Helper(function, role, sites))
    return tuple(helpers), tuple(notes)


def _body(executable: Executable, name: str) -> Function | None:
    """The function of that name that is not a wrapper for the other ABI."""
    return next((function for function in executable.functions.named(name) if not function.wrapper), None)


def _entry(reader: SiteReader, function: Function) -> tuple[CodeSite, ...]:
    return tuple(site for site in reader.sites(function).sites if site.role != "exit")


def _resumptions(executable: Executable, reader: SiteReader, function: Function) -> tuple[CodeSite, ...]:
    gogo = {function.address for function in executable.functions.named("runtime.gogo")}
    return reader.calls_of(function, gogo)

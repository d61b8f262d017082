"""Whose events are recorded, and when the recording is over on their account."""

import os
import signal
from collections.abc import Callable, Sequence

from funcrec.record.codegen import PidFilter
from funcrec.record.launch import LaunchedProgram
from funcrec.record.processes import FileIdentity, descends_from, running


class Scope:
    """The processes of one recording.

    Without pids and program: every process that runs the file. With a program: it and what descends from it.

    Args:
        identity: of the traced file.
        pids: only these, when there are any.
        program: launched by us, or None.
    """

    def __init__(self, identity: FileIdentity, pids: Sequence[int], program: LaunchedProgram | None) -> None:
        self._identity = identity
        self._program = program
        self._known: dict[int, bool] = {}
        self._gone: set[int] = set()
        self.pids = list(pids)
        self.exit_status = -1
        self._signals = 0

    @property
    def pid_filter(self) -> PidFilter:
        """How the kernel must filter."""
        if self.pids:
            return PidFilter.LISTED
        return PidFilter.NONE if self._program is None else PidFilter.ALL_BUT_LISTED

    def prepare(self, list_pid: Callable[[int], None]) -> list[int]:
        """Fill the kernel's list before probes are armed; returns the pids that run the file now."""
        here = running(self._identity)
        strangers = here if self._program is not None else []
        for pid in [*self.pids, *strangers]:
            list_pid(pid)
        for pid in strangers:
            self._known[pid] = False
        return here

    def admits(self, pid: int, list_pid: Callable[[int], None]) -> bool:
        """Whether the events of a process are recorded; strangers are also made known to the kernel."""
        known = self._known.get(pid)
        if known is None:
            known = self._program is None or descends_from(pid, self._program.pid) or descends_from(pid, os.getpid())
            self._known[pid] = known
            if not known:
                list_pid(pid)
        return known

    def forget(self, pid: int) -> None:
        """The process is gone: its number may be given to another one."""
        self._known.pop(pid, None)

    @property
    def strangers(self) -> list[int]:
        """Processes of the file that are not recorded, of those that still live or ended a moment ago."""
        return [pid for pid, admitted in self._known.items() if not admitted]

    def retire(self, unlist_pid: Callable[[int], None]) -> None:
        """Forget strangers that have ended: called every second, it takes two calls, until their last events are in."""
        gone = {pid for pid in self.strangers if not os.path.exists(f"/proc/{pid}")}
        for pid in gone & self._gone:
            unlist_pid(pid)
            self.forget(pid)
        self._gone = gone

    def over(self) -> str:
        """Why the recording is over as far as the processes go; "" while it is not."""
        if self._program is not None:
            status = self._program.poll()
            if status is not None:
                self.exit_status = status
                return "the program ended"
        elif self.pids and not any(os.path.exists(f"/proc/{pid}") for pid in self.pids):
            return "the traced processes ended"
        return ""

    def signalled(self, number: int, from_terminal: bool) -> str:
        """Answer a signal; returns the reason to end now, or "" to go on until the launched program has ended."""
        self._signals += 1
        if self._program is None or self._signals > 1:
            return f"ended by {signal.Signals(number).name}"
        # The terminal sends Ctrl-C to the whole foreground group: the program has it already.
        if not from_terminal:
            self._program.send(number)
        return ""

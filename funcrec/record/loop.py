"""The loop of a recording: batches from the drain into the trace until something ends it."""

import signal
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from funcrec.errors import TargetError
from funcrec.record.binary import WRITER, Binary
from funcrec.record.captures import CaptureStore
from funcrec.record.clocks import monotonic_ns, read_clocks
from funcrec.record.drain import Batch, Drain
from funcrec.record.live import Translator
from funcrec.record.processes import ProcessTable
from funcrec.record.progress import Progress
from funcrec.record.request import Limits
from funcrec.record.rings import Rows
from funcrec.record.scope import Scope
from funcrec.record.selfcheck import left_out
from funcrec.record.series import TraceSeries
from funcrec.record.watch import Watch
from funcrec.trace.records import Closing, NoteRecord, ProcessRecord, SnapshotDelta

if TYPE_CHECKING:
    from funcrec.record.probes import Probes

_CHUNK_EVENTS = 131_072
_FLUSH_S = 0.5  # a second is promised, also where the CPU is late by as much
_LOOK_S = 1.0
_GLANCE_S = 0.1  # a loop without calls, probed in vain, runs a thousand times slower than it should
_POLL_S = 0.01
_CLOCK_S = 10.0
ENDING_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
WAITED_SIGNALS = {*ENDING_SIGNALS, signal.SIGCHLD, WRITER}
_SI_KERNEL = 128  # include/uapi/asm-generic/siginfo.h: the terminal's Ctrl-C


def waited_signals() -> set[signal.Signals]:
    """What to block: not a hangup that nohup(1) has us ignore, since the kernel keeps blocked signals all the same."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return WAITED_SIGNALS - {signal.SIGHUP} if ignored else WAITED_SIGNALS


class Loop:
    """Moves events from the drain to the writer; owns neither.

    Attributes:
        refusal: what is wrong with all that was recorded; None: nothing that is known.

    `waited_signals` must be blocked: they are waited for here, between two batches.
    """

    def __init__(
        self,
        *,
        scope: Scope,
        probes: "Probes",
        translator: Translator,
        drain: Drain,
        writer: TraceSeries,
        progress: Progress,
        limits: Limits,
        watch: Watch,
        binary: Binary,
        waits: bool,
    ) -> None:
        self._scope = scope
        self._probes = probes
        self._translator = translator
        self._drain = drain
        self._writer = writer
        self._progress = progress
        self._limits = limits
        self._watch = watch
        self._binary = binary
        self._replaced = False
        self._selfcheck = translator.selfcheck
        self.refusal: TargetError | None = None
        self._early: list[NoteRecord] = []
        self._ending = ""  # why, once something here wants the recording to end
        self._processes = ProcessTable()
        self._captures = CaptureStore(waits=waits)
        self._pending: list[Batch] = []
        self._pending_events = 0
        self._flushed = self._looked = self._clocked = self._glanced = time.monotonic()

    def run(self) -> str:
        """Record until something ends it and return what did."""
        started = monotonic_ns()
        while True:
            reason = self._ending or self._scope.over() or self._limit(started) or self._wait()
            self._take()
            if reason:
                return reason

    def judge_arming(self) -> Sequence[int]:
        """Return sites that are not worth what the probes cost that are there so far; said, and noted by `begin`."""
        verdict = self._watch.judge_arming()
        if verdict is None:
            return ()
        self._progress.say(f"funcrec: {verdict.text}")
        self._early.append(NoteRecord(monotonic_ns(), "guard", verdict.text, verdict.functions))
        if verdict.stop:
            self._ending = "the guard ended it: the probes cost too much"
            return range(self._watch.sites)
        return verdict.sites

    def begin(self, snapshot: SnapshotDelta) -> None:
        """Write what events will refer to, and what was to be noted before."""
        self._writer.snapshot(snapshot)
        for note in self._early:
            self._writer.note(note)

    def finish(self, deferred: Rows) -> None:
        """Write what is left after the drain has stopped, and entries that waited in vain for an exit."""
        self._take()
        if len(deferred):
            self._pending.append(Batch(deferred[np.argsort(deferred["time_ns"])], self._drain.no_facts, []))
        self._flush()
        ended = self._processes.ended(monotonic_ns())
        if ended:
            self._writer.processes(ended)
        self._judge(final=True)
        text = left_out(self._drain.no_goroutine)
        if text:
            self._writer.note(NoteRecord(monotonic_ns(), "no goroutine", text))
            self._progress.say(f"funcrec: {text}")

    def _limit(self, started: int) -> str:
        duration, size = self._limits.duration_ns, self._limits.max_bytes
        if duration is not None and monotonic_ns() - started >= duration:
            return "the duration is over"
        if size is not None and self._writer.bytes_written >= size:
            if self._limits.files == 1:
                return "the size limit is reached"
            self._flush()
            self._writer.proceed(self.totals("the recording goes on in the next file"))
        return ""

    def _wait(self) -> str:
        info = signal.sigtimedwait(WAITED_SIGNALS, _POLL_S)
        # CPython 3.11 Modules/signalmodule.c returns an unfilled answer when the time runs out in an interrupted wait.
        if info is not None and info.si_signo == WRITER:
            return self._written()
        if info is None or info.si_signo not in ENDING_SIGNALS:
            return ""
        return self._scope.signalled(info.si_signo, from_terminal=info.si_code == _SI_KERNEL)

    def _check_images(self, appeared: list[ProcessRecord]) -> None:
        """End when one of them is of another build: breakpoints may be anywhere in its instructions."""
        try:
            for process in appeared:
                self._binary.check_image(process.pid)
        except TargetError as error:
            self._refuse(error)

    def _refuse(self, error: TargetError) -> None:
        self.refusal = error
        self._ending = f"refused: {error.cause}"
        self._writer.note(NoteRecord(monotonic_ns(), "refused", error.cause))

    def _judge(self, *, final: bool = False) -> None:
        """End when what was read of the runtime cannot be right."""
        try:
            self._selfcheck.judge(self._translator.events, self._drain.no_goroutine, final=final)
        except TargetError as error:
            self._refuse(error)

    def _check_binary(self) -> None:
        if self._binary.changed and not self._ending:
            self._ending = self._written()
        if not self._replaced and self._binary.replaced:
            self._replaced = True
            text = "the executable was replaced: processes that run the new one are not recorded, the others go on"
            self._writer.note(NoteRecord(monotonic_ns(), "executable", text))
            self._progress.say(f"funcrec: {text}")

    def _written(self) -> str:
        """Say that the executable is not, or will not be, what was read; returns the reason to end."""
        text = "somebody writes to the executable, and probes do not fit what it becomes"
        self._writer.note(NoteRecord(monotonic_ns(), "executable", text))
        self._progress.say(f"funcrec: {text}: the recording ends")
        return "the executable was written to"

    def _take(self) -> None:
        for batch in self._drain.take():
            self._see(batch.events)
            self._pending.append(batch)
            self._pending_events += len(batch.events)
            if self._pending_events >= _CHUNK_EVENTS:
                self._flush()
        now = time.monotonic()
        if now - self._flushed >= _FLUSH_S:
            self._flush()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._look_around()
        elif now - self._glanced >= _GLANCE_S:
            self._glanced = now
            if self._watch.is_urgent:
                self._adapt()
        self._progress.update(self._translator.events, self._drain.lost, self._writer.bytes_written)

    def _look_around(self) -> None:
        """Once a second: what the probes cost, who has ended, and from time to time what the clocks say."""
        self._writer.mark()
        self._judge()
        self._check_binary()
        self._adapt()
        note, too_much = self._watch.look()
        if note is not None:
            self._writer.note(note)
            self._progress.say(f"funcrec: {note.text}")
        if too_much:
            self._ending = "the guard ended it: the probes cost too much"
        now_ns = monotonic_ns()
        ended = self._processes.ended(now_ns)
        if ended:
            self._writer.processes(ended)
            self._probes.forget([record.pid for record in ended])
            for record in ended:
                self._scope.forget(record.pid)
        self._probes.forget_threads()
        self._scope.retire(self._probes.unlist_pid)
        if time.monotonic() - self._clocked >= _CLOCK_S:
            self._clocked = time.monotonic()
            self._writer.clock(read_clocks())

    def _adapt(self) -> None:
        """See exits where that is cheapest."""
        self._flush()  # hits count as in vain until their events are seen
        adapted = self._watch.adapt()
        if adapted is not None:
            self._writer.note(adapted)

    def _flush(self) -> None:
        """Write all pending batches: first what their events refer to, then the events, then the losses."""
        pending, self._pending, self._pending_events = self._pending, [], 0
        self._flushed = time.monotonic()
        if not pending:
            return
        rows = self._admitted(np.concatenate([batch.events for batch in pending]))
        facts = np.concatenate([batch.facts for batch in pending])
        self._selfcheck.saw(facts)
        columns = self._translator.columns(rows)
        self._watch.saw(columns.site)
        goroutines = self._translator.goroutines(facts, lambda pid: self._scope.admits(pid, self._probes.list_pid))
        self._captures.add([captures for batch in pending for captures in batch.captures])
        values = self._captures.match(rows)
        fresh = SnapshotDelta(
            call_sites=self._translator.call_sites.take_fresh(),
            sites=self._translator.fault_sites.take_fresh(),
            code=self._translator.function_values.learn(values, rows["site"]),
        )
        if fresh.call_sites or fresh.sites or fresh.code:
            self._writer.snapshot(fresh)
        if goroutines:
            self._writer.goroutines(goroutines)
        if len(columns):
            self._writer.events(columns, values)
        lost = [record for batch in pending for record in batch.lost] + self._captures.take_losses()
        if lost:
            self._writer.lost(lost)

    def totals(self, reason: str, exit_status: int = -1) -> Closing:
        """What there was in the whole recording so far; `reason`: why it ends, unless it is refused."""
        return Closing(
            clock=read_clocks(),
            events=self._translator.events,
            lost_events=self._drain.lost,
            lost_values=self._captures.lost,
            exit_status=exit_status,
            reason=self._ending if self.refusal else reason,
            site_hits=self._watch.hits,
        )

    def see(self, pid: int) -> None:
        """Note a process that will have events, while it can still be asked who it is."""
        record = self._processes.see(pid, monotonic_ns())
        if record is not None:
            self._writer.processes([record])

    def _see(self, rows: Rows) -> None:
        """Note every process that appears, at once: it may be short-lived."""
        pids, first = np.unique(rows["pid"], return_index=True)
        fresh: list[ProcessRecord] = []
        for pid, at in zip(pids.tolist(), first.tolist(), strict=True):
            if self._scope.admits(pid, self._probes.list_pid):
                record = self._processes.see(pid, int(rows["time_ns"][at]))
                fresh += [record] if record is not None else []
        if fresh:
            self._writer.processes(fresh)
            self._check_binary()
            self._check_images(fresh)

    def _admitted(self, rows: Rows) -> Rows:
        """Leave out strangers."""
        strangers = self._scope.strangers
        return rows[~np.isin(rows["pid"], strangers)] if strangers else rows

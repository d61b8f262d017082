"""One recording from start to finish: the order of set-up and of teardown."""

import os
import signal
import socket

import funcrec
from funcrec.errors import TargetError
from funcrec.plan.builder import build_plan
from funcrec.plan.captures import ResultReader, Signatures, plan_values, wants_values
from funcrec.plan.conditions import Condition
from funcrec.plan.redaction import Redaction
from funcrec.plan.selection import parse_patterns
from funcrec.plan.sites import ExitMode, ProbePlan, SiteKind
from funcrec.plan.values import ValuePlans
from funcrec.record.adapt import Adaptation
from funcrec.record.attach import Way
from funcrec.record.binary import Binary
from funcrec.record.clocks import monotonic_ns
from funcrec.record.drain import Drain
from funcrec.record.guard import Guard
from funcrec.record.known import KnownFunctions
from funcrec.record.launch import LaunchedProgram, program_path, sudo_caller
from funcrec.record.live import Translator
from funcrec.record.loop import WAITED_SIGNALS, Loop, waited_signals
from funcrec.record.losses import event_weights
from funcrec.record.machine import check_fits, machine
from funcrec.record.memory import give_back, settle
from funcrec.record.places import image_facts
from funcrec.record.privilege import Capability, shed
from funcrec.record.probes import Probes
from funcrec.record.progress import Progress
from funcrec.record.request import RecordRequest
from funcrec.record.scope import Scope
from funcrec.record.series import TraceSeries
from funcrec.record.snapshot import plan_snapshot, target_facts
from funcrec.record.subject import Subject, subject
from funcrec.record.watch import Watch
from funcrec.record.ways import choose
from funcrec.target.executable import Executable
from funcrec.trace.records import ClockReading, Header


def record(request: RecordRequest) -> int:
    """Record until the program, the user or a limit ends it.

    Returns:
        the exit status for the command: 0, or that of a launched program.

    Raises:
        FuncrecError: with its exit code; what was written stays readable.
    """
    settle()
    with subject(request.binary, request.processes) as chosen:
        executable = Executable.open(chosen.path, request.debug_file)
        check_fits(executable, request.binary)
        return _record(request, chosen, executable)


def _record(request: RecordRequest, chosen: Subject, executable: Executable) -> int:
    with Binary(chosen.path, executable.stamp, executable.notes) as binary:
        program = None
        if request.launch is not None:
            caller = None if request.keep_user else sudo_caller()
            program = LaunchedProgram(program_path(request.binary), request.launch, caller)
        try:
            scope = Scope(binary.identity, chosen.pids, program)
            return _Session(request, chosen, executable, binary, program, scope).run()
        finally:
            if program is not None:
                program.cancel()


class _Session:
    _planned: ProbePlan

    def __init__(
        self,
        request: RecordRequest,
        chosen: Subject,
        executable: Executable,
        binary: Binary,
        program: LaunchedProgram | None,
        scope: Scope,
    ) -> None:
        self._request = request
        self._chosen = chosen
        self._executable = executable
        self._binary = binary
        self._program = program
        self._scope = scope
        self._progress = Progress(quiet=request.quiet)
        self._way = choose()
        self._signatures = Signatures(executable)
        self._condition = Condition(request.condition, self._signatures) if request.condition else None

    def run(self) -> int:
        request = self._request
        probes = Probes(
            self._executable.runtime_layout,
            max_sites=request.max_probes,
            buffer_bytes=request.buffer_bytes,
            pid_filter=self._scope.pid_filter,
            gated=bool(request.roots),
            min_ns=request.min_ns,
            values=request.value_limits if self._wants_values() else None,
            chained=self._exits == ExitMode.AUTO,
            condition=self._condition.lowered if self._condition else None,
            entry_only=request.entry_only,
            way=self._way,
            image=image_facts(self._executable, machine()) if self._way == Way.TRACEFS else None,
        )
        try:
            # Held here alone, so that it can go once all probes are in place.
            plan = self._planned = self._plan()
            values = self._value_plans(plan)
            sources = probes.load(len(plan.sites))
            costs = probes.calibrate()
            sources.forget()  # the calibration's own events
            if values is not None:
                probes.install_values(values, plan.sites)
            if self._condition is not None:
                probes.install_conditions(self._condition.plan(plan), plan.sites)
            if plan.results:
                probes.install_results(plan)
            if self._exits == ExitMode.AUTO:
                probes.install_chains(plan)
            drain = Drain(sources, event_weights(plan))
            del plan
            writer = TraceSeries(request.output, lambda clock: self._header(clock, costs), request.limits.files)
            try:
                self._record(probes, values, costs, drain, writer)
            finally:
                writer.abandon()
        finally:
            probes.close()
        return max(self._scope.exit_status, 0)

    def _plan(self) -> ProbePlan:
        try:
            plan = self._build()
        except TargetError:
            if self._condition is not None:
                self._condition.check()  # that it suits no function says more than that none is left
            raise
        if self._condition is not None:
            self._condition.check()
        untried = (machine().untried,) if machine().untried else ()
        for note in (*untried, *plan.notes, *(self._condition.notes(plan) if self._condition else ())):
            self._progress.say(f"funcrec: {note}")
        if self._request.verbose:
            shown = [function.name for function in plan.functions if not function.hidden]
            self._progress.say("\n".join(f"  {name}" for name in shown))
        return plan

    def _build(self) -> ProbePlan:
        request = self._request
        return build_plan(
            self._executable,
            request.patterns,
            request.roots,
            exclude_vendor=request.exclude_vendor,
            match=request.match,
            max_probes=request.max_probes,
            arguments=request.arguments and request.values,
            results=request.results and request.values,
            exits=self._exits,
            adaptive=self._way != Way.PERF,  # whose sites come and go at a tenth of a second each
            # What the kernel has dropped or let through by an exit cannot be taken back.
            takes_back=not request.roots and not request.min_ns and not request.condition,
            needs=self._condition.needs if self._condition else None,
            reads=ResultReader(
                self._signatures,
                results=request.results,
                redaction=Redaction(request.redact),
                values=request.values,
            ).reads,
        )

    @property
    def _exits(self) -> ExitMode:
        return ExitMode.RET if self._request.entry_only else self._request.exits

    def _wants_values(self) -> bool:
        """Whether anything is captured: known before the plan, so that compiling can begin."""
        request = self._request
        patterns = parse_patterns([*request.patterns, *request.roots], request.match)
        return request.values and wants_values(patterns, arguments=request.arguments, results=request.results)

    def _value_plans(self, plan: ProbePlan) -> ValuePlans | None:
        if not self._wants_values():
            return None
        request = self._request
        values = plan_values(
            self._executable,
            plan,
            arguments=request.arguments,
            results=request.results,
            limits=request.value_limits,
            signatures=self._signatures,
            redaction=Redaction(request.redact),
        )
        for note in values.notes if values is not None else ():
            self._progress.say(f"funcrec: {note}")
        return values

    def _record(
        self,
        probes: Probes,
        values: ValuePlans | None,
        costs: dict[str, float],
        drain: Drain,
        writer: TraceSeries,
    ) -> None:
        plan = self._planned
        translator = Translator(plan, self._executable, values)
        loop = Loop(
            scope=self._scope,
            probes=probes,
            translator=translator,
            drain=drain,
            writer=writer,
            progress=self._progress,
            limits=self._request.limits,
            watch=self._watch(probes, costs, drain),
            binary=self._binary,
            waits=bool(self._request.min_ns or self._condition),
        )
        here = self._scope.prepare(probes.list_pid)
        # Blocked before the first thread exists: the loop alone waits for them.
        signal.pthread_sigmask(signal.SIG_BLOCK, waited_signals())
        try:
            drain.start()
            self._binary.hold()
            self._arm(probes, here, loop)
            self._announce(plan, here)
            if self._program is not None:
                self._program.start()
                loop.see(self._program.pid)
            # Only now: nobody waits for it, and no event is written before the loop runs.
            loop.begin(plan_snapshot(plan, values))
            probes.keep_spares(plan)
            self._shed_privilege(plan)
            del plan, self._planned
            self._executable.forget()
            self._signatures.forget()
            give_back()
            drain.shed_privilege()
            reason = loop.run()
        finally:
            probes.detach()
            self._binary.release()
            drain.stop()
            # From here a second Ctrl-C stops at once; the records written so far are whole.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WAITED_SIGNALS)
        loop.finish(probes.deferred())
        writer.close(loop.totals(reason, self._scope.exit_status))
        if loop.refusal is not None:
            raise loop.refusal
        self._progress.closing(
            self._request.output,
            calls=translator.calls,
            events=translator.events,
            lost=drain.lost,
            written=writer.bytes_written,
        )
        if self._request.verbose:
            self._progress.say(f"  buffers were never left alone for longer than {1e3 * drain.longest_gap_s:.1f} ms")

    def _watch(self, probes: Probes, costs: dict[str, float], drain: Drain) -> Watch:
        """What looks at the cost of the probes while they are there."""
        plan, limit, hands_over = self._planned, self._request.max_overhead, probes.hands_over
        functions = KnownFunctions(plan.functions)
        guard = None
        if limit is not None:
            guard = Guard(plan, functions, costs, limit, monotonic_ns(), lets_go=hands_over)
            if not hands_over:
                self._progress.say(
                    "funcrec: on this kernel no probe can be taken away while others go on: "
                    f"above --max-overhead {limit:g}% the recording ends"
                )
        adaptation = Adaptation(plan, costs) if self._exits == ExitMode.AUTO and hands_over else None
        return Watch(probes, drain, plan, functions, guard, adaptation)

    def _arm(self, probes: Probes, here: list[int], loop: Loop) -> None:
        """Set the probes of the plan, in the processes that were named, or `here` and in those to come."""
        chosen = self._chosen
        found = chosen.pids or here
        for pid in found:
            self._binary.check_image(pid, chosen.twins.get(pid))
        # Probes go to the inode of what was read, even when the path is replaced meanwhile.
        path = f"/proc/self/fd/{self._binary.descriptor}"
        for pid, count in probes.take_away_strays(path, found, chosen.twins).items():
            self._progress.say(f"funcrec: {count} breakpoints in pid {pid} that nobody held are gone")
        probes.attach(
            self._planned,
            path,
            chosen.pids,
            twins=chosen.twins,
            entry_only=self._request.entry_only,
            leave_out=loop.judge_arming,
            idle=not found,
        )

    def _shed_privilege(self, plan: ProbePlan) -> None:
        """Keep what the rest of this recording may need, and no more."""
        request, program = self._request, self._program
        caller = None if request.keep_user else sudo_caller()
        keep: set[Capability] = set()
        relinks = request.max_overhead is not None or any(site.spare for site in plan.sites)
        if relinks and self._way != Way.PERF:
            keep |= {Capability.BPF, Capability.PERFMON}
        if relinks and self._way == Way.TRACEFS:
            keep.add(Capability.DAC_READ_SEARCH)
        if program is None:
            keep.add(Capability.SYS_PTRACE)
        elif caller is None:
            keep.add(Capability.KILL)
        if request.limits.files > 1:
            keep.add(Capability.DAC_OVERRIDE)
        shed(keep, caller)

    def _header(self, clock: ClockReading, costs: dict[str, float]) -> Header:
        system = os.uname()
        request = self._request
        return Header(
            tool=f"funcrec {funcrec.__version__}",
            argv=request.argv,
            clock=clock,
            host={
                "hostname": socket.gethostname(),
                "kernel": system.release,
                "machine": system.machine,
                "cpus": os.cpu_count() or 1,
            },
            target=target_facts(self._executable, self._chosen.shown),
            options={
                "patterns": request.patterns,
                "roots": request.roots,
                "entry_only": request.entry_only,
                "min_ns": request.min_ns,
                "condition": request.condition,
                "redact": request.redact,
                "exits": str(self._exits),
                "pids": self._chosen.pids,
                "launched": self._program is not None,
                "max_overhead": request.max_overhead,
                "attach": str(self._way),
            },
            probe_cost_ns=costs,
        )

    def _announce(self, plan: ProbePlan, here: list[int]) -> None:
        for note in self._chosen.notes:
            self._progress.say(f"funcrec: {note}")
        shown = sum(not function.hidden for function in plan.functions)
        probes = sum(site.kind != SiteKind.CHAINED and not site.spare for site in plan.sites)
        what = f"{shown} functions, {probes} probes"
        binary = self._request.binary
        if self._program is not None:
            self._progress.say(f"funcrec: recording {what}; starting {binary} (pid {self._program.pid})")
        elif self._chosen.pids:
            self._progress.say(
                f"funcrec: recording {what} in pid {', '.join(map(str, self._chosen.pids))}; Ctrl-C ends"
            )
        else:
            now = f"now pid {', '.join(map(str, here))}" if here else "none runs yet"
            self._progress.say(
                f"funcrec: recording {what} in every process that runs {binary} ({now}); Ctrl-C ends\n"
                f"  to start it from here instead: funcrec record ... {binary} -- ARGUMENTS"
            )

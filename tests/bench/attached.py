"""What the bench attaches to a target: an empty program, or a recorder without a file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from funcrec.plan.sites import ProbePlan
from funcrec.record.attach_multi import MultiAttacher
from funcrec.record.codegen import PidFilter
from funcrec.record.compile import Compiler, Program
from funcrec.record.drain import Drain
from funcrec.record.losses import event_weights
from funcrec.record.probes import Probes
from funcrec.target.executable import Executable

_EMPTY = "#include <uapi/linux/ptrace.h>\nint empty(struct pt_regs *ctx) { return 0; }\n"


def empty_program() -> int:
    """Descriptor of a program that does nothing."""
    compiler = Compiler()
    compiler.submit(Program(_EMPTY, (), ("empty",), ()))
    return compiler.result()["empty"]


@contextmanager
def empty_at(program: int, path: str, offsets: Sequence[int]) -> Iterator[None]:
    """The empty program at file offsets."""
    (link,) = MultiAttacher(program, path).attach(offsets, [0] * len(offsets), [])
    try:
        yield
    finally:
        link.close()


@contextmanager
def recording(executable: Executable, plan: ProbePlan) -> Iterator[None]:
    """The program that records, and its drain."""
    probes = Probes(
        executable.runtime_layout,
        max_sites=len(plan.sites),
        buffer_bytes=64 << 20,
        pid_filter=PidFilter.NONE,
        gated=False,
        chained=True,
    )
    drain = Drain(probes.load(), event_weights(plan))
    probes.install_chains(plan)
    drain.start()
    try:
        probes.attach(plan, executable.path, [], entry_only=False)
        yield
    finally:
        probes.detach()
        drain.stop()
        probes.close()

"""The two sides of a comparison, each of one recording or of several: runs of one build, hosts of one release.

The calls of several recordings stand one after the other, as if they were one, and intervals are at least as wide as
what differs from recording to recording makes them: one recording cannot know that, three or more can.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from funcrec.errors import UsageError
from funcrec.report.answers.adding import answered, go_through
from funcrec.report.answers.diff import DiffRequest, DiffSide
from funcrec.report.apart import groups_apart
from funcrec.report.cluster import TraceFile, run_tasks
from funcrec.report.facts import Facts
from funcrec.report.filters import Selection
from funcrec.report.grouping import column_name, group
from funcrec.report.intime import Durations, Gathering, joined
from funcrec.report.quantiles import Sample, sample
from funcrec.report.stream import Finished, Stream
from funcrec.report.summary import Key
from funcrec.report.trace import Trace
from funcrec.report.windows import SIZE


@dataclass(frozen=True, slots=True)
class _Part:
    """One recording: its calls by group, or already reduced where it is a side of its own."""

    facts: Facts
    build: str
    calls: Durations | Sample


def read_sides(
    base: Sequence[str], new: Sequence[str], request: DiffRequest, *, cluster: str | None = None
) -> tuple[DiffSide, DiffSide]:
    """Reduce the recordings of both sides.

    Raises:
        UsageError: grouped by file with different numbers of files, or an unusable filter or grouping.
        TraceError: a trace cannot be read.
        HostError: no such cluster.
    """
    by_file = [at for at, each in enumerate(request.by, 1) if column_name(each) == "file"]
    if by_file and len(base) != len(new):
        raise UsageError(
            f"{len(base)} and {len(new)} traces cannot be compared file by file",
            remedy="name as many for each side, in the same order",
        )
    alone = len(base) == len(new) == 1
    parts = run_tasks(_reduced_task if alone else _part_task, [*base, *new], request, cluster=cluster)
    if by_file:
        # No file is on both sides: the first of one side is compared with the first of the other, and so on.
        pairs = [f"{one} → {other}" for one, other in zip(base, new, strict=True)]
        parts = [_renamed(part, by_file, name) for part, name in zip(parts, pairs * 2, strict=True)]
    return _joined(parts[: len(base)]), _joined(parts[len(base) :])


def _part_task(file: TraceFile, request: DiffRequest) -> _Part:
    trace = Trace(file.path)
    facts, calls = durations_of(trace, file.name, request)
    target = trace.header.target
    return _Part(facts, str(target.get("go_build_id") or target.get("gnu_build_id") or ""), calls)


def _reduced_task(file: TraceFile, request: DiffRequest) -> _Part:
    """What travels back from a worker is small when a recording is compared as a whole."""
    part = _part_task(file, request)
    return replace(part, calls=_sample([part]))


def durations_of(trace: Trace, name: str, request: DiffRequest, size: int = SIZE) -> tuple[Facts, Durations]:
    """Gather the calls of a recording, window by window (of about `size` events) where groups can be told apart."""
    apart = groups_apart(trace, request.by)

    def gather(stream: Finished | Stream) -> tuple[Facts, Durations]:
        return _gathered(stream, trace, name, request)

    return answered(trace, request.filters, size, gather, apart=apart, numbered=True)


def _gathered(stream: Finished | Stream, trace: Trace, name: str, request: DiffRequest) -> tuple[Facts, Durations]:
    gathering = Gathering()

    def take(selection: Selection) -> None:
        groups = group(selection, ("func", *request.by), file=name, names=request.names)
        start_ns, end_ns = selection.of(selection.calls.start_ns), selection.of(selection.calls.end_ns)
        gathering.add(selection.numbers(selection.rows), groups, np.where(end_ns >= 0, end_ns - start_ns, -1))

    return go_through(stream, trace, name, take), gathering.durations()


def _renamed(part: _Part, places: list[int], name: str) -> _Part:
    """The file in each key replaced by what stands for it on both sides."""

    def named(key: Key) -> Key:
        return tuple(name if at in places else each for at, each in enumerate(key))

    return replace(part, calls=replace(part.calls, keys=[named(key) for key in part.calls.keys]))


def _joined(parts: Sequence[_Part]) -> DiffSide:
    """One side of its recordings, in the order in which they were named."""
    facts, builds = tuple(part.facts for part in parts), frozenset(part.build for part in parts)
    return DiffSide(facts, _sample(parts), builds)


def _sample(parts: Sequence[_Part]) -> Sample:
    runs = []
    for part in parts:
        if isinstance(part.calls, Sample):  # the only one
            return part.calls
        runs.append(part.calls)
    return sample(joined(runs) if len(runs) > 1 else runs[0])

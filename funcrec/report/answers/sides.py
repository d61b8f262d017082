"""The two sides of a comparison, each of one recording or of several: runs of one build, hosts of one release.

The calls of several recordings stand one after the other, as if they were one, and intervals are at least as wide as
what differs from recording to recording makes them: one recording cannot know that, three or more can.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import UsageError
from funcrec.report.answers.diff import DiffRequest, DiffSide
from funcrec.report.cluster import TraceFile, run_tasks
from funcrec.report.facts import Facts, facts_of
from funcrec.report.grouping import column_name, group
from funcrec.report.quantiles import Sample, sample
from funcrec.report.stream import chosen
from funcrec.report.summary import Groups, Key
from funcrec.report.trace import Trace


@dataclass(frozen=True, slots=True)
class _Part:
    """One recording: its calls by group, or already reduced where it is a side of its own."""

    facts: Facts
    build: str
    reduced: Sample | None
    groups: Groups
    duration_ns: NDArray[np.int64]


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
    selection = chosen(Trace(file.path), request.filters)
    calls = selection.calls
    groups = group(selection, ("func", *request.by), file=file.name, names=request.names)
    start_ns, end_ns = selection.of(calls.start_ns), selection.of(calls.end_ns)
    duration_ns = np.where(end_ns >= 0, end_ns - start_ns, -1)
    target = selection.trace.header.target
    build = str(target.get("go_build_id") or target.get("gnu_build_id") or "")
    return _Part(facts_of(selection, file.name), build, None, groups, duration_ns)


def _reduced_task(file: TraceFile, request: DiffRequest) -> _Part:
    """What travels back from a worker is small when a recording is compared as a whole."""
    part = _part_task(file, request)
    reduced = sample(part.groups, part.duration_ns)
    return replace(part, reduced=reduced, groups=Groups(_NONE, part.groups.keys), duration_ns=_NONE)


_NONE = np.zeros(0, np.int64)


def _renamed(part: _Part, places: list[int], name: str) -> _Part:
    """The file in each key replaced by what stands for it on both sides."""

    def named(key: Key) -> Key:
        return tuple(name if at in places else each for at, each in enumerate(key))

    keys = [named(key) for key in part.groups.keys]
    reduced = None if part.reduced is None else replace(part.reduced, keys=keys)
    return replace(part, reduced=reduced, groups=Groups(part.groups.codes, keys))


def _joined(parts: Sequence[_Part]) -> DiffSide:
    """One side of its recordings, in the order in which they were named."""
    facts, builds = tuple(part.facts for part in parts), frozenset(part.build for part in parts)
    if parts[0].reduced is not None:
        return DiffSide(facts, parts[0].reduced, builds)
    place: dict[Key, int] = {}
    codes = []
    for part in parts:
        to = np.array([*(place.setdefault(key, len(place)) for key in part.groups.keys), -1], np.intp)
        codes.append(to[part.groups.codes])  # -1, a call without the value, reads the last
    groups = Groups(np.concatenate(codes), list(place))
    durations = np.concatenate([part.duration_ns for part in parts])
    return DiffSide(facts, sample(groups, durations, [len(part.duration_ns) for part in parts]), builds)

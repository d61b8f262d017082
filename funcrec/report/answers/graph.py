"""graph: the merged tree of calls, or the callers and callees of some functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from funcrec.errors import UsageError
from funcrec.lang.pattern import compile_glob
from funcrec.report.answers.adding import added_up, answered
from funcrec.report.cluster import TraceFile
from funcrec.report.columns import Mask
from funcrec.report.facts import Facts
from funcrec.report.filters import Selection
from funcrec.report.request import FilterRequest, Names
from funcrec.report.stream import Finished, Stream
from funcrec.report.trace import Trace
from funcrec.report.tree import Tree, below, callees, callers, frames_of, merge, outermost, under
from funcrec.report.windows import SIZE


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """What to merge.

    Attributes:
        filters: which calls.
        function: glob over function names; None: the whole tree.
        by_file: keep traces apart, each below a root with its name.
        names: how functions are called.
    """

    filters: FilterRequest
    function: str | None = None
    by_file: bool = False
    names: Names = Names.FULL


@dataclass(frozen=True, slots=True)
class Graph:
    """The answer, for one trace or many: the tree below, and with a function the tree of its callers."""

    facts: list[Facts]
    callees: Tree
    callers: Tree | None
    found: bool


def graph_task(file: TraceFile, request: GraphRequest) -> Graph:
    """Merge the calls of one trace."""
    graph = _graph(file, request)
    if not request.by_file:
        return graph
    above = graph.callers and under(graph.callers, file.name)
    return replace(graph, callees=under(graph.callees, file.name), callers=above)


def _graph(file: TraceFile, request: GraphRequest) -> Graph:
    return graph_of(Trace(file.path), file.name, request)


def graph_of(trace: Trace, name: str, request: GraphRequest, size: int = SIZE) -> Graph:
    """Merge the calls of a trace, window by window (of about `size` events)."""
    # Whether callers that are still open pass such filters is known at their end.
    at_ends = not request.filters.of_ends
    return answered(trace, request.filters, size, lambda stream: _added(stream, trace, name, request), at_ends=at_ends)


def _added(stream: Finished | Stream, trace: Trace, name: str, request: GraphRequest) -> Graph:
    if request.function is None:
        facts, tree = added_up(stream, trace, name, lambda part: callees(frames_of(part, request.names)), merge)
        return Graph([facts], tree, None, True)
    matches = compile_glob(request.function)
    known = np.array([not function.hidden and matches(function.name) for function in trace.functions], np.bool_)
    facts, (down, up) = added_up(stream, trace, name, lambda part: _around(part, known, request.names), _merged)
    return Graph([facts], down, up, bool(known.any()))


def _around(selection: Selection, known: Mask, names: Names) -> tuple[Tree, Tree]:
    """What calls of some functions called, and what led to them."""
    frames = frames_of(selection, names)
    start = outermost(frames, known[selection.calls.function[np.flatnonzero(selection.mask)]])
    return callees(below(frames, start)), callers(frames, start)


def _merged(parts: list[tuple[Tree, Tree]]) -> tuple[Tree, Tree]:
    down, up = zip(*parts, strict=True)
    return merge(down), merge(up)


def merge_graph(parts: Sequence[Graph], request: GraphRequest) -> Graph:
    """The answer of all traces.

    Raises:
        UsageError: no function of any trace matches.
    """
    if not any(part.found for part in parts):
        raise UsageError(
            f"no function of the trace matches '{request.function}'", remedy="funcrec stat FILE lists the functions"
        )
    facts = [each for part in parts for each in part.facts]
    above = [part.callers for part in parts if part.callers is not None]
    return Graph(facts, merge([part.callees for part in parts]), merge(above) if above else None, True)


def total_of(tree: Tree) -> int:
    """Time of all roots together, in ns."""
    return int(tree.total_ns[tree.parent < 0].sum())

import random
from collections import Counter

import numpy as np
import pytest

from funcrec.report.filters import select
from funcrec.report.nesting import fold_up, levels
from funcrec.report.request import FilterRequest
from funcrec.report.trace import Trace
from funcrec.report.tree import MAX_LEVELS, Frames, Tree, below, callees, callers, frames_of, merge, outermost
from tests.calltrees import make_trace, random_tree_events


def random_trace(seed: int) -> Trace:
    rng = random.Random(seed)
    return make_trace([random_tree_events(rng, 400), random_tree_events(rng, 100, pid=200)])


def paths(tree: Tree) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """Calls, total and self time by path."""
    names: list[tuple[str, ...]] = []
    found = {}
    for node, parent in enumerate(tree.parent.tolist()):
        names.append((*(names[parent] if parent >= 0 else ()), tree.func[node]))
        assert names[node] not in found
        found[names[node]] = (int(tree.calls[node]), int(tree.total_ns[node]), int(tree.self_ns[node]))
    return found


def expected(trace: Trace, request: FilterRequest) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """The same, call by call."""
    selection = select(trace, request)
    calls = selection.calls
    found: dict[tuple[str, ...], np.ndarray] = {}
    for row in selection.rows.tolist():
        path, at = (), row
        while at >= 0:
            path, at = (trace.functions[calls.function[at]].name, *path), int(selection.parents[at])
        ended = calls.end_ns[row] >= 0
        times = (calls.end_ns[row] - calls.start_ns[row], max(calls.self_ns[row], 0)) if ended else (0, 0)
        found[path] = found.get(path, np.zeros(3, np.int64)) + np.array([1, *times])
    return {path: tuple(totals.tolist()) for path, totals in found.items()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("request_", [FilterRequest(), FilterRequest(hide=("main.b",)), FilterRequest(min_ns=5)])
def test_calls_of_one_path_are_one_node(seed: int, request_: FilterRequest) -> None:
    trace = random_trace(seed)
    assert paths(callees(frames_of(select(trace, request_)))) == expected(trace, request_)


@pytest.mark.parametrize("seed", range(3))
def test_merge_of_parts_is_the_whole(seed: int) -> None:
    one, other = random_trace(seed), random_trace(seed + 100)
    merged = merge([callees(frames_of(select(trace, FilterRequest()))) for trace in (one, other)])
    both = Counter()
    for trace in (one, other):
        for path, totals in expected(trace, FilterRequest()).items():
            both.update({(path, at): number for at, number in enumerate(totals)})
    assert {(path, at): n for path, totals in paths(merged).items() for at, n in enumerate(totals)} == dict(both)


@pytest.mark.parametrize("seed", range(5))
def test_both_sides_of_a_function(seed: int) -> None:
    trace = random_trace(seed)
    selection = select(trace, FilterRequest())
    frames = frames_of(selection)
    start = outermost(frames, np.array([frames.names[code] == "main.a" for code in frames.code]))
    whole = expected(trace, FilterRequest())
    up = paths(callers(frames, start))
    first = {path: totals for path, totals in whole.items() if path[-1] == "main.a" and path.count("main.a") == 1}
    assert up["main.a",][0] == sum(totals[0] for totals in first.values())
    for path in up:
        inside = [totals for at, totals in first.items() if tuple(reversed(at))[: len(path)] == path]
        assert up[path] == tuple(sum(column) for column in zip(*inside, strict=True))
    down = paths(callees(below(frames, start)))
    for path, totals in down.items():
        ends = [each for at, each in whole.items() if "main.a" in at and at[at.index("main.a") :] == path]
        assert totals == tuple(sum(column) for column in zip(*ends, strict=True))


def test_nothing_is_an_empty_tree() -> None:
    frames = frames_of(select(make_trace([[]]), FilterRequest()))
    assert len(callees(frames)) == 0
    assert len(callers(frames, np.zeros(0, np.int64))) == 0
    assert len(callees(below(frames, outermost(frames, np.zeros(0, bool))))) == 0


def test_deep_recursion_is_one_node_beyond_the_limit() -> None:
    depth = MAX_LEVELS + 500
    parent = np.arange(-1, depth - 1)
    frames = Frames(
        code=np.zeros(depth, np.intp),
        names=["main.f"],
        parent=parent,
        depth=np.arange(depth),
        duration_ns=np.full(depth, 5),
        self_ns=np.ones(depth, np.int64),
        counted=np.ones(depth, np.bool_),
    )
    tree = callees(frames)
    assert len(tree) == MAX_LEVELS
    assert tree.calls.tolist() == [1] * (MAX_LEVELS - 1) + [501]
    assert tree.total_ns.tolist() == [5] * MAX_LEVELS
    assert int(tree.self_ns.sum()) == depth


def test_deep_and_shallow_ways_agree() -> None:
    random = np.random.default_rng(5)
    parent = np.array([-1, *(int(random.integers(max(at - 3, 0), at)) for at in range(1, 4000))])
    depth = np.zeros(4000, np.uint32)
    for at in range(1, 4000):
        depth[at] = depth[parent[at]] + 1
    assert int(depth.max()) > 1040  # deep enough for the other way
    rows = np.arange(4000)
    assert levels(parent, depth, rows).tolist() == depth.tolist()
    values = random.integers(0, 100, 4000)
    for ufunc in (np.add, np.maximum):
        slow = values.copy()
        for at in range(3999, 0, -1):
            slow[parent[at]] = ufunc(slow[parent[at]], slow[at])
        assert fold_up(ufunc, values, parent, depth).tolist() == slow.tolist()

"""The summary of the whole is the merge of the summaries of its parts, to the last bit."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.report.calls import State
from funcrec.report.summary import Groups, Summary, merge, percentile_ns, summarise

# (key, duration or -1, error); durations to a few hours keep the sum of any drawn list within an i64.
call = st.tuples(st.integers(0, 4), st.one_of(st.just(-1), st.integers(0, 2**53)), st.booleans())


def summary_of(calls: list[tuple[int, int, bool]]) -> Summary:
    names = sorted({key for key, _, _ in calls}, reverse=bool(len(calls) % 2))  # key order must not matter
    codes = np.array([names.index(key) for key, _, _ in calls], np.intp)
    duration = np.array([ns for _, ns, _ in calls], np.int64)
    state = np.where(duration < 0, State.LOST, State.RETURNED).astype(np.uint8)
    error = np.array([failed for _, _, failed in calls], np.bool_)
    own = np.where(duration < 0, -1, duration // 3)
    groups = Groups(codes, [(f"key {name}",) for name in names])
    return summarise(groups, duration, own, state, error=error, spread=True, span_ns=len(calls))


def plain(summary: Summary) -> dict[object, object]:
    cells: dict[object, list[tuple[int, int]]] = {key: [] for key in summary.keys}
    rows = zip(
        summary.histogram.group.tolist(),
        summary.histogram.cell.tolist(),
        summary.histogram.count.tolist(),
        strict=True,
    )
    for group, bucket, count in rows:
        cells[summary.keys[group]].append((bucket, count))
    columns = ("calls", "ended", "total_ns", "self_ns", "min_ns", "max_ns", "squares", "states", "errors")
    return {
        key: [
            cells[key],
            *(
                getattr(summary, column)[at].tolist() if column == "states" else int(getattr(summary, column)[at])
                for column in columns
            ),
        ]
        for at, key in enumerate(summary.keys)
    }


@settings(max_examples=200, deadline=None)
@given(st.lists(call, max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_merge_of_parts_is_the_whole(calls: list[tuple[int, int, bool]], cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(calls)) for cut in cuts), len(calls)]
    parts = [summary_of(calls[a:b]) for a, b in itertools.pairwise(edges)]
    whole = summary_of(calls)
    merged = merge(parts)
    assert plain(merged) == plain(whole)
    assert merged.span_ns == whole.span_ns
    assert plain(merge([merge(parts[:1]), merge(parts[1:])])) == plain(whole)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2**53), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_percentiles_are_within_one_percent(durations: list[int], fraction: float) -> None:
    summary = summary_of([(0, ns, False) for ns in durations])
    rank = max(int(np.ceil(fraction * len(durations) - 1e-9)), 1)
    true = sorted(durations)[rank - 1]
    assert abs(percentile_ns(summary, fraction)[0] - true) <= 0.005 * true

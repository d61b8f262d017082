import numpy as np

from funcrec.report.calls import State
from funcrec.report.summary import Groups, Summary, average_ns, deviation_ns, merge, percentile_ns, summarise


def summary_of(durations: list[int], codes: list[int] | None = None, names: str = "f", **more: object) -> Summary:
    duration_ns = np.array(durations, np.int64)
    groups = Groups(np.array(codes or [0] * len(durations), np.intp), [(name,) for name in names])
    state = np.where(duration_ns < 0, State.OPEN, State.RETURNED).astype(np.uint8)
    return summarise(groups, duration_ns, duration_ns, state, **more)  # type: ignore[arg-type]


def test_totals_by_group() -> None:
    summary = summary_of([10, 30, 5, -1], [0, 0, 1, 0], names="fg", spread=True)
    assert summary.calls.tolist() == [3, 1]
    assert summary.ended.tolist() == [2, 1]
    assert summary.total_ns.tolist() == [40, 5]
    assert summary.min_ns.tolist() == [10, 5]
    assert summary.max_ns.tolist() == [30, 5]
    assert summary.states[:, State.OPEN].tolist() == [1, 0]
    assert average_ns(summary).tolist() == [20, 5]
    assert deviation_ns(summary)[0] == np.std([10, 30], ddof=1)
    assert np.isnan(deviation_ns(summary)[1])


def test_calls_without_a_key_are_left_out_and_counted() -> None:
    summary = summary_of([10, 20, 30], [0, -1, 0])
    assert (summary.calls[0], summary.total_ns[0], summary.without_key) == (2, 40, 1)


def test_errors_are_counted_by_group() -> None:
    summary = summary_of([1, 2, 3], [0, 1, 1], names="fg", error=np.array([True, False, True]))
    assert summary.errors.tolist() == [1, 1]


def test_a_group_without_known_durations_has_no_percentile() -> None:
    summary = summary_of([-1, 7], [0, 1], names="fg")
    assert np.isnan(percentile_ns(summary, 0.5)[0])
    assert percentile_ns(summary, 0.5)[1] == 7
    assert np.isnan(average_ns(summary)[0])


def test_percentiles_are_durations_that_occurred() -> None:
    summary = summary_of(list(range(1, 101)))
    assert [percentile_ns(summary, p)[0] for p in (0.0, 0.5, 0.9, 0.99, 1.0)] == [1, 50, 90, 99, 100]
    assert percentile_ns(summary_of([3, 1000]), 0.99)[0] == 1000


def test_sums_beyond_the_exact_range_of_doubles() -> None:
    long = 2**61 + 1
    summary = summary_of([long, 1, long, 3], spread=True)
    assert summary.total_ns[0] == 2 * long + 4
    assert summary.squares[0] == 2 * long**2 + 10


def test_many_groups_take_the_sparse_path() -> None:
    n = 20_000
    durations = np.where(np.arange(n) % 2, 1, 2**40).astype(np.int64)
    groups = Groups(np.arange(n, dtype=np.intp), [(number,) for number in range(n)])
    summary = summarise(groups, durations, durations, np.zeros(n, np.uint8))
    assert np.array_equal(percentile_ns(summary, 0.5), durations)


def test_merge_joins_equal_keys_and_keeps_others() -> None:
    both = merge([summary_of([10], names="f", span_ns=5), summary_of([20, 7], [0, 1], names="fg", span_ns=6)])
    assert both.keys == [("f",), ("g",)]
    assert both.total_ns.tolist() == [30, 7]
    assert both.max_ns.tolist() == [20, 7]
    assert both.span_ns == 11


def test_nothing_is_a_summary_too() -> None:
    nothing = summary_of([], names="")
    assert len(merge([nothing, nothing])) == 0
    assert len(merge([])) == 0
    assert percentile_ns(nothing, 0.5).tolist() == []

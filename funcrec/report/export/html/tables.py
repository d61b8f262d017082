"""Totals for the page: rows with their distributions, and the merged call tree."""

from typing import Any

import numpy as np

from funcrec.report.calls import State
from funcrec.report.cells import count_cells, merge_cells, no_cells
from funcrec.report.export.source import Source
from funcrec.report.export.stacks import Stacks
from funcrec.report.export.timeline import Index
from funcrec.report.summary import Groups, Summary, merge, percentile_ns, summarise

_MAX_NODES = 20_000
# Edges of the page's histograms in ns: four bins per octave, whole numbers, up to 2**62.
EDGES = np.unique(np.concatenate([[0], np.ceil(2 ** (np.arange(4 * 62) / 4))])).astype(np.int64)


def durations(source: Source, rows: Index) -> Index:
    """i64 durations in ns, -1 where unknown."""
    end, start = source.calls.end_ns[rows], source.calls.start_ns[rows]
    return np.where(end >= 0, end - start, -1)


def by_function(source: Source) -> Groups:
    """The exported calls by function; the keys are the numbers of the trace's functions."""
    codes = source.calls.function[source.rows].astype(np.intp)
    return Groups(codes, [(number,) for number in range(len(source.trace.functions))])


def by_name(source: Source) -> Groups:
    """The same with names as keys, which other traces have as well."""
    groups = by_function(source)
    return Groups(groups.codes, [(name,) for name in source.function_names])


class Totals:
    """Adds up calls by group, part by part."""

    def __init__(self) -> None:
        self._summary: Summary | None = None
        self._histogram = no_cells()

    def add(self, source: Source, groups: Groups) -> None:
        """Take in the calls of a part; all parts have the same groups in one order."""
        rows, k = source.rows, len(groups.keys)
        duration = durations(source, rows)
        part = summarise(groups, duration, source.calls.self_ns[rows], source.calls.state[rows])
        counted = (groups.codes >= 0) & (duration >= 0)
        bins = np.searchsorted(EDGES, duration[counted], side="right") - 1
        histogram = count_cells(groups.codes[counted], bins, k)
        same = np.arange(k)
        self._histogram = merge_cells([self._histogram, histogram], [same, same])
        self._summary = part if self._summary is None else merge([self._summary, part])

    def rows(self) -> list[dict[str, Any]]:
        """One row of numbers per group; those about durations are null where none is known.

        `histogram` holds [bin, count] pairs; bin i is from EDGES[i] to below EDGES[i + 1].
        """
        summary, histogram = self._summary, self._histogram
        if summary is None:
            return []
        percentiles = [percentile_ns(summary, share) for share in (0.5, 0.9, 0.99)]
        columns = [summary.min_ns, *percentiles, summary.max_ns]
        return [
            {
                "calls": int(summary.calls[at]),
                "ended": int(summary.ended[at]),
                "total_ns": int(summary.total_ns[at]),
                "self_ns": int(summary.self_ns[at]),
                **_spread([column[at] for column in columns], bool(summary.ended[at])),
                "states": _states(summary.states[at]),
                "histogram": np.column_stack(histogram.of(at)).tolist(),
            }
            for at in range(len(summary))
        ]


def _spread(numbers: list[Any], known: bool) -> dict[str, int | None]:
    names = ("min_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns")
    return {name: round(float(number)) if known else None for name, number in zip(names, numbers, strict=True)}


def _states(counts: Index) -> dict[str, int]:
    """Calls by how they ended, without those that returned."""
    return {state.label: int(counts[state]) for state in State if state != State.RETURNED and counts[state]}


def flame(stacks: Stacks) -> dict[str, Any]:
    """The merged tree as columns, callers first; the nodes with the most time or, without any, the most calls."""
    # A node's time is its own and that of all below it: a call without a known end counts what it called.
    time = stacks.self_ns.tolist()
    parents = stacks.parent.tolist()
    for node in range(len(stacks) - 1, -1, -1):
        if parents[node] >= 0:
            time[parents[node]] += time[node]
    keep = np.arange(len(stacks))
    if len(keep) > _MAX_NODES:
        # A caller has no less time than what it calls and stands before it: trees stay whole.
        keep = np.sort(np.lexsort((keep, -np.array(time, np.int64)))[:_MAX_NODES])
    place = np.full(len(stacks), -1, np.int64)
    place[keep] = np.arange(len(keep))
    parent = stacks.parent[keep]
    return {
        "parent": np.where(parent >= 0, place[parent], -1).tolist(),
        "function": stacks.function[keep].tolist(),
        "calls": stacks.calls[keep].tolist(),
        "self_ns": stacks.self_ns[keep].tolist(),
        "time_ns": np.array(time, np.int64)[keep].tolist(),
        "dropped": len(stacks) - len(keep),
    }

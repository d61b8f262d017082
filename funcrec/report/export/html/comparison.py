"""Two traces side by side: the rows of `funcrec diff` for the page."""

from typing import Any

from funcrec.report.difference import Difference, Shift, Side, compare
from funcrec.report.export.html.tables import durations
from funcrec.report.export.source import Source
from funcrec.report.intime import in_time
from funcrec.report.quantiles import Sample, sample
from funcrec.report.summary import Groups
from funcrec.report.text import printable


def comparison(base: Sample, new: Sample) -> list[dict[str, Any]]:
    """One row per key of either side."""
    return [_row(difference) for difference in compare(base, new)]


def sample_of(source: Source, groups: Groups) -> Sample:
    """The durations of a trace in one part."""
    return sample(in_time(groups, durations(source, source.rows)))


def _row(difference: Difference) -> dict[str, Any]:
    return {
        "key": [printable(str(part)) for part in difference.key],
        "verdict": str(difference.verdict),
        "base": _side(difference.base),
        "new": _side(difference.new),
        "p50": _shift(difference.p50),
        "p99": _shift(difference.p99),
    }


def _side(side: Side) -> dict[str, Any]:
    return {"calls": side.calls, "total_ns": side.total_ns, "p50_ns": side.p50_ns, "p99_ns": side.p99_ns}


def _shift(shift: Shift) -> dict[str, Any]:
    return {"ratio": shift.ratio, "low": shift.low, "high": shift.high, "verdict": str(shift.verdict)}

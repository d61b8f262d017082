"""diff: how durations moved from one recording to another."""

from dataclasses import dataclass

from funcrec.errors import UsageError
from funcrec.report.difference import Difference, Shift, Side, Verdict, compare
from funcrec.report.facts import Facts
from funcrec.report.grouping import key_order
from funcrec.report.quantiles import Sample
from funcrec.report.request import FilterRequest, Names
from funcrec.report.views.table import Row


@dataclass(frozen=True, slots=True)
class DiffRequest:
    """What to compare.

    Attributes:
        filters: which calls.
        by: groupings beside the function.
        names: how functions are called.
    """

    filters: FilterRequest
    by: tuple[str, ...] = ()
    names: Names = Names.FULL


@dataclass(frozen=True, slots=True)
class DiffSide:
    """One side: the facts and builds of its recordings, reduced to what the comparison needs."""

    facts: tuple[Facts, ...]
    sample: Sample
    builds: frozenset[str]


@dataclass(frozen=True, slots=True)
class FailOn:
    """`slower > 5%`: fail when a row has this verdict and its median moved by more than `share`."""

    verdict: Verdict
    share: float


def parse_fail_on(text: str) -> FailOn:
    """Parse `slower > 5%` or `faster > 10%`; `slower` alone means at all.

    Raises:
        UsageError: anything else.
    """
    error = UsageError(f"'{text}' is no condition to fail on", remedy="write 'slower > 5%' or 'faster > 10%'")
    words, _, share = text.partition(">")
    verdict = words.strip()
    if verdict not in (Verdict.SLOWER, Verdict.FASTER):
        raise error
    try:
        percent = float(share.strip().removesuffix("%")) if share else 0.0
    except ValueError:
        raise error from None
    if percent < 0 or (share and not share.strip().endswith("%")):
        raise error
    return FailOn(Verdict(verdict), percent / 100)


def parse_margin(text: str) -> float:
    """Parse `5%` into 0.05.

    Raises:
        UsageError: no percentage between 0 and 100.
    """
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 < percent < 100:
        raise UsageError(f"'{text}' is no margin", remedy="write a percentage, such as 5%")
    return percent / 100


# Shifts below this are never told from none, however many calls there are.
_LEAST_MARGIN = 0.001
# In the order in which people want to hear of them.
_URGENCY = [Verdict.SLOWER, Verdict.FASTER, Verdict.ONLY_NEW, Verdict.ONLY_BASE, Verdict.UNSURE, Verdict.SAME]


def compare_sides(base: DiffSide, new: DiffSide, margin: float, fail_on: FailOn | None) -> list[Difference]:
    """Judge every function and bucket, the most urgent first, buckets of a function together and in order."""
    if fail_on is not None:  # what would fail must not be called the same
        margin = min(margin, max(fail_on.share, _LEAST_MARGIN))
    differences = compare(base.sample, new.sample, margin=margin)
    urgency: dict[object, tuple[int, int]] = {}
    for each in differences:
        mine = (_URGENCY.index(each.verdict), -abs(each.new.total_ns - each.base.total_ns))
        urgency[each.key[0]] = min(urgency.get(each.key[0], mine), mine)
    return sorted(differences, key=lambda each: (urgency[each.key[0]], str(each.key[0]), key_order(list(each.key[1:]))))


def failures(differences: list[Difference], fail_on: FailOn) -> list[Difference]:
    """The rows that meet a condition to fail on."""
    edge = 1 + fail_on.share
    failed = []
    for each in differences:
        ratio = each.p50.ratio
        if each.verdict == fail_on.verdict and ratio and max(ratio, 1 / ratio) > edge:
            failed.append(each)
    return failed


def rows_of(differences: list[Difference]) -> list[Row]:
    """One row per function and bucket, as the machine contract has it, and some more."""
    return [
        {
            "func": each.key[0],
            "bucket": None if len(each.key) == 1 else each.key[1] if len(each.key) == 2 else list(each.key[1:]),
            "base": _side(each.base),
            "new": _side(each.new),
            **_shift(each.p50, "p50"),
            "verdict": each.verdict.value,
            **_shift(each.p99, "p99"),
            "p99_verdict": each.p99.verdict.value,
            "p": each.p50.p,
            "total_delta_ns": each.new.total_ns - each.base.total_ns,
        }
        for each in differences
    ]


def _side(side: Side) -> dict[str, int | None]:
    percentiles = {"p50_ns": side.p50_ns, "p99_ns": side.p99_ns}
    return {
        "n": side.calls,
        **{name: None if ns is None else int(ns) for name, ns in percentiles.items()},
        "total_ns": side.total_ns,
    }


def _shift(shift: Shift, name: str) -> dict[str, float | None]:
    values = {"ratio": shift.ratio, "low": shift.low, "high": shift.high}
    return {f"{name}_{what}": None if value is None else float(f"{value:.6g}") for what, value in values.items()}


def summary_text(differences: list[Difference]) -> str:
    """One line: how many rows of each verdict, and the greatest shift."""
    counts = [(verdict, sum(each.verdict == verdict for each in differences)) for verdict in _URGENCY]
    words = {Verdict.ONLY_NEW: "only in new", Verdict.ONLY_BASE: "only in base"}
    parts = [f"{count} {words.get(verdict, verdict.value)}" for verdict, count in counts if count]
    tails = sum(each.p99.verdict == Verdict.SLOWER and each.verdict != Verdict.SLOWER for each in differences)
    parts += [f"{tails} with a slower tail"] if tails else []
    return ", ".join(parts) or "nothing to compare"

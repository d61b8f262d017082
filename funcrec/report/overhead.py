"""The cost of the probes themselves: how much of the time it is, and durations without it.

`record` measures what one hit of each site kind costs on the machine. The time stamp of a hit is taken in its middle,
so half of a call's own entry hit and half of its exit hit fall inside its span, and all hits of what it calls whole.
Hits of conditional jumps that did not lead to a return gave no event: of these only the number is known, and the calls
of the function share them.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import UsageError
from funcrec.report.calls import Calls
from funcrec.report.nesting import fold_up
from funcrec.report.pairing import self_times
from funcrec.trace.records import SiteRole

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

Costs = NDArray[np.float64]
_ALWAYS = 3  # not a conditional jump


def site_costs(trace: "Trace") -> Costs:
    """Return the measured cost of a hit of each site in ns; 0 where its kind was not measured or nothing is probed."""
    cost = trace.header.probe_cost_ns
    kinds = (float(cost.get("emulated", 0.0)), float(cost.get("stepped", 0.0)))
    costs = [0.0 if site.chained else kinds[bool(site.stepped)] for site in trace.sites]
    return np.array(costs, dtype=np.float64)


def total_cost_ns(trace: "Trace", site_hits: NDArray[np.int64] | None = None) -> int:
    """Return the estimated cost of all hits, those that gave no event too; 0 when it was not measured.

    `site_hits` is the number of events of each site, where it is known already.
    """
    hits = (trace.site_hits if site_hits is None else site_hits).astype(np.float64)
    if trace.closing is not None:
        for site, count in trace.closing.site_hits.items():
            if site < len(hits):
                hits[site] = max(hits[site], count)
    return round(float(site_costs(trace) @ hits))


def without_overhead(trace: "Trace") -> Calls:
    """Return the calls with the estimated cost of all hits inside them taken out of durations, down to 0.

    Starts stay as recorded, ends move.

    Raises:
        UsageError: the recording has no measured cost.
    """
    costs = site_costs(trace)
    if not costs.any():
        raise UsageError(
            f"{trace.path} has no measured probe cost to subtract", remedy="use --overhead keep, or record it again"
        )
    calls = trace.table()
    ended = calls.end_ns >= 0
    duration = calls.end_ns - calls.start_ns - np.rint(_cost_inside(trace, calls, costs)).astype(np.int64)
    end_ns = np.where(ended, calls.start_ns + np.maximum(duration, 0), calls.end_ns)
    return replace(calls, end_ns=end_ns, self_ns=self_times(calls.start_ns, end_ns, calls.parent))


def _cost_inside(trace: "Trace", calls: Calls, costs: Costs) -> Costs:
    """Cost of the hits between each call's entry and its end, in ns."""
    reader = trace.reader
    sites = [reader.events(number).site for number in range(len(reader.blocks))]
    hit = costs[np.concatenate(sites)] if sites else np.zeros(0)
    own = hit[calls.entry_event] + np.where(calls.exit_event >= 0, hit[calls.exit_event], 0.0)
    single = calls.exit_event == calls.entry_event
    own[single] = hit[calls.entry_event[single]]
    vain = np.where(single, 0.0, _cost_in_vain(trace, calls, costs)[calls.function])
    inside: Costs = fold_up(np.add, own + vain, calls.parent, calls.depth) - own / 2
    inside[single] = 0.0
    return inside


def _cost_in_vain(trace: "Trace", calls: Calls, costs: Costs) -> Costs:
    """Cost of the hits without an event inside a call of each function, on average; 0 where they cannot be told apart.

    Under ROOT, --if and --min hits of calls that were not recorded count too, and so do those of functions let go.
    """
    functions = len(trace.functions)
    found = np.zeros(functions)
    options = trace.header.options
    if trace.closing is None or any(options.get(name) for name in ("roots", "condition", "min_ns")):
        return found
    inner = [site.role == SiteRole.EXIT and site.edge != _ALWAYS and not site.chained for site in trace.sites]
    hits = np.zeros(len(trace.sites))
    for site, count in trace.closing.site_hits.items():
        if site < len(hits):
            hits[site] = count
    vain = np.where(inner, np.maximum(hits - trace.site_hits, 0), 0.0) * costs
    number = np.bincount(calls.function, minlength=functions)
    found = np.bincount([site.function for site in trace.sites], vain, functions) / np.maximum(number, 1)
    found[[function for note in trace.notes for function in note.functions]] = 0.0
    return found

"""Executable and patterns -> ProbePlan. Pure: the same input gives the same plan."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from funcrec.collection import without_collection
from funcrec.errors import TargetError, UsageError
from funcrec.lang.pattern import Pattern
from funcrec.plan.exits import Exits, Recorded, cheap_exits
from funcrec.plan.runtime_sites import Helper, runtime_helpers
from funcrec.plan.selection import Selected, parse_patterns, select_functions
from funcrec.plan.sites import (
    MAX_INLINED_NAMES,
    Edge,
    ExitMode,
    Needs,
    PlannedFunction,
    ProbePlan,
    ProbeSite,
    Role,
    SiteKind,
    Skipped,
)
from funcrec.target.architecture import architecture_of
from funcrec.target.code import ManyFunctions
from funcrec.target.effects import Rule
from funcrec.target.executable import Executable, Function
from funcrec.target.ordinary import SITE, Sites, site_row
from funcrec.target.results import Reads

DEFAULT_MAX_PROBES = 300_000

_ROLES = {
    "entry": Role.ENTRY,
    "exit": Role.EXIT,
    "point": Role.POINT,
    "chain": Role.EXIT,
    "twin": Role.EXIT,
    "spare": Role.EXIT,
    "yielding": Role.EXIT,
}
_EDGES = [Edge(number) for number in range(4)]
_WATCHED = "watched already to see how goroutines begin and end; its calls are not recorded"
# Entered in the middle, left without RET, or called with registers arranged in their own way.
_OWN_CONVENTION = re.compile(
    r"(?:runtime\.)?(?:gogo|mcall|duffzero|duffcopy|gcWriteBarrier\w*|morestack\w*|systemstack\w*|asyncPreempt|sigtramp\w*)"
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A selected function, and what its sites must preserve; or the reason why it is not recorded."""

    selected: Selected
    function: Function
    reason: str = ""
    arguments: bool = False
    results: bool = False
    reads: Reads | None = None


@without_collection()
def build_plan(
    executable: Executable,
    patterns: Sequence[str],
    roots: Sequence[str] = (),
    *,
    exclude_vendor: bool = True,
    match: str = "glob",
    max_probes: int = DEFAULT_MAX_PROBES,
    arguments: bool = False,
    results: bool = False,
    exits: ExitMode = ExitMode.RET,
    takes_back: bool = False,
    adaptive: bool = False,
    needs: Callable[[int, str, Sequence[Pattern]], Needs] | None = None,
    reads: Callable[[int, str, Sequence[Pattern]], Reads | None] | None = None,
) -> ProbePlan:
    """Decide what to probe.

    Args:
        executable: the program.
        patterns: -u patterns as typed.
        roots: ROOT patterns as typed.
        exclude_vendor: wildcards leave packages in vendor directories out.
        match: `glob` or `regex`.
        max_probes: more sites than this are an error.
        arguments: arguments of every function are wanted (-A); a pattern can ask for those of its own functions.
        results: results of every function are wanted (-R).
        exits: where exits are observed.
        adaptive: cheap exits that turn out to be dear can be given up while recording.
        takes_back: an exit that was told may be taken back later: nothing in the kernel depends on it.
        needs: what a condition wants of a function: its number, its name, the patterns that name it.
        reads: of the same: what is read of its results, None when that is not known before its RETs.

    Raises:
        UsageError: a pattern does not parse, or the plan is too large.
        TargetError: nothing matches, or nothing that matches can be probed.
    """
    parsed, parsed_roots = parse_patterns(patterns, match), parse_patterns(roots, match)
    selection = select_functions(executable, parsed, parsed_roots, exclude_vendor=exclude_vendor)
    reader = architecture_of(executable).reader(executable)
    helpers, helper_notes = runtime_helpers(executable, reader)
    if exits == ExitMode.RET or not takes_back:
        helpers = tuple(helper for helper in helpers if helper.role != Role.FAULT)
    early = reads if exits == ExitMode.AUTO else None
    wanted = [
        _wants(selected, executable.functions[selected.index], parsed, parsed_roots, needs, early, arguments, results)
        for selected in selection.functions
    ]
    readable = [one for one in wanted if not one.reason]
    code = reader.many(
        [one.function for one in readable],
        np.array([one.arguments for one in readable], dtype=np.bool_),
        np.array([one.results for one in readable], dtype=np.bool_),
    )
    sites = _recordable(code, helpers)
    skipped = _skipped(wanted, code)
    planned = [one for at, one in enumerate(readable) if at not in code.reasons]
    if not planned:
        raise TargetError(
            f"{skipped[0].name} in {executable.path} cannot be probed: {skipped[0].reason}",
            remedy="record the functions that call it",
        )
    chosen = Exits(sites)
    if exits == ExitMode.AUTO and code.flow is not None:
        retracted = any(helper.role == Role.FAULT for helper in helpers)
        chosen = cheap_exits(
            executable,
            Recorded(
                flow=code.flow,
                sites=sites,
                compiled=np.array(
                    [not one.function.assembly and "." in one.function.symbol for one in readable], dtype=np.bool_
                ),
                keeps=np.array([one.results for one in readable], dtype=np.bool_),
                reads=[one.reads for one in readable],
            ),
            Rule.MEMORY if retracted else Rule.FRAME,
            adaptive=adaptive,
        )
    if len(chosen.sites) > max_probes:
        raise UsageError(
            f"{len(planned)} functions need {len(chosen.sites)} probes, more than --max-probes allows ({max_probes})",
            remedy=f"narrow the patterns, or allow it with --max-probes {len(chosen.sites)}",
        )
    holders = executable.inlined_into(one.function.name for one in planned)
    declared = executable.functions.declarations([one.function.index for one in planned])
    functions = [
        _planned(one.selected, one.function, place, holders.get(one.function.name, []), chosen)
        for one, place in zip(planned, declared, strict=True)
    ]
    functions += [_hidden(helper) for helper in helpers]
    return ProbePlan(
        binary=executable.path,
        functions=tuple(functions),
        sites=_probe_sites(executable, chosen.sites, helpers, len(planned)),
        skipped=(*skipped, *selection.skipped),
        notes=(*selection.notes, *_partly_inlined(functions), *helper_notes),
        patterns=parsed,
        root_patterns=parsed_roots,
        results=chosen.results,
    )


def _wants(
    selected: Selected,
    function: Function,
    patterns: Sequence[Pattern],
    roots: Sequence[Pattern],
    needs: Callable[[int, str, Sequence[Pattern]], Needs] | None,
    reads: Callable[[int, str, Sequence[Pattern]], Reads | None] | None,
    arguments: bool,
    results: bool,
) -> _Wanted:
    asking = [patterns[at] for at in selected.patterns] + [roots[at] for at in selected.roots]
    found = Needs()
    if needs is not None:
        found = needs(selected.index, function.name, asking)
        if found.reason and not selected.roots:
            return _Wanted(selected, function, found.reason)
        arguments = arguments or found.arguments
    if _OWN_CONVENTION.fullmatch(function.symbol):
        return _Wanted(selected, function, "runtime code with a calling convention of its own")
    arguments = arguments or any(pattern.arguments is not None for pattern in asking)
    fetched = results or any(pattern.results is not None for pattern in asking)
    return _Wanted(
        selected, function, "", arguments, fetched or found.results, _reads(selected, function, asking, found, reads)
    )


def _reads(
    selected: Selected,
    function: Function,
    asking: Sequence[Pattern],
    needed: Needs,
    reads: Callable[[int, str, Sequence[Pattern]], Reads | None] | None,
) -> Reads | None:
    """What is read of a function's results: by those who show them and by a condition."""
    shown = reads(selected.index, function.name, asking) if reads is not None else None
    tested = needed.reads if needed.results else Reads()
    return None if shown is None or tested is None else shown | tested


def _recordable(code: ManyFunctions, helpers: Sequence[Helper]) -> Sites:
    """The sites of what can be recorded; what is probed as a helper already cannot."""
    taken = [site.address for helper in helpers for site in helper.sites]
    watched = np.unique(code.sites["function"][np.isin(code.sites["address"], taken)])
    code.reasons.update(dict.fromkeys(watched.tolist(), _WATCHED))
    return code.sites[~np.isin(code.sites["function"], watched)]


def _skipped(wanted: Sequence[_Wanted], code: ManyFunctions) -> list[Skipped]:
    found = []
    at = 0
    for one in wanted:
        reason = one.reason
        if not reason:
            reason = code.reasons.get(at, "")
            at += 1
        if reason:
            found.append(Skipped(one.function.name, reason))
    return found


def _probe_sites(
    executable: Executable, sites: Sites, helpers: Sequence[Helper], functions: int
) -> tuple[ProbeSite, ...]:
    """Sites of the recorded functions, numbered anew, and of the helpers behind them."""
    rows = [site_row(at, site) for at, helper in enumerate(helpers) for site in helper.sites]
    hidden = np.array(rows, SITE)
    numbers = np.concatenate((np.unique(sites["function"], return_inverse=True)[1], functions + hidden["function"]))
    roles = [_ROLES[role] for role in sites["role"].tolist()]
    roles += [helper.role for helper in helpers for _ in helper.sites]
    sites = np.concatenate((sites, hidden))
    offsets = executable.offsets_of(sites["address"])
    if (offsets < 0).any():  # the bytes were read from the file through the same segments
        address = int(sites["address"][offsets < 0][0])
        raise TargetError(f"{executable.path} has no contents at {address:#x}", remedy="build the program again")
    kinds = np.where(sites["emulated"], SiteKind.EMULATED, SiteKind.STEPPED).astype(object)
    kinds[(sites["role"] == "chain") | (sites["role"] == "twin")] = SiteKind.CHAINED
    columns = (
        numbers.tolist(),
        sites["address"].tolist(),
        offsets.tolist(),
        roles,
        [_EDGES[edge] for edge in sites["edge"].tolist()],
        sites["condition"].tolist(),
        sites["sp_delta"].tolist(),
        kinds.tolist(),
        sites["why"].tolist(),
        sites["intact"].tolist(),
        (sites["role"] == "spare").tolist(),
        (sites["role"] == "yielding").tolist(),
    )
    return tuple(map(ProbeSite._make, zip(*columns, strict=True)))


def _planned(
    selected: Selected, function: Function, place: tuple[str, int], holders: Sequence[str], exits: Exits
) -> PlannedFunction:
    file, line = place
    return PlannedFunction(
        name=function.name,
        address=function.address,
        file=file,
        line=line,
        root=bool(selected.roots),
        pattern=selected.patterns[0] if selected.patterns else -1,
        inlined_into=tuple(holders[:MAX_INLINED_NAMES]),
        inlined_count=len(holders),
        index=function.index,
        patterns=selected.patterns,
        roots=selected.roots,
        ends_callers=function.address in exits.callees,
        ended_by=exits.ended_by.get(function.address, ()),
    )


def _hidden(helper: Helper) -> PlannedFunction:
    file, line = helper.function.declaration
    return PlannedFunction(
        name=helper.function.name,
        address=helper.function.address,
        file=file,
        line=line,
        hidden=True,
        index=helper.function.index,
    )


def _partly_inlined(functions: Sequence[PlannedFunction]) -> list[str]:
    partly = [function for function in functions if function.inlined_count]
    if not partly:
        return []
    shown = ", ".join(f"{function.name} ({function.inlined_count} callers)" for function in partly[:3])
    more = f" and {len(partly) - 3} more" if len(partly) > 3 else ""
    return [f"partly inlined, so that some calls are not seen: {shown}{more}"]

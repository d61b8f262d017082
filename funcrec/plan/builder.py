"""Executable and patterns -> ProbePlan. Pure: the same input gives the same plan."""

import re
from collections.abc import Callable, Iterable, Sequence

from funcrec.errors import TargetError, UsageError
from funcrec.lang.pattern import Pattern
from funcrec.plan.collection import without_collection
from funcrec.plan.exits import Candidate, Exits, cheap_exits
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
from funcrec.target.code import CodeReader
from funcrec.target.effects import Rule
from funcrec.target.executable import Executable, Function
from funcrec.target.text import CodeSite, FunctionCode

DEFAULT_MAX_PROBES = 150_000

_ROLES = {
    "entry": Role.ENTRY,
    "exit": Role.EXIT,
    "point": Role.POINT,
    "chain": Role.EXIT,
    "twin": Role.EXIT,
    "spare": Role.EXIT,
    "yielding": Role.EXIT,
}
# Entered in the middle, left without RET, or called with registers arranged in their own way.
_OWN_CONVENTION = re.compile(
    r"(?:runtime\.)?(?:gogo|mcall|duffzero|duffcopy|gcWriteBarrier\w*|morestack\w*|systemstack\w*|asyncPreempt|sigtramp\w*)"
)


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

    Raises:
        UsageError: a pattern does not parse, or the plan is too large.
        TargetError: nothing matches, nothing that matches can be probed, or the program is for another processor.
    """
    if executable.architecture != "x86-64":
        raise TargetError(
            f"{executable.path} is built for {executable.architecture}; only x86-64 programs can be recorded",
            remedy="build it with GOARCH=amd64 and record it on an x86-64 machine",
        )
    parsed, parsed_roots = parse_patterns(patterns, match), parse_patterns(roots, match)
    selection = select_functions(executable, parsed, parsed_roots, exclude_vendor=exclude_vendor)
    reader = CodeReader(executable)
    helpers, helper_notes = runtime_helpers(executable, reader)
    if exits == ExitMode.RET or not takes_back:
        helpers = tuple(helper for helper in helpers if helper.role != Role.FAULT)
    taken = {site.address for helper in helpers for site in helper.sites}

    planned: list[tuple[Selected, Candidate]] = []
    skipped: list[Skipped] = []
    for selected in selection.functions:
        function = executable.functions[selected.index]
        asking = [parsed[at] for at in selected.patterns] + [parsed_roots[at] for at in selected.roots]
        wants = needs(selected.index, function.name, asking) if needs else Needs()
        if wants.reason and not selected.roots:
            skipped.append(Skipped(function.name, wants.reason))
            continue
        code = _code(reader, function, asking, arguments=arguments or wants.arguments, results=results or wants.results)
        if any(site.address in taken for site in code.sites):
            code = FunctionCode(
                reason="watched already to see how goroutines begin and end; its calls are not recorded"
            )
        if code.reason:
            skipped.append(Skipped(function.name, code.reason))
        else:
            keep = results or wants.results or any(pattern.results is not None for pattern in asking)
            planned.append((selected, Candidate(function, code.sites, keep)))
    if not planned:
        raise TargetError(
            f"{skipped[0].name} in {executable.path} cannot be probed: {skipped[0].reason}",
            remedy="record the functions that call it",
        )
    candidates = [candidate for _, candidate in planned]
    chosen = Exits([candidate.sites for candidate in candidates], frozenset())
    if exits == ExitMode.AUTO:
        retracted = any(helper.role == Role.FAULT for helper in helpers)
        chosen = cheap_exits(executable, candidates, Rule.MEMORY if retracted else Rule.FRAME, adaptive=adaptive)
    count = sum(len(sites) for sites in chosen.sites)
    if count > max_probes:
        raise UsageError(
            f"{len(planned)} functions need {count} probes, more than --max-probes allows ({max_probes})",
            remedy=f"narrow the patterns, or allow it with --max-probes {count}",
        )
    holders = executable.inlined_into(candidate.function.name for candidate in candidates)
    functions = [
        _planned(selected, one.function, holders.get(one.function.name, []), chosen) for selected, one in planned
    ]
    functions += [_hidden(helper) for helper in helpers]
    all_sites = chosen.sites + [helper.sites for helper in helpers]
    roles = [None] * len(planned) + [helper.role for helper in helpers]
    return ProbePlan(
        binary=executable.path,
        functions=tuple(functions),
        sites=tuple(
            _site(executable, number, site, role)
            for number, (sites, role) in enumerate(zip(all_sites, roles, strict=True))
            for site in sites
        ),
        skipped=(*skipped, *selection.skipped),
        notes=(*selection.notes, *_partly_inlined(functions), *helper_notes),
        patterns=parsed,
        root_patterns=parsed_roots,
    )


def _code(
    reader: CodeReader, function: Function, asking: Iterable[Pattern], *, arguments: bool, results: bool
) -> FunctionCode:
    if _OWN_CONVENTION.fullmatch(function.symbol):
        return FunctionCode(reason="runtime code with a calling convention of its own")
    for pattern in asking:
        arguments |= pattern.arguments is not None
        results |= pattern.results is not None
    return reader.sites(function, arguments=arguments, results=results)


def _planned(selected: Selected, function: Function, holders: Sequence[str], exits: Exits) -> PlannedFunction:
    file, line = function.declaration
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


def _site(executable: Executable, function: int, site: CodeSite, role: Role | None) -> ProbeSite:
    offset = executable.offset_of(site.address)
    if offset is None:  # the bytes were read from the file through the same segments
        raise TargetError(f"{executable.path} has no contents at {site.address:#x}", remedy="build the program again")
    return ProbeSite(
        function=function,
        address=site.address,
        offset=offset,
        role=_ROLES[site.role] if role is None else role,
        edge=Edge(site.edge),
        condition=site.condition,
        sp_delta=site.sp_delta,
        kind=_kind(site),
        instruction=site.instruction,
        why=site.why,
        arguments_intact=site.arguments_intact,
        spare=site.role == "spare",
        yields=site.role == "yielding",
    )


def _kind(site: CodeSite) -> SiteKind:
    if site.role in ("chain", "twin"):
        return SiteKind.CHAINED
    return SiteKind.EMULATED if site.emulated else SiteKind.STEPPED


def _partly_inlined(functions: Sequence[PlannedFunction]) -> list[str]:
    partly = [function for function in functions if function.inlined_count]
    if not partly:
        return []
    shown = ", ".join(f"{function.name} ({function.inlined_count} callers)" for function in partly[:3])
    more = f" and {len(partly) - 3} more" if len(partly) > 3 else ""
    return [f"partly inlined, so that some calls are not seen: {shown}{more}"]

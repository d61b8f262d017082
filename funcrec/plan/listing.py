"""A plan as rows: what `funcrec list` prints, whatever the format. Pure."""

from collections.abc import Callable
from typing import Any

from funcrec.plan.sites import PlannedFunction, ProbePlan, ProbeSite, Role, SiteKind


def function_rows(plan: ProbePlan, instruction_at: Callable[[int], str] | None = None) -> list[dict[str, Any]]:
    """One row per function that will be recorded, in order of address.

    Keys: name, address, file, line, root, patterns (as typed), sites (addresses with a probe), entry (`emulated` or
    `stepped`), exit (the same, `chained`, `mixed`, `entry` when one probe sees both, `never`), inlined_into; with
    `instruction_at`, which disassembles, also probes (see `probe_row`).
    """
    by_function: dict[int, list[ProbeSite]] = {}
    for site in plan.sites:
        by_function.setdefault(site.function, []).append(site)
    return [
        _row(plan, function, by_function.get(number, []), instruction_at)
        for number, function in enumerate(plan.functions)
        if not function.hidden
    ]


def skipped_rows(plan: ProbePlan) -> list[dict[str, Any]]:
    """One row per matched function without a probe: name, reason."""
    return [{"name": skipped.name, "reason": skipped.reason} for skipped in plan.skipped]


def probe_row(site: ProbeSite, instruction: str) -> dict[str, Any]:
    """One probe: address, offset, role (`spare` for a RET that is not armed at first), kind, instruction, why."""
    return {
        "address": f"{site.address:#x}",
        "offset": f"{site.offset:#x}",
        "role": "spare" if site.spare else site.role.name.lower(),
        "kind": str(site.kind),
        "instruction": instruction,
        "why": site.why,
    }


def _row(
    plan: ProbePlan, function: PlannedFunction, sites: list[ProbeSite], instruction_at: Callable[[int], str] | None
) -> dict[str, Any]:
    asked = [plan.patterns[at].text for at in function.patterns]
    asked += [plan.root_patterns[at].text for at in function.roots]
    probes = {"probes": [probe_row(site, instruction_at(site.address)) for site in sites]} if instruction_at else {}
    sites = [site for site in sites if not site.spare]
    point = any(site.role == Role.POINT for site in sites)
    return {
        "name": function.name,
        "address": f"{function.address:#x}",
        "file": function.file,
        "line": function.line,
        "root": function.root,
        "patterns": asked,
        "sites": sum(site.kind != SiteKind.CHAINED for site in sites),
        "entry": _kind([site.kind for site in sites if site.role != Role.EXIT]),
        "exit": "entry" if point else _kind([site.kind for site in sites if site.role == Role.EXIT]),
        "inlined_into": list(function.inlined_into),
    } | probes


def _kind(kinds: list[SiteKind]) -> str:
    distinct = set(kinds)
    if not distinct:
        return "never"
    return str(distinct.pop()) if len(distinct) == 1 else "mixed"

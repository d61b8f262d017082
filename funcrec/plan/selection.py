"""Which functions all the patterns together mean, and a reason for what a user would miss. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from funcrec.errors import TargetError, UsageError
from funcrec.lang.pattern import Pattern
from funcrec.plan.matching import Match, match_pattern
from funcrec.plan.near import near_names
from funcrec.plan.sites import Skipped
from funcrec.target.executable import Executable

_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Selected:
    """A function to probe (its number) and the positions of the -u and ROOT patterns that name it."""

    index: int
    patterns: tuple[int, ...]
    roots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What patterns select: functions in order of address, left-out ones with reasons, lines for the user."""

    functions: tuple[Selected, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def parse_patterns(texts: Sequence[str], match: str = "glob") -> tuple[Pattern, ...]:
    """Parse -u or ROOT patterns.

    Raises:
        UsageError: one does not parse, or all of them exclude.
    """
    patterns = tuple(Pattern.parse(text, match) for text in texts)
    if patterns and all(pattern.exclude for pattern in patterns):
        raise UsageError(
            f"{patterns[0].text!r} only excludes: nothing is left to record",
            remedy="say what to record too, such as -u 'main.*'",
        )
    return patterns


def select_functions(
    executable: Executable, patterns: Sequence[Pattern], roots: Sequence[Pattern], *, exclude_vendor: bool = True
) -> Selection:
    """Apply -u and ROOT patterns; an exclusion applies to all other patterns of its kind, whatever the order.

    Raises:
        TargetError: nothing is selected, or a plain name or a ROOT names nothing.
    """
    matches = _match_all(executable, patterns, exclude_vendor)
    root_matches = _match_all(executable, roots, exclude_vendor)
    notes = _unmatched(executable, matches) + _unmatched(executable, root_matches, all_needed=True)

    chosen = _members(executable, patterns, matches)
    chosen_roots = _members(executable, roots, root_matches)
    if not chosen and not chosen_roots:
        count = sum(len(match.chosen) for match in matches.values())
        raise TargetError(
            f"the exclusions leave none of {count} matched functions in {executable.path}",
            remedy="make the patterns that begin with ! narrower",
        )
    functions = tuple(
        Selected(index, tuple(chosen.get(index, ())), tuple(chosen_roots.get(index, ())))
        for index in sorted(chosen.keys() | chosen_roots.keys())
    )
    everything = [*matches.values(), *root_matches.values()]
    skipped, inlined_notes = _inlined(executable, everything, [p for p in patterns if p.exclude])
    skipped += _wrappers(executable, everything)
    return Selection(functions, tuple(skipped), tuple(notes + inlined_notes + _left_out(everything)))


def _match_all(executable: Executable, patterns: Sequence[Pattern], exclude_vendor: bool) -> dict[int, Match]:
    """Matches of the including patterns by position."""
    return {
        at: match_pattern(executable, pattern, exclude_vendor=exclude_vendor)
        for at, pattern in enumerate(patterns)
        if not pattern.exclude
    }


def _members(executable: Executable, patterns: Sequence[Pattern], matches: dict[int, Match]) -> dict[int, list[int]]:
    """Function -> positions of the patterns that take it, exclusions applied."""
    excluded = {
        index for pattern in patterns if pattern.exclude for index in pattern.select(executable.functions.names)
    }
    found: dict[int, list[int]] = {}
    for at, match in matches.items():
        for index in match.chosen:
            if index not in excluded:
                found.setdefault(index, []).append(at)
    return found


def _unmatched(executable: Executable, matches: dict[int, Match], *, all_needed: bool = False) -> list[str]:
    """Lines about wildcards that match nothing; an error where that makes the request meaningless."""
    empty = [match for match in matches.values() if not match.chosen]
    some_found = len(empty) < len(matches)
    notes = []
    for match in empty:
        if match.inlined and some_found and not all_needed:
            continue  # reported with the inlined functions
        if all_needed or not some_found or match.pattern.exact_name is not None:
            raise _no_match(executable, match)
        notes.append(f"no function matches {match.pattern.text!r}")
    return notes


def _no_match(executable: Executable, match: Match) -> TargetError:
    path, pattern, names = executable.path, match.pattern, executable.functions.names
    if match.inlined:
        verb = "is" if len(match.inlined) == 1 else "are"
        return TargetError(
            f"{_some(match.inlined)} in {path} {verb} inlined everywhere: there is no code to probe",
            remedy="record the callers, build with -gcflags=all=-l, or mark the function //go:noinline",
        )
    if match.left_out:
        left_out = [names[index] for index in match.left_out]
        return TargetError(
            f"{pattern.text!r} matches only what wildcards leave out of {path}: {_some(left_out)}",
            remedy=f"give the full name: -u '{left_out[0]}'",
        )
    near = near_names(pattern.glob, names)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    package = pattern.glob.partition("(")[0].rpartition(".")[0]
    known = any(name.startswith(package + ".") for name in names)
    return TargetError(
        f"no function in {path} matches {pattern.text!r}",
        remedy=f"{hint}funcrec list -u '{package if known else 'main'}.*' {path} shows what is there",
    )


def _inlined(
    executable: Executable, matches: Sequence[Match], exclusions: Sequence[Pattern]
) -> tuple[list[Skipped], list[str]]:
    """Matched functions that have no code of their own, and a line that says so."""
    matched = {name for match in matches for name in match.inlined}
    names = sorted(name for name in matched if not any(pattern.matches(name) for pattern in exclusions))
    if not names:
        return [], []
    holders = executable.inlined_into(names)
    skipped = [Skipped(name, f"inlined everywhere (into {_some(holders.get(name, ['?']))}): no code") for name in names]
    verb = "has" if len(names) == 1 else "have"
    return skipped, [f"{_some(names)} {verb} no code: inlined everywhere; -gcflags=all=-l would keep such calls"]


def _wrappers(executable: Executable, matches: Sequence[Match]) -> list[Skipped]:
    """Pointer wrappers of value methods that a pattern with a pointer receiver seems to ask for."""
    table = executable.functions
    wanted = {
        index
        for match in matches
        if "(*" in match.pattern.glob
        for index, kind in match.left_out.items()
        if kind == "wrapper"
    }
    reason = "made by the compiler: only forwards to the real method"
    return [Skipped(table.names[index], reason) for index in sorted(wanted)]


def _left_out(matches: Sequence[Match]) -> list[str]:
    chosen = {index for match in matches for index in match.chosen}
    kinds = {index: kind for match in matches for index, kind in match.left_out.items() if index not in chosen}
    if not kinds:
        return []
    listed = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(kinds.values()).items()))
    return [f"left out by the wildcards: {listed}; a full name records such a function"]


def _some(names: Sequence[str]) -> str:
    """The first few names and how many more there are."""
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown

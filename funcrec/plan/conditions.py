"""Conditions of --if, function by function: where the values are that a condition names, and what it can come to. Pure.

A name is looked up among the values that the function's patterns fetch, then among its own parameters, captured
variables and results. A call without the value does not match, as in --where.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from funcrec.errors import UsageError
from funcrec.lang.expr import parse
from funcrec.lang.path import Path, parse_path
from funcrec.lang.pattern import Pattern, compile_glob
from funcrec.plan.captures import Signatures
from funcrec.plan.conditionloads import Kind, Load, UnreadableError, load_raw, load_value, reads_of
from funcrec.plan.conditiontree import Formula, FunctionIs, Join, Leaf, Lowered, Not, cannot, lower, slots_of
from funcrec.plan.fetch import Fetch, NamedFetch, RawFetch, parse_list
from funcrec.plan.sites import Needs, ProbePlan, Role
from funcrec.plan.wanted import find_value, value_names
from funcrec.target.abi import Signature

MAX_LOADS = 1 << 16  # rows of all sites together
_SHOWN = 3  # names of functions in a note

Loads = tuple[Load, ...]


@dataclass(frozen=True, slots=True)
class SiteCondition:
    """What bpf/condition.h knows of a site.

    Attributes:
        first: its first row of `ConditionPlans.loads`, one for each slot.
        truths: two bits for each leaf that is known for the function: 1 it holds, 2 it fails.
        waits: an entry whose exit decides.
    """

    first: int
    truths: int
    waits: bool


@dataclass(frozen=True, slots=True)
class ConditionPlans:
    """By site number, and the rows they refer to."""

    sites: dict[int, SiteCondition]
    loads: list[Load]


@dataclass(frozen=True, slots=True)
class _Found:
    """The condition in one function: where each slot is (None: nowhere) and whether it is a result."""

    loads: tuple[Load | None, ...]
    results: tuple[bool, ...]
    truths: int
    waits: bool

    def at(self, role: Role) -> Loads:
        """The ways to the slots that can be read at a kind of site."""
        readable = {Role.ENTRY: (False,), Role.EXIT: (True,), Role.POINT: (False, True)}[role]
        return tuple(
            load if load is not None and result in readable else Load()
            for load, result in zip(self.loads, self.results, strict=True)
        )


class Condition:
    """A parsed condition.

    Args:
        text: as typed.
        signatures: of the binary.

    Raises:
        UsageError: it does not parse, or asks for what the kernel cannot do.

    Attributes:
        lowered: it, in the kernel's terms.
    """

    def __init__(self, text: str, signatures: Signatures) -> None:
        self.lowered: Lowered = lower(parse(text))
        self._signatures = signatures
        self._found: dict[int, _Found] = {}
        self._failures: list[UsageError] = []
        self._known: dict[str, None] = {}
        self._complete = False

    def needs(self, index: int, name: str, patterns: Sequence[Pattern]) -> Needs:
        """Look at a function: what its sites must preserve, or why no call of it can match.

        Args:
            index: its number in the binary.
            name: of the function.
            patterns: that name it.
        """
        values = _Values(self._signatures, self._signatures.of(index), name, patterns)
        try:
            slots = [values.find(text, kind) for text, kind in self.lowered.slots]
            found = _Found(
                tuple(None if slot is None else slot[0] for slot in slots),
                tuple(slot is not None and slot[1] for slot in slots),
                self._truths(name),
                any(slot is not None and slot[1] for slot in slots),
            )
            self._check_sides(found)
        except UsageError as error:
            self._failures.append(error)
            return Needs(f"--if does not suit it: {error.cause}")
        finally:
            self._known |= dict.fromkeys(values.known)
        missing = [text for (text, _), slot in zip(self.lowered.slots, slots, strict=True) if slot is None]
        self._complete |= not missing
        if not self._may(found, self.lowered.formula)[0]:
            return Needs(f"it has no '{missing[0]}', which --if asks for" if missing else "--if excludes it")
        self._complete = True
        self._found[index] = found
        arguments = any(slot is not None and not slot[1] for slot in slots)
        return Needs(arguments=arguments, results=found.waits, reads=reads_of(found.at(Role.EXIT)))

    def check(self) -> None:
        """To be called when all functions were looked at.

        Raises:
            UsageError: the condition suits none of them.
        """
        if self._complete:
            return
        if self._failures:
            raise self._failures[0]
        wanted = [text for text, _ in self.lowered.slots]
        names = [text for text in wanted if text not in self._known] or wanted  # named in a pattern, and not to be read
        others = [text for text in self._known if text not in names]
        near = [match for name in names for match in get_close_matches(name, others, 3)]
        has = ", ".join(others[:8]) or "no values by name"
        raise UsageError(
            f"no function to record has {', '.join(names)}, which --if asks for",
            remedy=f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else f"they have {has}",
        )

    def notes(self, plan: ProbePlan) -> list[str]:
        """Which functions the condition leaves without any recorded call."""
        lines = []
        for reason in dict.fromkeys(skipped.reason for skipped in plan.skipped if "--if" in skipped.reason):
            names = [skipped.name for skipped in plan.skipped if skipped.reason == reason]
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            lines.append(f"no call of {', '.join(names[:_SHOWN])}{more} is recorded: {reason}")
        return lines

    def plan(self, plan: ProbePlan) -> ConditionPlans:
        """Lay out the rows for the sites of a probe plan.

        Raises:
            UsageError: they are too many.
        """
        rows: list[Load] = []
        placed: dict[Loads, int] = {}
        sites: dict[int, SiteCondition] = {}
        for number, site in enumerate(plan.sites):
            function = plan.functions[site.function]
            found = self._found.get(function.index)
            if found is None or function.hidden or site.role not in (Role.ENTRY, Role.EXIT, Role.POINT):
                continue
            loads = found.at(site.role)
            if loads not in placed:
                placed[loads] = len(rows)
                rows.extend(loads)
            sites[number] = SiteCondition(placed[loads], found.truths, found.waits and site.role == Role.ENTRY)
        if len(rows) > MAX_LOADS:
            raise UsageError(
                f"--if needs {len(rows)} rows for all functions, more than {MAX_LOADS}",
                remedy="record fewer functions, or use --where on the trace",
            )
        return ConditionPlans(sites, rows)

    def _truths(self, name: str) -> int:
        truths = 0
        for number, leaf in enumerate(self.lowered.leaves):
            if isinstance(leaf, FunctionIs):
                truths |= (1 if _named(name, leaf) else 2) << 2 * number
        return truths

    def _check_sides(self, found: _Found) -> None:
        """A part is tested at the entry or at the exit, so it cannot want both."""
        for leaf in self.lowered.leaves:
            used = [slot for slot in slots_of(leaf) if found.loads[slot] is not None]
            if len({found.results[slot] for slot in used}) > 1:
                names = " and ".join(self.lowered.slots[slot][0] for slot in used)
                raise cannot(names, "it compares an argument with a result")

    def _may(self, found: _Found, formula: Formula) -> tuple[bool, bool]:
        """Whether some call can make a formula hold, and whether some call can make it fail."""
        if isinstance(formula, Not):
            holds, fails = self._may(found, formula.operand)
            return fails, holds
        if isinstance(formula, Join):
            (a, b), (c, d) = self._may(found, formula.left), self._may(found, formula.right)
            return (a and c, b or d) if formula.operator == "and" else (a or c, b and d)
        leaf: Leaf = self.lowered.leaves[formula]
        if isinstance(leaf, bool):
            return leaf, not leaf
        if isinstance(leaf, FunctionIs):
            truth = found.truths >> 2 * formula & 3
            return truth == 1, truth == 2
        present = all(found.loads[slot] is not None for slot in slots_of(leaf))
        return present, present


def always(sites: Iterable[int], slots: int) -> ConditionPlans:
    """A condition with nothing to read that holds at some sites, all its parts being true."""
    return ConditionPlans(dict.fromkeys(sites, SiteCondition(0, 0x5555_5555_5555_5555, False)), [Load()] * slots)


def _named(name: str, leaf: FunctionIs) -> bool:
    if leaf.operator == "=~":
        return compile_glob(leaf.text)(name)
    return (name == leaf.text) is (leaf.operator == "==")


@dataclass(slots=True)
class _Values:
    """Looks names up in one function.

    Attributes:
        known: names that it has.
    """

    signatures: Signatures
    signature: Signature | None
    name: str
    patterns: Sequence[Pattern]
    known: list[str] = field(default_factory=list)

    def find(self, text: str, kind: Kind) -> tuple[Load, bool] | None:
        """The way to a value and whether it is a result; None when the function has none of that name.

        Raises:
            UsageError: it has one that is of another kind.
        """
        try:
            return self._find(text, kind)
        except UnreadableError as unreadable:
            raise cannot(text, str(unreadable)) from unreadable

    def _find(self, text: str, kind: Kind) -> tuple[Load, bool] | None:
        path, sides = _sides(parse_path(text))
        for fetch, result in self._fetches():
            self.known.append(fetch.name)
            if isinstance(fetch, RawFetch):
                if fetch.name == text:
                    return load_raw(fetch, kind, self.signatures.abi), result
            elif "".join(fetch.name.split()) == "".join(text.split()):
                path, sides = fetch.path, (result,)
            elif fetch.name == path.root and not fetch.path.function and not fetch.path.dereferences:
                path, sides = _below(fetch.path, path), (result,)
        types = self.signatures.types
        if self.signature is None or types is None:
            return None
        for result in sides:
            names = value_names(types.table, self.signature, results=result)
            self.known += names
            if path.root in names:
                fetch = NamedFetch(text, path)
                wanted = find_value(types.table, self.name, self.signature, fetch, results=result)
                return load_value(types.table, wanted.place, wanted.steps, kind), result
        return None

    def _fetches(self) -> list[tuple[NamedFetch | RawFetch, bool]]:
        found: list[tuple[Fetch, bool]] = []
        for pattern in self.patterns:
            found += [(fetch, False) for fetch in parse_list(pattern.arguments or "")]
            found += [(fetch, True) for fetch in parse_list(pattern.results or "")]
        return [(fetch, result) for fetch, result in found if isinstance(fetch, NamedFetch | RawFetch)]


def _below(whole: Path, part: Path) -> Path:
    return Path(whole.root, whole.steps + part.steps, part.dereferences, part.function)


def _sides(path: Path) -> tuple[Path, tuple[bool, ...]]:
    """`arg.x` and `ret.x` name one side; a bare name is a parameter's or else a result's."""
    side = {"arg": False, "args": False, "ret": True, "results": True}.get(path.root)
    if side is None or not path.steps or not isinstance(path.steps[0], str):
        return path, (False, True)
    return Path(path.steps[0], path.steps[1:], path.dereferences, path.function), (side,)

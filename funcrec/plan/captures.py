"""From the patterns of a probe plan to its value plan: whose values, at which sites. Pure."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from funcrec.errors import TargetError, UsageError
from funcrec.lang.pattern import Pattern
from funcrec.lang.types import TypeTable
from funcrec.plan.fetch import Fetch, RawFetch, Special, parse_list
from funcrec.plan.programs import ValueLimits
from funcrec.plan.redaction import Redaction
from funcrec.plan.sites import PlannedFunction, ProbePlan, Role
from funcrec.plan.values import ValuePlanner, ValuePlans
from funcrec.target.abi import Signature, signature
from funcrec.target.architecture import architecture_of
from funcrec.target.debug import debug_sections
from funcrec.target.dwarf import Dwarf
from funcrec.target.executable import Executable
from funcrec.target.gotypes import GoTypes
from funcrec.target.results import Reads
from funcrec.target.subprograms import Subprograms


class Signatures:
    """Signatures of a binary's functions, from its debug information, read when the first one is asked for."""

    def __init__(self, executable: Executable) -> None:
        self._executable = executable
        self.abi = architecture_of(executable).abi
        self.reason = ""  # why there are none
        self._known: dict[int, Signature | None] = {}

    @cached_property
    def types(self) -> GoTypes | None:
        """The types, None without debug information."""
        try:
            return GoTypes(Dwarf(debug_sections(self._executable.debug_path)))
        except TargetError as error:
            self.reason = error.cause
            return None

    @cached_property
    def _subprograms(self) -> Subprograms | None:
        return None if self.types is None else Subprograms(self.types.debug)

    def forget(self) -> None:
        """Let go of the debug information; it is read again when asked for."""
        self.__dict__.pop("types", None)
        self.__dict__.pop("_subprograms", None)
        self._known.clear()

    def of(self, index: int) -> Signature | None:
        """Signature of the function with that number; None when debug information does not describe it."""
        if index not in self._known:
            self._known[index] = self._of(index)
        return self._known[index]

    def _of(self, index: int) -> Signature | None:
        if self.types is None or self._subprograms is None:
            return None
        function = self._executable.functions[index]
        found = self._subprograms.find(function.symbol, function.address)
        if found is None:
            return None
        return signature(self.types, found, self._executable.release[:2], abi0=function.assembly, abi=self.abi)


def wants_values(patterns: Iterable[Pattern], *, arguments: bool, results: bool) -> bool:
    """Whether any value is asked for: known before the binary is read."""
    return arguments or results or any(p.arguments is not None or p.results is not None for p in patterns)


def plan_values(
    executable: Executable,
    plan: ProbePlan,
    *,
    arguments: bool = False,
    results: bool = False,
    limits: ValueLimits | None = None,
    signatures: Signatures | None = None,
    redaction: Redaction | None = None,
) -> ValuePlans | None:
    """Plan all values that the patterns of a probe plan ask for; None when they ask for none.

    Args:
        executable: the program.
        plan: its probe plan, made with the same `arguments` and `results`.
        arguments: all arguments of every function whose patterns name none (-A).
        results: the same for results (-R).
        limits: caps on what is read.
        signatures: reader to share with other users.
        redaction: values that are not to be read.

    Raises:
        UsageError: a list does not parse, or names what no matching function has.
        TargetError: names are used and the binary has no debug information.
    """
    lists = _Lists(plan, arguments, results)
    if not lists.any:
        return None
    signatures = signatures or Signatures(executable)
    types = signatures.types
    planner = ValuePlanner(
        types.table if types else TypeTable(), limits or ValueLimits(), redaction or Redaction(), signatures.abi
    )
    sites = _sites_by_role(plan)
    failures: dict[Pattern, UsageError] = {}
    succeeded: set[Pattern] = set()
    for number, function in enumerate(plan.functions):
        wanted = [(pattern, *lists.of(pattern)) for pattern in lists.asking(function)]
        if not any(before or after for _, before, after in wanted):
            continue
        described = signatures.of(function.index)
        for pattern, _, _ in wanted:
            if types is None and _names(lists.of(pattern)):
                raise TargetError(
                    f"{executable.path}: values by name need debug information ({signatures.reason})",
                    remedy="build it without -ldflags=-w or -s, name its --debug-file, or give raw rules as x=%ax:s64",
                )
        try:
            _add(planner, function, described, wanted, sites[number])
            succeeded.update(pattern for pattern, _, _ in wanted)
        except UsageError as error:
            for pattern, _, _ in wanted:
                failures.setdefault(pattern, error)
    for pattern, failure in failures.items():
        # A wildcard asks functions that have the value; a plain name means that very function.
        if pattern not in succeeded or pattern.exact_name is not None:
            raise failure
    return planner.finish(types.runtime_types if types else dict, executable.types_base or 0)


class ResultReader:
    """Says which registers the results of a function are read from, before its exit sites are chosen.

    Args:
        signatures: of the binary.
        results: all results of every function whose patterns name none (-R).
        redaction: values that are not to be read.
        values: False: no values are read at all.
    """

    def __init__(
        self,
        signatures: Signatures,
        *,
        results: bool = False,
        redaction: Redaction | None = None,
        values: bool = True,
    ) -> None:
        self._signatures, self._redaction = signatures, redaction or Redaction()
        self._all, self._values = results, values
        self._planner: ValuePlanner | None = None

    def reads(self, index: int, name: str, patterns: Sequence[Pattern]) -> Reads | None:
        """What is read of a function's results; None when its patterns ask for what it has not.

        Args:
            index: its number in the binary.
            name: of the function.
            patterns: that name it.
        """
        everything: list[Fetch] = [Special.RESULTS] if self._all else []
        if not self._values:
            return Reads()
        try:
            asked = [everything if each.results is None else parse_list(each.results) for each in patterns]
            wanted = _merge(asked)
            if not wanted:
                return Reads()
            if self._planner is None:
                types = self._signatures.types
                table = types.table if types else TypeTable()
                self._planner = ValuePlanner(table, redaction=self._redaction, abi=self._signatures.abi)
            return self._planner.reads(name, self._signatures.of(index), wanted)
        except UsageError:
            return None


class _Lists:
    """The parsed lists of every pattern; None stands for -A and -R alone."""

    def __init__(self, plan: ProbePlan, arguments: bool, results: bool) -> None:
        self._plan = plan
        everything: list[Fetch] = [Special.PARAMETERS] if arguments else []
        returned: list[Fetch] = [Special.RESULTS] if results else []
        self._parsed: dict[Pattern, tuple[list[Fetch], list[Fetch]]] = {}
        for pattern in (*plan.patterns, *plan.root_patterns):
            before = everything if pattern.arguments is None else parse_list(pattern.arguments)
            after = returned if pattern.results is None else parse_list(pattern.results)
            self._parsed[pattern] = before, after
        self.any = any(before or after for before, after in self._parsed.values())

    def asking(self, function: PlannedFunction) -> list[Pattern]:
        """The patterns that name a function."""
        if function.hidden:
            return []
        found = [self._plan.patterns[at] for at in function.patterns]
        return found + [self._plan.root_patterns[at] for at in function.roots]

    def of(self, pattern: Pattern) -> tuple[list[Fetch], list[Fetch]]:
        """Arguments and results that a pattern asks for."""
        return self._parsed[pattern]


def _names(lists: tuple[list[Fetch], list[Fetch]]) -> bool:
    return any(not isinstance(fetch, RawFetch) for fetches in lists for fetch in fetches)


def _sites_by_role(plan: ProbePlan) -> list[dict[Role, list[int]]]:
    found: list[dict[Role, list[int]]] = [{} for _ in plan.functions]
    for number, site in enumerate(plan.sites):
        found[site.function].setdefault(site.role, []).append(number)
    return found


def _merge(lists: Iterable[Sequence[Fetch]]) -> list[Fetch]:
    """The values of several patterns together, each once."""
    merged: dict[object, Fetch] = {}
    for fetches in lists:
        for fetch in fetches:
            merged.setdefault(fetch if isinstance(fetch, Special) else fetch.name, fetch)
    return list(merged.values())


def _add(
    planner: ValuePlanner,
    function: PlannedFunction,
    described: Signature | None,
    wanted: list[tuple[Pattern, list[Fetch], list[Fetch]]],
    sites: dict[Role, list[int]],
) -> None:
    before = _merge(before for _, before, _ in wanted)
    after = _merge(after for _, _, after in wanted)
    for role, arguments, results in (
        (Role.ENTRY, before, []),
        (Role.EXIT, [], after),
        (Role.POINT, before, after),
    ):
        if role in sites:
            planner.add(function.name, described, arguments, results, sites[role], ends=role == Role.EXIT)

"""One pattern applied to the functions of an executable: what it takes, what it leaves out and why. Pure."""

from dataclasses import dataclass

from funcrec.lang.names import is_generated, is_go_name, is_vendored
from funcrec.lang.pattern import Pattern
from funcrec.target.executable import Executable


@dataclass(frozen=True, slots=True)
class Match:
    """What one pattern matches.

    Attributes:
        pattern: the pattern.
        chosen: numbers of the functions that it takes, ascending.
        left_out: numbers of matched functions that a wildcard leaves out, with the kind of thing each is.
        inlined: names it matches that were inlined everywhere and have no code, sorted.
    """

    pattern: Pattern
    chosen: tuple[int, ...]
    left_out: dict[int, str]
    inlined: tuple[str, ...]


def match_pattern(executable: Executable, pattern: Pattern, *, exclude_vendor: bool) -> Match:
    """Apply one pattern, without regard to what it is for.

    A pattern with wildcards leaves out what the compiler made up (wrappers, `-fm`, gowrap, deferwrap, type algorithms,
    package initialisers), assembly, C, and vendored packages. A name without wildcards takes what it names.
    """
    table = executable.functions
    matched = pattern.select(table.names)
    inlined = _inlined(executable, pattern, exclude_vendor)
    exact = [index for index in matched if table.names[index] == pattern.exact_name]
    if exact:
        # One name may be a function and the wrapper that adapts its ABI: the wrapper only forwards.
        bodies = [index for index in exact if not table.wrapper[index]]
        return Match(pattern, tuple(bodies or exact), {}, inlined)
    kinds = {index: _kind(executable, index, exclude_vendor) for index in matched}
    chosen = tuple(index for index, kind in kinds.items() if kind == "")
    return Match(pattern, chosen, {index: kind for index, kind in kinds.items() if kind}, inlined)


def _kind(executable: Executable, index: int, exclude_vendor: bool) -> str:
    """The kind of thing that a wildcard leaves out, "" for ordinary functions."""
    table = executable.functions
    symbol = table.symbols[index]
    if table.assembly[index]:
        return "assembly"
    if not is_go_name(symbol):
        return "C"
    if table.wrapper[index]:
        return "wrapper"
    if is_generated(symbol):
        return "compiler-made"
    if exclude_vendor and _in_vendor(symbol):
        return "vendored"
    return ""


def _inlined(executable: Executable, pattern: Pattern, exclude_vendor: bool) -> tuple[str, ...]:
    names = executable.inlined_only
    matched = [names[index] for index in pattern.select(names)]
    if pattern.exact_name is None:
        matched = [name for name in matched if not is_generated(name) and not (exclude_vendor and _in_vendor(name))]
    return tuple(sorted(matched))


def _in_vendor(name: str) -> bool:
    return is_vendored(name.partition("[")[0])  # type arguments hold the paths of other packages

"""Functions in debug information, each found by its name alone.

Go stores a function's name inline, as the first attribute of its entry, so that a search for those bytes finds it in
any binary at once; only its own children are decoded then.
"""

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from funcrec.lang.names import package_path
from funcrec.target.dwarf import (
    AT_ABSTRACT_ORIGIN,
    AT_GO_CLOSURE_OFFSET,
    AT_LOCATION,
    AT_LOW_PC,
    AT_NAME,
    AT_TYPE,
    AT_VARIABLE_PARAMETER,
    FORM_STRING,
    TAG_FORMAL_PARAMETER,
    TAG_SUBPROGRAM,
    TAG_VARIABLE,
    Dwarf,
    Entry,
    uleb,
)

_BASE_SELECTION: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Variable:
    """A parameter, result or captured variable: `type` is the offset of its type entry.

    location is the raw attribute: an offset into the location lists, an expression or None.
    """

    name: str
    type: int
    result: bool = False
    closure_offset: int = -1
    location: int | bytes | None = None


@dataclass(frozen=True, slots=True)
class Subprogram:
    """What debug information says about a function, in its own order."""

    offset: int
    name: str
    low_pc: int
    parameters: tuple[Variable, ...]
    captures: tuple[Variable, ...]


class Subprograms:
    """The functions of one executable."""

    def __init__(self, debug: Dwarf) -> None:
        self._debug = debug

    def find(self, symbol: str, low_pc: int) -> Subprogram | None:
        """Find a function by its symbol name and entry address; None when debug information does not have it."""
        needle = symbol.encode("utf-8", "surrogateescape") + b"\0"
        # Nearly always in the unit of its package: to look through all of a large binary takes milliseconds.
        for start, end in (*self._packages.get(package_path(symbol), ()), (0, len(self._debug.info))):
            at = self._debug.info.find(needle, start, end)
            while at >= 0:
                named = self._entry_starting_with_name(at)
                if named is not None:
                    found = named if AT_LOW_PC in named.attributes else self._concrete(named.offset, low_pc)
                    if found is not None and found.attributes.get(AT_LOW_PC) == low_pc:
                        return self._describe(symbol, low_pc, found, named)
                at = self._debug.info.find(needle, at + 1, end)
        return None

    @cached_property
    def _packages(self) -> dict[str, list[tuple[int, int]]]:
        """Where the units of each package begin and end."""
        found: dict[str, list[tuple[int, int]]] = {}
        for unit in self._debug.units:
            try:
                code, at = uleb(self._debug.info, unit.first)
                abbreviation = self._debug.abbreviations(unit).get(code)
                end = self._debug.info.index(b"\0", at)
            except (IndexError, ValueError):
                continue  # damaged: its functions are looked for everywhere
            if abbreviation is not None and abbreviation.attributes[:1] == ((AT_NAME, FORM_STRING, 0),):
                name = self._debug.info[at:end].decode("utf-8", "surrogateescape")
                found.setdefault(name, []).append((unit.offset, unit.end))
        return found

    def _entry_starting_with_name(self, at: int) -> Entry | None:
        """The subprogram whose first attribute, its name, lies at `at`: the code before it must fit exactly."""
        for size in (1, 2):
            start = at - size
            if start < 0:
                continue
            code, behind = uleb(self._debug.info, start)
            unit = self._debug.unit_of(start)
            abbreviation = self._debug.abbreviations(unit).get(code)
            if (
                behind == at
                and abbreviation is not None
                and abbreviation.tag == TAG_SUBPROGRAM
                and abbreviation.attributes[:1] == ((AT_NAME, FORM_STRING, 0),)
            ):
                return self._debug.entry(start, unit)
        return None

    def _concrete(self, origin: int, low_pc: int) -> Entry | None:
        """The out-of-line copy of an inlinable function: a subprogram that begins with a reference to its abstract."""
        needle = struct.pack("<I", origin)
        unit = self._debug.unit_of(origin)
        for start, end in ((unit.offset, unit.end), (0, len(self._debug.info))):
            at = self._debug.info.find(needle, start, end)
            while at >= 0:
                for size in (1, 2):
                    entry = self._subprogram_with_origin(at, size, origin)
                    if entry is not None and entry.attributes.get(AT_LOW_PC) == low_pc:
                        return entry
                at = self._debug.info.find(needle, at + 1, end)
        return None

    def _subprogram_with_origin(self, at: int, size: int, origin: int) -> Entry | None:
        start = at - size
        if start < 0:
            return None
        code, behind = uleb(self._debug.info, start)
        unit = self._debug.unit_of(start)
        abbreviation = self._debug.abbreviations(unit).get(code)
        if behind != at or abbreviation is None or abbreviation.tag != TAG_SUBPROGRAM:
            return None
        if not abbreviation.attributes or abbreviation.attributes[0][0] != AT_ABSTRACT_ORIGIN:
            return None
        entry = self._debug.entry(start, unit)
        return entry if entry is not None and entry.attributes.get(AT_ABSTRACT_ORIGIN) == origin else None

    def _describe(self, symbol: str, low_pc: int, entry: Entry, named: Entry) -> Subprogram:
        parameters, captures = [], []
        for child in self._debug.children(entry):
            variable = self._variable(child)
            if variable is None:
                continue
            if child.tag == TAG_FORMAL_PARAMETER:
                parameters.append(variable)
            elif variable.closure_offset >= 0:
                captures.append(variable)
        return Subprogram(entry.offset, symbol, low_pc, tuple(parameters), tuple(captures))

    def _variable(self, child: Entry) -> Variable | None:
        if child.tag not in (TAG_FORMAL_PARAMETER, TAG_VARIABLE):
            return None
        attributes = child.attributes
        origin = attributes.get(AT_ABSTRACT_ORIGIN)
        if origin is not None:
            abstract = self._debug.entry(origin)
            if abstract is None:
                return None
            attributes = {**abstract.attributes, **attributes}
        if AT_TYPE not in attributes:
            return None
        return Variable(
            name=attributes.get(AT_NAME, b"").decode("utf-8", "replace"),
            type=attributes[AT_TYPE],
            result=bool(attributes.get(AT_VARIABLE_PARAMETER, 0)),
            closure_offset=attributes.get(AT_GO_CLOSURE_OFFSET, -1),
            location=attributes.get(AT_LOCATION),
        )


def entry_location(debug: Dwarf, variable: Variable, low_pc: int) -> bytes:
    """The expression that locates a variable at a function's first instruction, b"" when there is none.

    Reads the location lists of DWARF 4 only (section 2.6.2): newer toolchains do not need it.
    """
    if isinstance(variable.location, bytes):
        return variable.location
    at = variable.location
    if at is None or debug.units[0].version >= 5:
        return b""
    lists, base = debug.section("debug_loc"), 0
    while at + 16 <= len(lists):
        begin, end = struct.unpack_from("<QQ", lists, at)
        at += 16
        if begin == _BASE_SELECTION:
            base = end
        elif begin == end == 0:
            break
        else:
            (size,) = struct.unpack_from("<H", lists, at)
            if (base + begin) % (1 << 64) <= low_pc < (base + end) % (1 << 64):
                return lists[at + 2 : at + 2 + size]
            at += 2 + size
    return b""

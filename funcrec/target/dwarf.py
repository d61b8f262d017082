"""A fast reader of the debug information that Go emits (DWARF 4 and 5): functions and types on demand.

Parsing a large binary's .debug_info takes a general reader many seconds. Here a function is found by searching the
bytes of its name, which Go stores inline as the first attribute, and only its own children and the types they need
are decoded. Knows nothing of registers or of values.
"""

import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from funcrec.errors import TargetError
from funcrec.lang.names import package_path

# DWARF 5 section 7.5.
TAG_ARRAY: Final = 0x01
TAG_FORMAL_PARAMETER: Final = 0x05
TAG_MEMBER: Final = 0x0D
TAG_POINTER: Final = 0x0F
TAG_STRUCTURE: Final = 0x13
TAG_SUBROUTINE_TYPE: Final = 0x15
TAG_TYPEDEF: Final = 0x16
TAG_SUBRANGE: Final = 0x21
TAG_BASE_TYPE: Final = 0x24
TAG_SUBPROGRAM: Final = 0x2E
TAG_VARIABLE: Final = 0x34

AT_LOCATION: Final = 0x02
AT_NAME: Final = 0x03
AT_BYTE_SIZE: Final = 0x0B
AT_LOW_PC: Final = 0x11
AT_ABSTRACT_ORIGIN: Final = 0x31
AT_COUNT: Final = 0x37
AT_MEMBER_OFFSET: Final = 0x38
AT_ENCODING: Final = 0x3E
AT_TYPE: Final = 0x49
AT_VARIABLE_PARAMETER: Final = 0x4B
AT_ADDR_BASE: Final = 0x73
# Go's own, cmd/internal/dwarf/dwarf.go.
AT_GO_KIND: Final = 0x2900
AT_GO_KEY: Final = 0x2901
AT_GO_ELEM: Final = 0x2902
AT_GO_EMBEDDED_FIELD: Final = 0x2903
AT_GO_RUNTIME_TYPE: Final = 0x2904
AT_GO_DICT_INDEX: Final = 0x2906
AT_GO_CLOSURE_OFFSET: Final = 0x2907

_FORM_ADDR: Final = 0x01
_FORM_STRING: Final = 0x08
_FORM_ADDRX: Final = 0x1B
_FIXED: Final = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x0C: 1, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8}
_FIXED.update({0x10: 4, 0x17: 4, 0x0E: 4, 0x1F: 4, 0x25: 1, 0x26: 2, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2C: 4, 0x20: 8})
_UNIT_REFERENCES: Final = frozenset((0x11, 0x12, 0x13, 0x14, 0x15))
_ULEB: Final = frozenset((0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23))
_BLOCKS: Final = {0x0A: 1, 0x03: 2, 0x04: 4}
_BASE_SELECTION: Final = (1 << 64) - 1
_MAX_DESCRIPTORS: Final = 1 << 30  # bytes of runtime type data

Attributes = dict[int, Any]


@dataclass(frozen=True, slots=True)
class _Abbreviation:
    tag: int
    children: bool
    attributes: tuple[tuple[int, int, int], ...]  # name, form, implicit constant


@dataclass(frozen=True, slots=True)
class _Unit:
    offset: int
    end: int
    version: int
    address_bytes: int
    abbreviations: int
    first: int  # offset of the top entry


@dataclass(frozen=True, slots=True)
class Entry:
    """A debugging information entry; `next` is the offset just behind its own attributes."""

    offset: int
    tag: int
    children: bool
    attributes: Attributes
    next: int


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


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """Decode an unsigned LEB128; return value and the offset behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def sleb(data: bytes, at: int) -> tuple[int, int]:
    """Decode a signed LEB128; return value and the offset behind it."""
    start = at
    value, at = uleb(data, at)
    bits = 7 * (at - start)
    return (value - (1 << bits) if data[at - 1] & 0x40 else value), at


class Dwarf:
    """Debug information of one executable.

    Args:
        section: returns a section's bytes by its name without the dot, decompressed, b"" when there is none.

    Raises:
        TargetError: there is no debug information, or it is not what Go emits.
    """

    def __init__(self, section: Callable[[str], bytes]) -> None:
        self.info = section("debug_info")
        self._abbrev = section("debug_abbrev")
        self._section = section
        self._addresses: bytes | None = None
        self._tables: dict[int, dict[int, _Abbreviation]] = {}
        self._address_bases: dict[int, int] = {}
        if not self.info:
            raise TargetError(
                "the binary has no debug information (built with -ldflags=-w or stripped; no debug file was found)",
                remedy="build it without -w and -s, name its --debug-file, or give raw rules as 'main.f(x=%ax:s64)'",
            )
        try:
            self._units = list(self._read_units())
        except (struct.error, IndexError) as error:
            raise TargetError("the binary's debug information is damaged", remedy="build the binary again") from error
        self._unit_offsets = [unit.offset for unit in self._units]

    # Structure

    def _read_units(self) -> Iterator[_Unit]:
        at, info = 0, self.info
        while at + 11 <= len(info):
            length, version = struct.unpack_from("<IH", info, at)
            if length >= 0xFFFFFFF0:
                return  # 64-bit DWARF: no Go toolchain emits it
            if version >= 5:
                kind, address_bytes, abbreviations = struct.unpack_from("<BBI", info, at + 6)
                first = at + 12 + {2: 8, 4: 8, 5: 8, 6: 12}.get(kind, 0)
            else:
                abbreviations, address_bytes = struct.unpack_from("<IB", info, at + 6)
                first = at + 11
            yield _Unit(at, at + 4 + length, version, address_bytes, abbreviations, first)
            at += 4 + length

    def _unit(self, offset: int) -> _Unit:
        return self._units[bisect_right(self._unit_offsets, offset) - 1]

    def _table(self, offset: int) -> dict[int, _Abbreviation]:
        table = self._tables.get(offset)
        if table is None:
            table = self._tables[offset] = self._read_table(offset)
        return table

    def _read_table(self, at: int) -> dict[int, _Abbreviation]:
        table: dict[int, _Abbreviation] = {}
        data = self._abbrev
        while True:
            code, at = uleb(data, at)
            if code == 0:
                return table
            tag, at = uleb(data, at)
            children, at = data[at] != 0, at + 1
            attributes = []
            while True:
                name, at = uleb(data, at)
                form, at = uleb(data, at)
                implicit = 0
                if form == 0x21:
                    implicit, at = sleb(data, at)
                if name == form == 0:
                    break
                attributes.append((name, form, implicit))
            table[code] = _Abbreviation(tag, children, tuple(attributes))

    def entry(self, offset: int, unit: _Unit | None = None) -> Entry | None:
        """Decode the entry at an offset; None for the mark that ends a list of children."""
        unit = unit or self._unit(offset)
        code, at = uleb(self.info, offset)
        if code == 0:
            return None
        abbreviation = self._table(unit.abbreviations)[code]
        attributes: Attributes = {}
        for name, form, implicit in abbreviation.attributes:
            attributes[name], at = self._value(form, implicit, at, unit)
        return Entry(offset, abbreviation.tag, abbreviation.children, attributes, at)

    def _value(self, form: int, implicit: int, at: int, unit: _Unit) -> tuple[Any, int]:
        info = self.info
        size = _FIXED.get(form)
        if size is not None:
            value = int.from_bytes(info[at : at + size], "little")
            return (value + unit.offset if form in _UNIT_REFERENCES else value), at + size
        if form == _FORM_STRING:
            end = info.index(b"\0", at)
            return info[at:end], end + 1
        if form in _ULEB:
            value, at = uleb(info, at)
            if form == _FORM_ADDRX:
                value = self._address(unit, value)
            return (value + unit.offset if form == 0x15 else value), at
        if form == _FORM_ADDR:
            return int.from_bytes(info[at : at + unit.address_bytes], "little"), at + unit.address_bytes
        if form == 0x0D:
            return sleb(info, at)
        if form == 0x19:
            return 1, at
        if form == 0x21:
            return implicit, at
        if form in (0x18, 0x09):
            size, at = uleb(info, at)
        elif form in _BLOCKS:
            width = _BLOCKS[form]
            size, at = int.from_bytes(info[at : at + width], "little"), at + width
        elif form == 0x1E:
            size = 16
        else:
            raise TargetError(f"debug information with the unknown form {form:#x}", remedy="report the Go version")
        return info[at : at + size], at + size

    def _address(self, unit: _Unit, index: int) -> int:
        """DW_FORM_addrx: the address table starts where the unit's top entry says."""
        if self._addresses is None:
            self._addresses = self._section("debug_addr")
        base = self._address_bases.get(unit.offset)
        if base is None:
            self._address_bases[unit.offset] = 8  # while the top entry itself, whose low_pc is an index, is decoded
            top = self.entry(unit.first, unit)
            base = self._address_bases[unit.offset] = top.attributes.get(AT_ADDR_BASE, 8) if top else 8
        start = base + index * unit.address_bytes
        return int.from_bytes(self._addresses[start : start + unit.address_bytes], "little")

    def children(self, parent: Entry) -> Iterator[Entry]:
        """Direct children, in order; what lies below them is skipped."""
        if not parent.children:
            return
        unit, at = self._unit(parent.offset), parent.next
        while True:
            child = self.entry(at, unit)
            if child is None:
                return
            yield child
            at = self._behind(child, unit)

    def _behind(self, entry: Entry, unit: _Unit) -> int:
        """Offset behind an entry and all that lies below it."""
        at, depth = entry.next, int(entry.children)
        while depth:
            child = self.entry(at, unit)
            if child is None:
                depth, at = depth - 1, at + 1
            else:
                depth, at = depth + child.children, child.next
        return at

    # Functions

    def subprogram(self, symbol: str, low_pc: int) -> Subprogram | None:
        """Find a function by its symbol name and entry address; None when debug information does not have it."""
        needle = symbol.encode("utf-8", "surrogateescape") + b"\0"
        # Nearly always in the unit of its package: to look through all of a large binary takes milliseconds.
        for start, end in (*self._packages.get(package_path(symbol), ()), (0, len(self.info))):
            at = self.info.find(needle, start, end)
            while at >= 0:
                named = self._entry_starting_with_name(at)
                if named is not None:
                    found = named if AT_LOW_PC in named.attributes else self._concrete(named.offset, low_pc)
                    if found is not None and found.attributes.get(AT_LOW_PC) == low_pc:
                        return self._describe(symbol, low_pc, found, named)
                at = self.info.find(needle, at + 1, end)
        return None

    @cached_property
    def _packages(self) -> dict[str, list[tuple[int, int]]]:
        """Where the units of each package begin and end."""
        found: dict[str, list[tuple[int, int]]] = {}
        for unit in self._units:
            try:
                code, at = uleb(self.info, unit.first)
                abbreviation = self._table(unit.abbreviations).get(code)
                end = self.info.index(b"\0", at)
            except (IndexError, ValueError):
                continue  # damaged: its functions are looked for everywhere
            if abbreviation is not None and abbreviation.attributes[:1] == ((AT_NAME, _FORM_STRING, 0),):
                name = self.info[at:end].decode("utf-8", "surrogateescape")
                found.setdefault(name, []).append((unit.offset, unit.end))
        return found

    def _entry_starting_with_name(self, at: int) -> Entry | None:
        """The subprogram whose first attribute, its name, lies at `at`: the code before it must fit exactly."""
        for size in (1, 2):
            start = at - size
            if start < 0:
                continue
            code, behind = uleb(self.info, start)
            unit = self._unit(start)
            abbreviation = self._table(unit.abbreviations).get(code)
            if (
                behind == at
                and abbreviation is not None
                and abbreviation.tag == TAG_SUBPROGRAM
                and abbreviation.attributes[:1] == ((AT_NAME, _FORM_STRING, 0),)
            ):
                return self.entry(start, unit)
        return None

    def _concrete(self, origin: int, low_pc: int) -> Entry | None:
        """The out-of-line copy of an inlinable function: a subprogram that begins with a reference to its abstract."""
        needle = struct.pack("<I", origin)
        unit = self._unit(origin)
        for start, end in ((unit.offset, unit.end), (0, len(self.info))):
            at = self.info.find(needle, start, end)
            while at >= 0:
                for size in (1, 2):
                    entry = self._subprogram_with_origin(at, size, origin)
                    if entry is not None and entry.attributes.get(AT_LOW_PC) == low_pc:
                        return entry
                at = self.info.find(needle, at + 1, end)
        return None

    def _subprogram_with_origin(self, at: int, size: int, origin: int) -> Entry | None:
        start = at - size
        if start < 0:
            return None
        code, behind = uleb(self.info, start)
        unit = self._unit(start)
        abbreviation = self._table(unit.abbreviations).get(code)
        if behind != at or abbreviation is None or abbreviation.tag != TAG_SUBPROGRAM:
            return None
        if not abbreviation.attributes or abbreviation.attributes[0][0] != AT_ABSTRACT_ORIGIN:
            return None
        entry = self.entry(start, unit)
        return entry if entry is not None and entry.attributes.get(AT_ABSTRACT_ORIGIN) == origin else None

    def _describe(self, symbol: str, low_pc: int, entry: Entry, named: Entry) -> Subprogram:
        parameters, captures = [], []
        for child in self.children(entry):
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
            abstract = self.entry(origin)
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

    def entry_location(self, variable: Variable, low_pc: int) -> bytes:
        """The expression that locates a variable at a function's first instruction, b"" when there is none.

        Reads the location lists of DWARF 4 only (section 2.6.2): newer toolchains do not need it.
        """
        if isinstance(variable.location, bytes):
            return variable.location
        at = variable.location
        if at is None or self._units[0].version >= 5:
            return b""
        lists, base = self._section("debug_loc"), 0
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

    # Types that the runtime knows

    def runtime_types(self) -> dict[int, int]:
        """Offsets of type entries by the place of their runtime descriptor (bytes from moduledata.types).

        Found by a pattern over the bytes, because decoding all types takes seconds: a type entry starts with an inline
        name, and the attributes between that and the descriptor's place have a known shape.
        """
        types: dict[int, int] = {}
        for unit in self._units:
            top = self.entry(unit.first, unit)
            if top is None or top.attributes.get(AT_NAME) != b"runtime":
                continue  # the linker puts all types into one unit of that name
            table = self._table(unit.abbreviations)
            pattern = self._runtime_pattern(table, unit)
            if pattern is None:
                continue
            for match in pattern.finditer(self.info, unit.first, unit.end):
                entry = self._runtime_entry(match.start(), table, unit)
                if entry is not None:
                    types.setdefault(entry.attributes[AT_GO_RUNTIME_TYPE], entry.offset)
        return types

    def _runtime_entry(self, at: int, table: dict[int, _Abbreviation], unit: _Unit) -> Entry | None:
        try:
            entry = self.entry(at, unit)
        except (IndexError, ValueError, KeyError, TargetError):
            return None
        if entry is None:
            return None
        place = entry.attributes.get(AT_GO_RUNTIME_TYPE, 0)
        genuine = 0 < place < _MAX_DESCRIPTORS and place % 8 == 0 and entry.attributes.get(AT_TYPE, 0) < len(self.info)
        # Pointers may have kind 0 (up to Go 1.21); elsewhere that betrays the tail of a longer name.
        genuine = genuine and (entry.tag == TAG_POINTER or entry.attributes.get(AT_GO_KIND, 1) != 0)
        return entry if genuine else None

    def _runtime_pattern(self, table: dict[int, _Abbreviation], unit: _Unit) -> "re.Pattern[bytes] | None":
        alternatives = []
        for code, abbreviation in table.items():
            names = [name for name, _, _ in abbreviation.attributes]
            if AT_GO_RUNTIME_TYPE not in names or names[0] != AT_NAME or code > 0x7F:
                continue
            parts = [_form_pattern(form, name, unit.address_bytes) for name, form, _ in abbreviation.attributes]
            alternatives.append(re.escape(bytes([code])) + b"".join(parts))
        if not alternatives:
            return None
        return re.compile(b"(?s)(?=" + b"|".join(b"(?:" + text + b")" for text in alternatives) + b")")


def _form_pattern(form: int, name: int, address_bytes: int) -> bytes:
    """A pattern for the bytes of one attribute, as narrow as can be said without decoding."""
    if form == _FORM_STRING:
        return rb"[^\x00-\x1f\x7f]{1,2000}\x00"
    if form == _FORM_ADDR:
        return rb".{4}\x00{4}" if address_bytes == 8 else rb".{%d}" % address_bytes
    if form == 0x0B and name == AT_GO_KIND:
        return rb"[\x00-\x3a]"
    if form in _ULEB or form == 0x0D:
        return rb"[\x80-\xff]{0,9}[\x00-\x7f]"
    if form in (0x19, 0x21):
        return b""
    return rb".{%d}" % _FIXED.get(form, 1)

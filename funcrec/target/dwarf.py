"""A fast reader of the debug information that Go emits (DWARF 4 and 5): any entry on demand.

Parsing a large binary's .debug_info takes a general reader many seconds. Here nothing is decoded but the entries that
are asked for, by their offset. Knows nothing of registers or of values.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from funcrec.errors import TargetError

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

FORM_ADDR: Final = 0x01
FORM_STRING: Final = 0x08
_FORM_ADDRX: Final = 0x1B
FIXED_FORMS: Final = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x0C: 1, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8}
FIXED_FORMS.update({0x10: 4, 0x17: 4, 0x0E: 4, 0x1F: 4, 0x25: 1, 0x26: 2, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2C: 4, 0x20: 8})
_UNIT_REFERENCES: Final = frozenset((0x11, 0x12, 0x13, 0x14, 0x15))
ULEB_FORMS: Final = frozenset((0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23))
_BLOCKS: Final = {0x0A: 1, 0x03: 2, 0x04: 4}

Attributes = dict[int, Any]


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """The shape of an entry; of its attributes name, form and implicit constant."""

    tag: int
    children: bool
    attributes: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """A compilation unit by offsets in .debug_info; the top entry is at `first`, `abbreviations` in .debug_abbrev."""

    offset: int
    end: int
    version: int
    address_bytes: int
    abbreviations: int
    first: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A debugging information entry; `next` is the offset just behind its own attributes."""

    offset: int
    tag: int
    children: bool
    attributes: Attributes
    next: int


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

    Attributes:
        info: the bytes of .debug_info.
        units: in their order there.
        section: as below.

    Args:
        section: returns a section's bytes by its name without the dot, decompressed, b"" when there is none.

    Raises:
        TargetError: there is no debug information, or it is not what Go emits.
    """

    def __init__(self, section: Callable[[str], bytes]) -> None:
        self.info = section("debug_info")
        self._abbrev = section("debug_abbrev")
        self.section = section
        self._addresses: bytes | None = None
        self._tables: dict[int, dict[int, Abbreviation]] = {}
        self._address_bases: dict[int, int] = {}
        if not self.info:
            raise TargetError(
                "the binary has no debug information (built with -ldflags=-w or stripped; no debug file was found)",
                remedy="build it without -w and -s, name its --debug-file, or give raw rules as 'main.f(x=%ax:s64)'",
            )
        try:
            self.units = list(self._read_units())
        except (struct.error, IndexError) as error:
            raise TargetError("the binary's debug information is damaged", remedy="build the binary again") from error
        self._unit_offsets = [unit.offset for unit in self.units]

    def _read_units(self) -> Iterator[Unit]:
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
            yield Unit(at, at + 4 + length, version, address_bytes, abbreviations, first)
            at += 4 + length

    def unit_of(self, offset: int) -> Unit:
        """The unit that an offset lies in."""
        return self.units[bisect_right(self._unit_offsets, offset) - 1]

    def abbreviations(self, unit: Unit) -> dict[int, Abbreviation]:
        """The shapes of a unit's entries by their codes."""
        table = self._tables.get(unit.abbreviations)
        if table is None:
            table = self._tables[unit.abbreviations] = self._read_table(unit.abbreviations)
        return table

    def _read_table(self, at: int) -> dict[int, Abbreviation]:
        table: dict[int, Abbreviation] = {}
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
            table[code] = Abbreviation(tag, children, tuple(attributes))

    def entry(self, offset: int, unit: Unit | None = None) -> Entry | None:
        """Decode the entry at an offset; None for the mark that ends a list of children."""
        unit = unit or self.unit_of(offset)
        code, at = uleb(self.info, offset)
        if code == 0:
            return None
        abbreviation = self.abbreviations(unit)[code]
        attributes: Attributes = {}
        for name, form, implicit in abbreviation.attributes:
            attributes[name], at = self._value(form, implicit, at, unit)
        return Entry(offset, abbreviation.tag, abbreviation.children, attributes, at)

    def _value(self, form: int, implicit: int, at: int, unit: Unit) -> tuple[Any, int]:
        info = self.info
        size = FIXED_FORMS.get(form)
        if size is not None:
            value = int.from_bytes(info[at : at + size], "little")
            return (value + unit.offset if form in _UNIT_REFERENCES else value), at + size
        if form == FORM_STRING:
            end = info.index(b"\0", at)
            return info[at:end], end + 1
        if form in ULEB_FORMS:
            value, at = uleb(info, at)
            if form == _FORM_ADDRX:
                value = self._address(unit, value)
            return (value + unit.offset if form == 0x15 else value), at
        if form == FORM_ADDR:
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

    def _address(self, unit: Unit, index: int) -> int:
        """DW_FORM_addrx: the address table starts where the unit's top entry says."""
        if self._addresses is None:
            self._addresses = self.section("debug_addr")
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
        unit, at = self.unit_of(parent.offset), parent.next
        while True:
            child = self.entry(at, unit)
            if child is None:
                return
            yield child
            at = self._behind(child, unit)

    def _behind(self, entry: Entry, unit: Unit) -> int:
        """Offset behind an entry and all that lies below it."""
        at, depth = entry.next, int(entry.children)
        while depth:
            child = self.entry(at, unit)
            if child is None:
                depth, at = depth - 1, at + 1
            else:
                depth, at = depth + child.children, child.next
        return at

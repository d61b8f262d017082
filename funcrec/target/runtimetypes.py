"""The types of debug information that the runtime has descriptors of: what an interface may hold."""

import re
from typing import Final

from funcrec.errors import TargetError
from funcrec.target.dwarf import (
    AT_GO_KIND,
    AT_GO_RUNTIME_TYPE,
    AT_NAME,
    AT_TYPE,
    FIXED_FORMS,
    FORM_ADDR,
    FORM_STRING,
    TAG_POINTER,
    ULEB_FORMS,
    Abbreviation,
    Dwarf,
    Entry,
    Unit,
)

_MAX_DESCRIPTORS: Final = 1 << 30  # bytes of runtime type data


def runtime_types(debug: Dwarf) -> dict[int, int]:
    """Offsets of type entries by the place of their runtime descriptor (bytes from moduledata.types).

    Found by a pattern over the bytes, because decoding all types takes seconds: a type entry starts with an inline
    name, and the attributes between that and the descriptor's place have a known shape.
    """
    types: dict[int, int] = {}
    for unit in debug.units:
        top = debug.entry(unit.first, unit)
        if top is None or top.attributes.get(AT_NAME) != b"runtime":
            continue  # the linker puts all types into one unit of that name
        pattern = _runtime_pattern(debug.abbreviations(unit), unit)
        if pattern is None:
            continue
        for match in pattern.finditer(debug.info, unit.first, unit.end):
            entry = _runtime_entry(debug, match.start(), unit)
            if entry is not None:
                types.setdefault(entry.attributes[AT_GO_RUNTIME_TYPE], entry.offset)
    return types


def _runtime_entry(debug: Dwarf, at: int, unit: Unit) -> Entry | None:
    try:
        entry = debug.entry(at, unit)
    except (IndexError, ValueError, KeyError, TargetError):
        return None
    if entry is None:
        return None
    place = entry.attributes.get(AT_GO_RUNTIME_TYPE, 0)
    genuine = 0 < place < _MAX_DESCRIPTORS and place % 8 == 0 and entry.attributes.get(AT_TYPE, 0) < len(debug.info)
    # Pointers may have kind 0 (up to Go 1.21); elsewhere that betrays the tail of a longer name.
    genuine = genuine and (entry.tag == TAG_POINTER or entry.attributes.get(AT_GO_KIND, 1) != 0)
    return entry if genuine else None


def _runtime_pattern(table: dict[int, Abbreviation], unit: Unit) -> "re.Pattern[bytes] | None":
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
    if form == FORM_STRING:
        return rb"[^\x00-\x1f\x7f]{1,2000}\x00"
    if form == FORM_ADDR:
        return rb".{4}\x00{4}" if address_bytes == 8 else rb".{%d}" % address_bytes
    if form == 0x0B and name == AT_GO_KIND:
        return rb"[\x00-\x3a]"
    if form in ULEB_FORMS or form == 0x0D:
        return rb"[\x80-\xff]{0,9}[\x00-\x7f]"
    if form in (0x19, 0x21):
        return b""
    return rb".{%d}" % FIXED_FORMS.get(form, 1)

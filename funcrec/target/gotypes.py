"""Type entries of debug information to Go types, each when it is first asked for."""

from functools import partial

from funcrec.lang.types import UNKNOWN, Field, GoType, Kind, TypeTable, as_shape
from funcrec.target import dwarf
from funcrec.target.dwarf import Dwarf, Entry
from funcrec.target.runtimetypes import runtime_types

_ENCODINGS = {2: Kind.BOOL, 3: Kind.COMPLEX, 4: Kind.FLOAT, 5: Kind.INT, 6: Kind.INT, 7: Kind.UINT, 8: Kind.UINT}
_REFLECT_KINDS = {20: Kind.EFACE, 18: Kind.CHAN, 21: Kind.MAP}
_REFLECT_STRING, _REFLECT_SLICE = 24, 23
_MAX_ALIASES = 32


class GoTypes:
    """Loads types into a table.

    Attributes:
        table: the types by number; a type that nobody looked at has no row yet.
        debug: where they come from.
    """

    def __init__(self, debug: Dwarf) -> None:
        self.debug = self._dwarf = debug
        self.table = TypeTable()
        self._numbers: dict[int, int] = {}

    def number(self, offset: int) -> int:
        """Number of the type whose entry lies at an offset; the entry itself is decoded on first use."""
        number = self._numbers.get(offset)
        if number is None:
            number = self._numbers[offset] = self.table.later(partial(self._load, offset))
        return number

    def pointer_to_fields(self, name: str, fields: tuple[Field, ...], size: int) -> int:
        """A made-up pointer to a structure: how a closure's captured variables are reached."""
        inner = self.table.add(GoType(Kind.STRUCT, name, size, 8, fields=fields))
        return self.table.add(GoType(Kind.POINTER, "*" + name, 8, 8, elem=inner))

    def runtime_types(self) -> dict[int, int]:
        """Type numbers by the place of their runtime descriptor (bytes from moduledata.types)."""
        return {place: self.number(offset) for place, offset in runtime_types(self._dwarf).items()}

    def name_at(self, offset: int) -> str:
        """Name of the type at an offset, without loading it."""
        entry = self._dwarf.entry(offset)
        return _name(entry) if entry else ""

    def _load(self, offset: int) -> GoType:
        entry = self._dwarf.entry(offset)
        if entry is None:
            return UNKNOWN
        shape = -1
        named = entry
        for _ in range(_MAX_ALIASES):
            attributes = entry.attributes
            if entry.tag != dwarf.TAG_TYPEDEF:
                break
            shape = attributes.get(dwarf.AT_GO_DICT_INDEX, shape)
            kind = attributes.get(dwarf.AT_GO_KIND, 0) & 0x1F
            if kind in _REFLECT_KINDS:
                return self._by_reflect_kind(entry, _REFLECT_KINDS[kind], shape)
            target = self._dwarf.entry(attributes[dwarf.AT_TYPE])
            if target is None:
                return UNKNOWN
            entry = target
        loaded = self._concrete(entry, named)
        return as_shape(loaded, shape) if shape >= 0 else loaded

    def _by_reflect_kind(self, entry: Entry, kind: Kind, shape: int) -> GoType:
        attributes = entry.attributes
        elem, key = attributes.get(dwarf.AT_GO_ELEM), attributes.get(dwarf.AT_GO_KEY)
        size = 8
        if kind is Kind.EFACE:
            size = 16
            kind = Kind.EFACE if self._is_eface(attributes[dwarf.AT_TYPE]) else Kind.IFACE
        return GoType(
            kind,
            _name(entry),
            size,
            8,
            elem=self.number(elem) if elem else -1,
            key=self.number(key) if key else -1,
            runtime=attributes.get(dwarf.AT_GO_RUNTIME_TYPE, 0),
            shape=shape,
        )

    def _is_eface(self, offset: int) -> bool:
        """Interfaces are typedefs, maybe of one another, that end at runtime.eface or runtime.iface."""
        for _ in range(_MAX_ALIASES):
            entry = self._dwarf.entry(offset)
            if entry is None or entry.tag != dwarf.TAG_TYPEDEF:
                return entry is not None and _name(entry) == "runtime.eface"
            if _name(entry) in ("runtime.eface", "runtime.iface"):
                return _name(entry) == "runtime.eface"
            offset = entry.attributes[dwarf.AT_TYPE]
        return False

    def _concrete(self, entry: Entry, named: Entry) -> GoType:
        attributes = entry.attributes
        name = _name(entry)
        runtime = attributes.get(dwarf.AT_GO_RUNTIME_TYPE, 0)
        size = attributes.get(dwarf.AT_BYTE_SIZE, 0)
        kind = attributes.get(dwarf.AT_GO_KIND, 0) & 0x1F
        if entry.tag == dwarf.TAG_BASE_TYPE:
            number = _ENCODINGS.get(attributes.get(dwarf.AT_ENCODING, 0))
            if number is None or size not in (1, 2, 4, 8, 16):
                return GoType(Kind.OPAQUE, name, size)
            return GoType(number, name, size, size // 2 if number is Kind.COMPLEX else size, runtime=runtime)
        if entry.tag == dwarf.TAG_POINTER:
            target = attributes.get(dwarf.AT_TYPE)
            if target is None:
                return GoType(Kind.UNSAFE, name, 8, 8, runtime=runtime)
            return GoType(Kind.POINTER, name, 8, 8, elem=self.number(target), runtime=runtime)
        if entry.tag == dwarf.TAG_SUBROUTINE_TYPE:
            return GoType(Kind.FUNC, name, 8, 8, runtime=runtime)
        if entry.tag == dwarf.TAG_ARRAY:
            return self._array(entry, name, size, runtime)
        if entry.tag == dwarf.TAG_STRUCTURE:
            if kind == _REFLECT_STRING:
                return GoType(Kind.STRING, name, 16, 8, runtime=runtime)
            if kind == _REFLECT_SLICE:
                return self._slice(entry, name, runtime)
            return self._structure(entry, name, size, runtime)
        return GoType(Kind.OPAQUE, name or _name(named), size)

    def _array(self, entry: Entry, name: str, size: int, runtime: int) -> GoType:
        elem = self.number(entry.attributes[dwarf.AT_TYPE])
        count = 0
        for child in self._dwarf.children(entry):
            if child.tag == dwarf.TAG_SUBRANGE:
                count = child.attributes.get(dwarf.AT_COUNT, 0)
        return GoType(Kind.ARRAY, name, size, self.table[elem].align, elem=elem, count=count, runtime=runtime)

    def _slice(self, entry: Entry, name: str, runtime: int) -> GoType:
        elem = entry.attributes.get(dwarf.AT_GO_ELEM)
        if not elem:
            first = next(self._dwarf.children(entry))
            pointer = self._dwarf.entry(first.attributes[dwarf.AT_TYPE])
            elem = pointer.attributes[dwarf.AT_TYPE] if pointer else 0
        return GoType(Kind.SLICE, name, 24, 8, elem=self.number(elem), runtime=runtime)

    def _structure(self, entry: Entry, name: str, size: int, runtime: int) -> GoType:
        fields, align = [], 1
        for child in self._dwarf.children(entry):
            if child.tag != dwarf.TAG_MEMBER:
                continue
            attributes = child.attributes
            number = self.number(attributes[dwarf.AT_TYPE])
            offset = attributes.get(dwarf.AT_MEMBER_OFFSET, 0)
            embedded = bool(attributes.get(dwarf.AT_GO_EMBEDDED_FIELD, 0))
            fields.append(Field(_name(child), offset if isinstance(offset, int) else 0, number, embedded))
            align = max(align, self.table[number].align)
        return GoType(Kind.STRUCT, name, size, align, fields=tuple(fields), runtime=runtime)


def _name(entry: Entry) -> str:
    name: bytes = entry.attributes.get(dwarf.AT_NAME, b"")
    return name.decode("utf-8", "replace")

"""Raw bytes and types to values, in the JSON forms of the machine contract.

Whatever the bytes claim, decoding ends in bounded time: depth, nesting and the number of values are limited, and what
cannot be shown says why in its place.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from funcrec.lang.steps import Step, StepKind
from funcrec.lang.types import REDACTED, GoType, Kind, TypeTable, pointer_shaped, stands_for_another
from funcrec.trace.blobs import CAPTURE_STACK, Memory, UnreadError
from funcrec.trace.forms import (
    RAW_FORMS,
    SIGN,
    Json,
    address_form,
    characters_form,
    float_form,
    signed,
    text_form,
    time_form,
)
from funcrec.trace.valueplans import CapturePlan, RawLayout, ValueLayout, read_plans

MAX_NESTING = 48
MAX_NODES = 20_000  # values shown of one capture
MAX_ROOT_BYTES = 1 << 16
# Errors whose text is their first field: errors.New and fmt.Errorf of every Go version.
TEXT_ERRORS = frozenset(("*errors.errorString", "*fmt.wrapError", "*fmt.wrapErrors", "*fmt.fmtError"))


def shows_text(types: TypeTable, type_: GoType) -> bool:
    """Whether an error of this dynamic type is shown as its text, which nobody redacted."""
    if type_.name not in TEXT_ERRORS or type_.kind is not Kind.POINTER or type_.elem < 0:
        return False
    fields = types[type_.elem].fields
    return bool(fields) and types[fields[0].type].kind is Kind.STRING


@dataclass(frozen=True, slots=True)
class _Place:
    """Bytes of a value: `at` in `data`, `size` of them from there; what lies in `missing` could not be read."""

    data: bytes
    at: int
    size: int
    missing: tuple[tuple[int, int, str], ...] = ()

    def bytes(self, offset: int, size: int) -> bytes:
        for start, length, reason in self.missing:
            if offset + self.at < start + length and start < offset + self.at + size:
                raise UnreadError(reason)
        if offset + size > self.size:
            raise UnreadError("not captured", absent=True)
        return self.data[self.at + offset : self.at + offset + size]

    def word(self, offset: int) -> int:
        return int.from_bytes(self.bytes(offset, 8), "little")

    def part(self, offset: int) -> "_Place":
        return _Place(self.data, self.at + offset, max(self.size - offset, 0), self.missing)


class Decoder:
    """Decodes the captures of one trace.

    Args:
        type_rows, plan_rows: the trace's tables `types` and `plans`.
        code: names of functions by their address as linked.

    Raises:
        TraceError: the tables are malformed.

    Attributes:
        types: the type table.
        plans: capture plans, by their number.
        code: as given.
        plan_of_site: site number -> number of its plan.
    """

    def __init__(
        self, type_rows: Sequence[Any], plan_rows: Sequence[Any], code: Mapping[int, str] = MappingProxyType({})
    ) -> None:
        self.code = code
        self.types, self.plans = read_plans(type_rows, plan_rows)
        self.plan_of_site = {site: number for number, plan in enumerate(self.plans) for site in plan.sites}
        self.by_runtime = {
            self.types[number].runtime: number for number in range(len(self.types)) if self.types[number].runtime
        }

    def decode(self, site: int, blob: bytes) -> tuple[dict[str, Json], dict[str, Json]]:
        """All values of a capture by name: arguments and results; none when the site has no plan."""
        arguments: dict[str, Json] = {}
        results: dict[str, Json] = {}
        number = self.plan_of_site.get(site)
        if number is not None:
            plan = self.plans[number]
            capture = _Capture(self, plan, Memory(blob, plan.area_bytes))
            for value in plan.values:
                (results if value.result else arguments)[value.name] = capture.value(value)
        return arguments, results

    def decode_one(self, plan: CapturePlan, value: ValueLayout, extra: Sequence[Step], blob: bytes) -> Json:
        """One value of a capture, or what further steps lead to from there."""
        return _Capture(self, plan, Memory(blob, plan.area_bytes)).value(value, tuple(extra))


class _Capture:
    def __init__(self, decoder: Decoder, plan: CapturePlan, memory: Memory) -> None:
        self.types: TypeTable = decoder.types
        self._by_runtime = decoder.by_runtime
        self._code = decoder.code
        self._plan = plan
        self._memory = memory
        self._nodes = 0
        self._dictionary = -1

    def value(self, layout: ValueLayout, extra: tuple[Step, ...] = ()) -> Json:
        self._dictionary = layout.dictionary
        try:
            if layout.raw is not None:
                return self._raw(layout.raw)
            number, place = self._walk(layout.type, self._root(layout), layout.steps + extra)
            return self._length if place is None else self._render(number, place, 0, 0)
        except UnreadError as unread:
            return {"$error": unread.reason}
        except (struct.error, OverflowError, ValueError, IndexError):
            return {"$error": "damaged"}

    # Roots and paths

    def _root(self, layout: ValueLayout) -> _Place:
        size = self.types[layout.type].size
        data = bytearray(min(size, MAX_ROOT_BYTES))
        missing = []
        for offset, length, slot in layout.pieces:
            reason = "float register" if slot < 0 else ""
            if slot >= self._plan.stack_at and self._memory.status & CAPTURE_STACK:
                reason = "unreadable"
            elif slot >= 0 and slot + length > self._memory.area_bytes:
                reason = "not captured"
            if reason:
                missing.append((offset, length, reason))
            else:
                data[offset : offset + length] = self._memory.blob[slot : slot + length]
        return _Place(bytes(data[:size]), 0, min(size, len(data)), tuple(missing))

    def _walk(self, number: int, place: _Place, steps: tuple[Step, ...]) -> tuple[int, _Place | None]:
        """Follow a path; None for the place when it ends in a length, which is then in _length."""
        for position, step in enumerate(steps):
            type_ = self.types[number]
            if step.kind is StepKind.FIELD:
                place = place.part(step.offset)
            elif step.kind in (StepKind.LENGTH, StepKind.CAPACITY):
                self._length = self._measure(type_, step.kind, place)
                return number, None
            else:
                pointer = place.word(0)
                if step.kind is StepKind.INDEX and not step.index < place.word(8) < SIGN:
                    raise UnreadError("index out of range")
                if pointer == 0:
                    raise UnreadError("nil pointer")
                ahead = self._ahead(steps[position + 1 :])
                shift = step.offset if step.kind is StepKind.INDEX else 0
                at, available = self._memory.find((pointer + shift + ahead) % (1 << 64))
                # What lies before the captured part is not there; the fields that follow lead past it.
                place = _Place(self._memory.blob, at - ahead, available + ahead)
            number = step.type
        return number, place

    @staticmethod
    def _ahead(steps: tuple[Step, ...]) -> int:
        """Bytes between a pointer's target and the first of it that a path wants."""
        total = 0
        for step in steps:
            if step.kind is not StepKind.FIELD:
                break
            total += step.offset
        return total

    def _measure(self, type_: GoType, kind: StepKind, place: _Place) -> int:
        capacity = kind is StepKind.CAPACITY
        if type_.kind in (Kind.STRING, Kind.SLICE):
            return signed(place.word(16 if capacity else 8))
        if type_.kind in (Kind.MAP, Kind.CHAN):
            pointer = place.word(0)
            return self._memory.word(pointer + (8 if capacity else 0)) if pointer else 0
        raise UnreadError("no length")

    # Values by type

    def _render(self, number: int, place: _Place, depth: int, nesting: int) -> Json:
        type_ = self.types[number]
        self._nodes += 1
        if nesting > MAX_NESTING:
            return {"$error": "too deep"}
        if self._nodes > MAX_NODES:
            return {"$error": "too large"}
        try:
            return _RENDERERS[type_.kind](self, type_, place, depth, nesting + 1)
        except UnreadError as unread:
            return {"$error": unread.reason}

    def _bool(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        return place.bytes(0, 1) != b"\0"

    def _int(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        return int.from_bytes(place.bytes(0, type_.size), "little", signed=True)

    def _uint(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        return int.from_bytes(place.bytes(0, type_.size), "little")

    def _float(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        return float_form(place.bytes(0, type_.size))

    def _complex(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        half = type_.size // 2
        return [float_form(place.bytes(0, half)), float_form(place.bytes(half, half))]

    def _string(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        data, length = self._text(place)
        return text_form(data, length)

    def _text(self, place: _Place) -> tuple[bytes, int]:
        """The bytes that were captured of a string or []byte, and its length."""
        pointer, length = place.word(0), signed(place.word(8))
        if length == 0:
            return b"", 0
        if length < 0:
            raise UnreadError("bad length")
        if pointer == 0:
            raise UnreadError("unreadable")
        try:
            at, available = self._memory.find(pointer)
        except UnreadError as unread:
            if unread.absent:
                return b"", length
            raise
        return self._memory.blob[at : at + min(available, length)], length

    def _slice(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        pointer, length = place.word(0), signed(place.word(8))
        if pointer == 0 and length == 0:
            return None
        elem = self.types[type_.elem]
        if elem.kind is Kind.UINT and elem.size == 1:
            data, length = self._text(place)
            form: Json = {"$hex": data.hex()}
            return form if len(data) == length else {"$truncated": length, "value": form}
        if length < 0:
            raise UnreadError("bad length")
        count = min(length, self._plan.elements)
        if elem.size and count:
            if pointer == 0:
                raise UnreadError("unreadable")
            try:
                at, available = self._memory.find(pointer)
            except UnreadError as unread:
                if unread.absent:
                    return {"$truncated": length, "value": []}
                raise
            count = min(count, -(-available // elem.size))
            found = _Place(self._memory.blob, at, available)
        else:
            found = _Place(b"", 0, 0)
        shown = [self._render(type_.elem, found.part(i * elem.size), depth, nesting) for i in range(count)]
        return shown if count == length else {"$truncated": length, "value": shown}

    def _array(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        count = min(type_.count, self._plan.elements)
        size = self.types[type_.elem].size
        shown = [self._render(type_.elem, place.part(i * size), depth, nesting) for i in range(count)]
        return shown if count == type_.count else {"$truncated": type_.count, "value": shown}

    def _struct(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        if type_.name == "time.Time" and type_.size == 24:
            return time_form(place.word(0), signed(place.word(8)))
        return {
            field.name: self._render(field.type, place.part(field.offset), depth, nesting)
            for field in type_.fields
            if field.name != "_"
        }

    def _pointer(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        pointer = place.word(0)
        if pointer == 0:
            return None
        if stands_for_another(type_):
            concrete = self._from_dictionary(type_)
            if concrete is None or stands_for_another(concrete):
                return address_form(pointer)
            type_ = concrete
        if depth >= self._plan.depth or type_.elem < 0:
            return address_form(pointer)
        if self.types[type_.elem].size == 0:
            return self._render(type_.elem, _Place(b"", 0, 0), depth + 1, nesting)
        try:
            at, available = self._memory.find(pointer)
        except UnreadError as unread:
            if unread.absent:
                return address_form(pointer)
            raise
        return self._render(type_.elem, _Place(self._memory.blob, at, available), depth + 1, nesting)

    def _from_dictionary(self, type_: GoType) -> GoType | None:
        """The pointer type that a generic parameter stands for in this call."""
        at = self._dictionary
        if type_.shape < 0 or at < 0 or at + 8 > self._memory.area_bytes:
            return None
        dictionary = int.from_bytes(self._memory.blob[at : at + 8], "little")
        try:
            descriptor = self._memory.word((dictionary + 8 * type_.shape) % (1 << 64))
        except UnreadError:
            return None
        number = self._by_runtime.get(descriptor - self._memory.bias)
        return self.types[number] if number is not None and self.types[number].kind is Kind.POINTER else None

    def _reference(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        pointer = place.word(0)
        return address_form(pointer) if pointer else None

    def _function(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        pointer = place.word(0)
        if pointer == 0:
            return None
        try:
            name = self._code.get(self._memory.word(pointer) - self._memory.bias)
        except UnreadError:
            name = None
        return address_form(pointer) if name is None else address_form(pointer) | {"$func": name}

    def _map(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        pointer = place.word(0)
        if pointer == 0:
            return None
        try:
            return {"$len": signed(self._memory.word(pointer))}
        except UnreadError as unread:
            if unread.absent:
                return address_form(pointer)
            raise

    def _iface(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        table = place.word(0)
        return self._dynamic(self._memory.word(table + 8), place, depth, nesting) if table else None

    def _eface(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        descriptor = place.word(0)
        return self._dynamic(descriptor, place, depth, nesting) if descriptor else None

    def _dynamic(self, descriptor: int, place: _Place, depth: int, nesting: int) -> Json:
        data = place.word(8)
        number = self._by_runtime.get(descriptor - self._memory.bias)
        if number is None:
            return {"$type": f"{descriptor:#x}", "value": address_form(data)}
        type_ = self.types[number]
        if shows_text(self.types, type_):
            return {"$type": type_.name, "value": self._error_text(type_, data)}
        return {"$type": type_.name, "value": self._boxed(number, place, data, depth, nesting)}

    def _boxed(self, number: int, place: _Place, data: int, depth: int, nesting: int) -> Json:
        type_ = self.types[number]
        if pointer_shaped(self.types, number) is not None:
            return self._render(number, place.part(8), depth, nesting)
        if type_.size == 0:
            return self._render(number, _Place(b"", 0, 0), depth, nesting)
        try:
            at, available = self._memory.find(data)
        except UnreadError as unread:
            return address_form(data) if unread.absent else {"$error": unread.reason}
        return self._render(number, _Place(self._memory.blob, at, available), depth, nesting)

    def _error_text(self, type_: GoType, data: int) -> Json:
        if data == 0:
            return None
        try:
            at, available = self._memory.find(data)
            return text_form(*self._text(_Place(self._memory.blob, at, available)))
        except UnreadError as unread:
            return address_form(data) if unread.absent else {"$error": unread.reason}

    def _opaque(self, type_: GoType, place: _Place, depth: int, nesting: int) -> Json:
        return {"$error": "redacted" if type_.name == REDACTED.name else "unknown type"}

    # Raw rules

    def _raw(self, raw: RawLayout) -> Json:
        size = raw.size * max(raw.count, 1)
        if raw.constant:
            return self._raw_form(raw, (raw.number % (1 << 64)).to_bytes(8, "little").ljust(size, b"\0"))
        if raw.slot >= 0:
            if raw.slot + 8 > self._memory.area_bytes:
                raise UnreadError("not captured")
            word = int.from_bytes(self._memory.blob[raw.slot : raw.slot + 8], "little")
        else:
            word = raw.number + self._memory.bias
        offsets = raw.offsets
        if raw.kind == "string":
            for offset in offsets[:-1]:
                word = self._raw_word(word, offset)
            return self._nul_ended((word + (offsets[-1] if offsets else 0)) % (1 << 64))
        if not offsets:
            if raw.kind == "gostring":
                return text_form(*self._text(_Place(self._memory.blob, raw.slot, 16)))
            return self._raw_form(raw, word.to_bytes(8, "little").ljust(size, b"\0"))
        for offset in offsets[:-1]:
            word = self._raw_word(word, offset)
        at, available = self._memory.find((word + offsets[-1]) % (1 << 64))
        if available < size:
            raise UnreadError("not captured")
        if raw.kind == "gostring":
            return text_form(*self._text(_Place(self._memory.blob, at, available)))
        return self._raw_form(raw, self._memory.blob[at : at + size])

    def _raw_word(self, address: int, offset: int) -> int:
        return self._memory.word((address + offset) % (1 << 64))

    def _nul_ended(self, address: int) -> Json:
        at, available = self._memory.find(address)
        data = self._memory.blob[at : at + available]
        text = data.split(b"\0", 1)[0]
        # The kernel ends what it cuts with a NUL of its own, in the last byte there is room for.
        if len(text) >= self._plan.text_bytes - 1:
            return {"$truncated": None, "value": characters_form(text, cut=True)}
        return characters_form(text)

    def _raw_form(self, raw: RawLayout, data: bytes) -> Json:
        convert = RAW_FORMS[raw.kind]
        if not raw.count:
            return convert(data[: raw.size])
        return [convert(data[i * raw.size : (i + 1) * raw.size]) for i in range(raw.count)]


_RENDERERS: dict[Kind, Callable[[_Capture, GoType, _Place, int, int], Json]] = {
    Kind.BOOL: _Capture._bool,
    Kind.INT: _Capture._int,
    Kind.UINT: _Capture._uint,
    Kind.FLOAT: _Capture._float,
    Kind.COMPLEX: _Capture._complex,
    Kind.STRING: _Capture._string,
    Kind.SLICE: _Capture._slice,
    Kind.ARRAY: _Capture._array,
    Kind.STRUCT: _Capture._struct,
    Kind.POINTER: _Capture._pointer,
    Kind.UNSAFE: _Capture._reference,
    Kind.FUNC: _Capture._function,
    Kind.CHAN: _Capture._reference,
    Kind.MAP: _Capture._map,
    Kind.IFACE: _Capture._iface,
    Kind.EFACE: _Capture._eface,
    Kind.OPAQUE: _Capture._opaque,
}

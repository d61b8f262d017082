"""Values of many captures as JSON text, at once: the forms of `funcrec.trace.values`, without an object per value.

A value becomes a template with a hole for every number and text inside, and a column for each hole; structures join
their fields' templates, so that a whole capture is one formatting. What is not the plain case (bytes that could not
be read, limits reached, shared generic code, raw rules with arrays) is left to the decoder of single captures.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funcrec.lang.steps import Step, StepKind
from funcrec.lang.types import REDACTED, GoType, Kind, pointer_shaped, stands_for_another
from funcrec.report.capturememory import Captures, Indexes, Spot, StaticUnreadError, Words, load, short_texts
from funcrec.report.sheet import Lexicon
from funcrec.report.valuecells import Cells, Lists, Patched, addresses, compact, fixed, grouped, listed, united
from funcrec.report.valuecolumns import Column, Named, Numbers, Strings, Texts, decimals_of, hexadecimal
from funcrec.trace.blobs import CAPTURE_STACK
from funcrec.trace.forms import text_form, time_form
from funcrec.trace.valueplans import ValueLayout
from funcrec.trace.values import MAX_NESTING, MAX_NODES, Decoder, shows_text

_MOST_TEXTS = 1 << 16  # kept; they repeat
_MOST_ROOT_BYTES = 1024
_LONGEST_SHORT = 64  # bytes of a text that goes into a sheet
_SIZES = (1, 2, 4, 8)


class _Texts(dict[bytes, str]):
    """JSON text of whole Go strings."""

    def __missing__(self, data: bytes) -> str:
        if len(self) >= _MOST_TEXTS:
            self.clear()
        text = self[data] = compact(text_form(data, len(data)))
        return text


class _TooMuchError(Exception):
    """Values that are not rendered at once: there may be too many, or their types are odd."""


class _Level(NamedTuple):
    """How deep a value lies: pointers followed, values around it, and how many of it a capture may have."""

    depth: int
    nesting: int
    times: int


class JsonRenderer:
    """Renders captures of a trace.

    Args:
        decoder: of the trace.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._types = decoder.types
        self._texts = _Texts()

    def render(self, captures: Captures, *, result: bool) -> Cells:
        """The arguments, or the results, of each capture as a JSON object."""
        values = [value for value in captures.plan.values if value.result == result]
        names = [value.name for value in values]
        if not names:
            return fixed({})
        self._nodes = 0
        try:
            if len(set(names)) < len(names):
                raise _TooMuchError
            cells = listed([self._value(captures, value) for value in values], names)
        except _TooMuchError:
            captures.hard[:] = True
            cells = fixed(None)
        if not captures.hard.any():
            return cells
        rows = np.flatnonzero(captures.hard).tolist()
        texts = [compact(self._single(captures, row, result)) for row in rows]
        return Cells("%s", (Patched(cells, captures.hard, texts),))

    def _single(self, captures: Captures, row: int, result: bool) -> dict[str, Any]:
        site = captures.plan.sites[0]
        return self._decoder.decode(site, self._blob(captures, row))[result]

    def _blob(self, captures: Captures, row: int) -> bytes:
        start, length = int(captures.start[row]), int(captures.length[row])
        return captures.words.view(np.uint8)[start : start + length].tobytes()

    # From a plan's value to its bytes

    def _value(self, captures: Captures, value: ValueLayout) -> Cells:
        if value.raw is not None:
            decode_one = self._decoder.decode_one
            blobs = (self._blob(captures, row) for row in range(len(captures)))
            return _column(Texts([compact(decode_one(captures.plan, value, (), blob)) for blob in blobs]))
        try:
            return self._follow(value.type, self._root(captures, value), value.steps)
        except StaticUnreadError as unread:
            return fixed({"$error": unread.reason})

    def _root(self, captures: Captures, value: ValueLayout) -> Spot:
        """The value as it lies in the registers and the stack, or put together from them."""
        size = self._types[value.type].size
        if size > _MOST_ROOT_BYTES:
            raise _TooMuchError
        missing = tuple((offset, length, "float register") for offset, length, slot in value.pieces if slot < 0)
        pieces = [piece for piece in value.pieces if piece[2] >= 0]
        for _, length, slot in pieces:
            captures.hard |= captures.length < slot + length
            if slot + length > captures.plan.area_bytes:
                raise _TooMuchError
            if slot >= captures.plan.stack_at:
                captures.hard |= captures.status & np.uint64(CAPTURE_STACK) != 0
        whole = np.full(len(captures), size)
        if _is_whole(value.pieces, size):
            base = captures.start + value.pieces[0][2]
            if captures.hard.any():
                base = np.where(captures.hard, 0, base)
            return Spot(captures, captures.words, captures.rows, base, whole)
        words, stride = self._assembled(captures, pieces, size)
        return Spot(captures, words, captures.rows, captures.rows * stride, whole, 0, missing)

    def _assembled(self, captures: Captures, pieces: list[tuple[int, int, int]], size: int) -> tuple[Words, int]:
        """Values of so many bytes put together, and how many bytes apart they are."""
        stride = max((size + 7) & ~7, 8)
        data = np.zeros((len(captures) + 1, stride), np.uint8)  # a row more: loads may look a word ahead
        source = captures.words.view(np.uint8)
        for offset, length, slot in pieces:
            place = np.where(captures.hard, 0, captures.start + slot)
            length = max(min(length, size - offset), 0)
            if length == 8 and offset % 8 == 0:
                data.view(np.uint64)[:-1, offset // 8] = load(captures.words, place, 8)
            else:
                data[:-1, offset : offset + length] = source[place[:, None] + np.arange(length)]
        return data.reshape(-1).view(np.uint64), stride

    def _follow(self, number: int, spot: Spot, steps: tuple[Step, ...]) -> Cells:
        """Walk a path; captures in which it ends early say why."""
        for position, step in enumerate(steps):
            if step.kind is StepKind.FIELD:
                spot = spot.part(step.offset)
            elif step.kind in (StepKind.LENGTH, StepKind.CAPACITY):
                return self._measure(self._types[number], step.kind is StepKind.CAPACITY, spot)
            else:
                return self._behind(number, spot, steps[position:])
            number = step.type
        return self._render(number, spot, _Level(0, 0, 1))

    def _behind(self, number: int, spot: Spot, steps: tuple[Step, ...]) -> Cells:
        """The rest of a path behind a pointer or the head of a slice."""
        step, rest = steps[0], steps[1:]
        pointer = spot.load(0, 8)
        why = np.where(pointer == 0, 1, 0)
        if step.kind is StepKind.INDEX:
            length = spot.load(8, 8).view(np.int64)
            why[length <= step.index] = 2
        shift = step.offset if step.kind is StepKind.INDEX else 0
        ahead = 0
        for following in rest:
            if following.kind is not StepKind.FIELD:
                break
            ahead += following.offset
        place, available = spot.captures.find(spot.rows, pointer + np.uint64((shift + ahead) % (1 << 64)))
        why[(why == 0) & (place < 0)] = 3
        parts: list[tuple[NDArray[Any], Cells]] = []
        good = np.flatnonzero(why == 0)
        if len(good):
            found = spot.captures.memory(spot.rows[good], place[good] - ahead, available[good] + ahead)
            parts.append((good, self._follow(step.type, found, rest)))
        for number, reason in enumerate(("nil pointer", "index out of range", "not captured"), start=1):
            if (why == number).any():
                parts.append((np.flatnonzero(why == number), fixed({"$error": reason})))
        return united(parts, len(spot))

    def _measure(self, type_: GoType, capacity: bool, spot: Spot) -> Cells:
        if type_.kind in (Kind.STRING, Kind.SLICE):
            return _column(Numbers(spot.load(16 if capacity else 8, 8).view(np.int64)))
        if type_.kind not in (Kind.MAP, Kind.CHAN):
            return fixed({"$error": "no length"})
        pointer = spot.load(0, 8)
        place, available = spot.captures.find(spot.rows, pointer + np.uint64(8 if capacity else 0))
        spot.mark((pointer != 0) & ((place < 0) | (available < 8)))
        lengths = np.zeros(len(spot), np.uint64)
        there = np.flatnonzero((pointer != 0) & (available >= 8))
        lengths[there] = _target(spot, there, place, available).load(0, 8)
        return _column(Numbers(lengths))

    # Values by type

    def _render(self, number: int, spot: Spot, level: _Level) -> Cells:
        """Values of a type."""
        self._nodes += level.times
        if level.nesting > MAX_NESTING or self._nodes > MAX_NODES:
            raise _TooMuchError
        type_ = self._types[number]
        try:
            return _RENDERERS[type_.kind](self, type_, spot, level._replace(nesting=level.nesting + 1))
        except StaticUnreadError as unread:
            return fixed({"$error": unread.reason})

    def _bool(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        return _column(Named(_BOOLEANS, (spot.load(0, 1) != 0).view(np.uint8)))

    def _int(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        words = _sized(spot, type_)
        signed = words.astype(f"u{type_.size}").view(f"i{type_.size}")
        return _column(Numbers(signed))

    def _uint(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        return _column(Numbers(_sized(spot, type_)))

    def _float(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        return _column(_floats(spot.load(0, type_.size), type_.size))

    def _complex(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        half = type_.size // 2
        return Cells("[%s,%s]", tuple(_floats(spot.load(at, half), half) for at in (0, half)))

    def _string(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        length, place, taken = self._found(spot)
        short = np.where((taken == length) & (length <= _LONGEST_SHORT), taken, 0)
        characters, plain = short_texts(spot.captures.words, place, short)
        strings = Strings(characters)
        odd = ~plain | (short != length)
        if not odd.any():
            return _column(strings)
        data, texts = spot.captures.data, []
        for low, size, of in zip(place[odd].tolist(), taken[odd].tolist(), length[odd].tolist(), strict=True):
            text = data[low : low + size].tobytes()
            texts.append(self._texts[text] if size == of else compact(text_form(text, of)))
        return _column(Patched(_column(strings), odd, texts))

    def _found(self, spot: Spot) -> tuple[Indexes, Indexes, Indexes]:
        """Of strings or []byte: their length, where what was captured of them lies, and its length."""
        pointer, length = spot.load(0, 8), spot.load(8, 8).view(np.int64)
        spot.mark((length < 0) | ((pointer == 0) & (length > 0)))
        place, available = spot.captures.find(spot.rows, pointer)
        taken = np.where((place >= 0) & (length > 0), np.minimum(available, length), 0)
        return length, np.where(taken > 0, place, 0), taken

    def _slice(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        pointer, length = spot.load(0, 8), spot.load(8, 8).view(np.int64)
        nil = (pointer == 0) & (length == 0)
        spot.mark((length < 0) | ((pointer == 0) & (length > 0)))
        elem = self._types[type_.elem]
        live = np.flatnonzero(~nil)
        if elem.kind is Kind.UINT and elem.size == 1:
            data, found = spot.captures.data, (each.tolist() for each in self._found(spot.chosen(live)))
            texts = [_hex(data[at : at + size], of) for of, at, size in zip(*found, strict=True)]
            shown = _column(Texts(texts))
        else:
            shown = self._elements(type_.elem, spot.chosen(live), pointer[live], length[live], level)
        return united([(np.flatnonzero(nil), Cells("null")), (live, shown)], len(spot))

    def _elements(self, elem: int, spot: Spot, pointer: Words, length: Indexes, level: _Level) -> Cells:
        size, most = self._types[elem].size, spot.captures.plan.elements
        place, available = spot.captures.find(spot.rows, pointer)
        counts = np.clip(length, 0, most)
        if size:
            counts = np.minimum(counts, -(-np.where(place >= 0, available, 0) // size))
        nodes, parts = self._nodes, []
        for cut in (False, True):
            which = np.flatnonzero((counts != length) == cut)
            if not len(which):
                continue
            self._nodes = nodes  # it counts values of one capture
            count = counts[which]
            row = np.repeat(which, count)
            at = (np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)) * size
            left = available[row] - at if size else np.zeros(len(row), np.int64)
            inner = spot.captures.memory(spot.rows[row], np.maximum(place[row], 0) + at, left)
            deeper = level._replace(times=level.times * max(most, 1))
            lists = Lists(self._render(elem, inner, deeper) if len(row) else Cells("null"), count)
            whole = Cells('{"$truncated":%s,"value":%s}', (Numbers(length[which]), lists)) if cut else _column(lists)
            parts.append((which, whole))
        return united(parts, len(spot))

    def _array(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        count = min(type_.count, spot.captures.plan.elements)
        if count > MAX_NODES:
            raise _TooMuchError
        size = self._types[type_.elem].size
        shown = listed([self._render(type_.elem, spot.part(at * size), level) for at in range(count)])
        return shown if count == type_.count else shown.within(f'{{"$truncated":{type_.count},"value":', "}")

    def _struct(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        if type_.name == "time.Time" and type_.size == 24:
            wall, ext = spot.load(0, 8).tolist(), spot.load(8, 8).view(np.int64).tolist()
            return _column(Texts(list(map(_time_text, wall, ext))))
        fields = [each for each in type_.fields if each.name != "_"]
        names = [each.name for each in fields]
        if len(set(names)) < len(names):
            raise _TooMuchError
        return listed([self._render(each.type, spot.part(each.offset), level) for each in fields], names)

    def _pointer(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        pointer = spot.load(0, 8)
        nil = pointer == 0
        if stands_for_another(type_):
            spot.mark(~nil)
            return Cells("null")
        if level.depth >= spot.captures.plan.depth or type_.elem < 0:
            return united([(np.flatnonzero(nil), Cells("null")), addresses(pointer, ~nil)], len(spot))
        place, available = spot.captures.find(spot.rows, pointer)
        if self._types[type_.elem].size == 0:
            place, available = np.zeros(len(spot), np.int64), np.zeros(len(spot), np.int64)
        found = np.flatnonzero(~nil & (place >= 0))
        parts = [(np.flatnonzero(nil), Cells("null")), addresses(pointer, ~nil & (place < 0))]
        if len(found):
            target = _target(spot, found, place, available)
            parts.append((found, self._render(type_.elem, target, level._replace(depth=level.depth + 1))))
        return united(parts, len(spot))

    def _reference(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        pointer = spot.load(0, 8)
        return united([(np.flatnonzero(pointer == 0), Cells("null")), addresses(pointer, pointer != 0)], len(spot))

    def _function(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        pointer = spot.load(0, 8)
        word, known = self._words_at(spot, pointer)
        code = (word - spot.captures.bias[spot.rows]).tolist()
        texts = []
        for address, entry, there in zip(pointer.tolist(), code, known.tolist(), strict=True):
            name = self._decoder.code.get(entry) if there else None
            shown = {"$ptr": f"{address:#x}"} | ({} if name is None else {"$func": name})
            texts.append(compact(shown if address else None))
        return _column(Texts(texts))

    def _words_at(self, spot: Spot, pointer: Words) -> tuple[Words, NDArray[np.bool_]]:
        """The word at an address, and whether it is known."""
        place, available = spot.captures.find(spot.rows, pointer)
        known = (pointer != 0) & (place >= 0) & (available >= 8)
        words = np.zeros(len(spot), np.uint64)
        there = np.flatnonzero(known)
        words[there] = _target(spot, there, place, available).load(0, 8)
        return words, known

    def _map(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        pointer = spot.load(0, 8)
        length, known = self._words_at(spot, pointer)
        lengths = Cells('{"$len":%s}', (Numbers(length[known].view(np.int64)),))
        parts = [(np.flatnonzero(pointer == 0), Cells("null")), (np.flatnonzero(known), lengths)]
        return united([*parts, addresses(pointer, (pointer != 0) & ~known)], len(spot))

    def _iface(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        table = spot.load(0, 8)
        live = np.flatnonzero(table != 0)
        full = spot.chosen(live)
        descriptor, known = self._words_at(full, table[live] + np.uint64(8))
        full.mark(~known)
        dynamic = self._dynamic(descriptor, full, level)
        return united([(np.flatnonzero(table == 0), Cells("null")), (live, dynamic)], len(spot))

    def _eface(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        descriptor = spot.load(0, 8)
        live = np.flatnonzero(descriptor != 0)
        dynamic = self._dynamic(descriptor[live], spot.chosen(live), level)
        return united([(np.flatnonzero(descriptor == 0), Cells("null")), (live, dynamic)], len(spot))

    def _dynamic(self, descriptor: Words, spot: Spot, level: _Level) -> Cells:
        """What interfaces hold, by their dynamic types."""
        if len(spot) == 0:
            return Cells("null")
        try:
            data = spot.load(8, 8)
        except StaticUnreadError as unread:  # of some captures only: others hold nil
            raise _TooMuchError from unread
        parts = []
        for address, at in grouped(descriptor - spot.captures.bias[spot.rows]):
            number = self._decoder.by_runtime.get(address)
            if number is None:
                unknown = hexadecimal(descriptor[at]), hexadecimal(data[at])
                parts.append((at, Cells('{"$type":%s,"value":{"$ptr":%s}}', unknown)))
                continue
            inner = self._held(number, spot.chosen(at), data[at], level)
            parts.append((at, inner.within(f'{{"$type":{compact(self._types[number].name)},"value":', "}")))
        return united(parts, len(spot))

    def _held(self, number: int, spot: Spot, data: Words, level: _Level) -> Cells:
        type_ = self._types[number]
        text = shows_text(self._types, type_)
        if not text and pointer_shaped(self._types, number) is not None:
            return self._render(number, spot.part(8), level)
        place, available = spot.captures.find(spot.rows, data)
        if not text and type_.size == 0:
            place, available = np.zeros(len(spot), np.int64), np.zeros(len(spot), np.int64)
        nil = (data == 0) if text else np.zeros(len(spot), np.bool_)
        found = np.flatnonzero(~nil & (place >= 0))
        parts = [(np.flatnonzero(nil), Cells("null")), addresses(data, ~nil & (place < 0))]
        if len(found):
            target = _target(spot, found, place, available)
            inner = self._string(type_, target, level) if text else self._render(number, target, level)
            parts.append((found, inner))
        return united(parts, len(spot))

    def _opaque(self, type_: GoType, spot: Spot, level: _Level) -> Cells:
        return fixed({"$error": "redacted" if type_.name == REDACTED.name else "unknown type"})


_RENDERERS: dict[Kind, Callable[[JsonRenderer, GoType, Spot, _Level], Cells]] = {
    Kind.BOOL: JsonRenderer._bool,
    Kind.INT: JsonRenderer._int,
    Kind.UINT: JsonRenderer._uint,
    Kind.FLOAT: JsonRenderer._float,
    Kind.COMPLEX: JsonRenderer._complex,
    Kind.STRING: JsonRenderer._string,
    Kind.SLICE: JsonRenderer._slice,
    Kind.ARRAY: JsonRenderer._array,
    Kind.STRUCT: JsonRenderer._struct,
    Kind.POINTER: JsonRenderer._pointer,
    Kind.UNSAFE: JsonRenderer._reference,
    Kind.FUNC: JsonRenderer._function,
    Kind.CHAN: JsonRenderer._reference,
    Kind.MAP: JsonRenderer._map,
    Kind.IFACE: JsonRenderer._iface,
    Kind.EFACE: JsonRenderer._eface,
    Kind.OPAQUE: JsonRenderer._opaque,
}
_BOOLEANS = Lexicon(("false", "true"))
_NOT_FINITE = {"nan": '"NaN"', "inf": '"+Inf"', "-inf": '"-Inf"'}


def _target(spot: Spot, which: Indexes, place: Indexes, available: Indexes) -> Spot:
    """What was found of some (ascending positions) of the values."""
    if len(which) == len(spot):
        return spot.captures.memory(spot.rows, place, available)
    return spot.captures.memory(spot.rows[which], place[which], available[which])


def _is_whole(pieces: tuple[tuple[int, int, int], ...], size: int) -> bool:
    """Whether a value of so many bytes lies in the root area as it lies in memory."""
    at, first = 0, pieces[0][2] if pieces else -1
    for offset, length, slot in pieces:
        if offset != at or slot != first + at or first < 0:
            return False
        at += length
    return 0 < size <= at


def _sized(spot: Spot, type_: GoType) -> Words:
    if type_.size not in _SIZES:
        raise _TooMuchError
    return spot.load(0, type_.size)


def _column(column: Column) -> Cells:
    return Cells("%s", (column,))


def _floats(words: Words, size: int) -> Column:
    if size not in (4, 8):
        raise _TooMuchError
    values: NDArray[Any] = words.view(np.float64) if size == 8 else words.astype(np.uint32).view(np.float32)
    decimals, plain = decimals_of(values)
    if plain.all():
        return decimals
    odd = values[~plain]
    # A float32 has the shortest digits that give it back, written as a float64.
    texts = list(map(repr, odd.tolist() if size == 8 else map(float, map(str, odd))))
    return Patched(_column(decimals), ~plain, [_NOT_FINITE.get(text, text) for text in texts])


def _hex(data: memoryview, length: int) -> str:
    form = f'{{"$hex":"{data.hex()}"}}'
    return form if len(data) == length else f'{{"$truncated":{length},"value":{form}}}'


@lru_cache(maxsize=_MOST_TEXTS)
def _time_text(wall: int, ext: int) -> str:
    return f'"{time_form(wall, ext)}"'

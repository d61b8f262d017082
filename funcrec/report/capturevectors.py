"""Captures of one kind as vectors: one value of all of them in a few numpy passes, whatever the blobs claim.

The walk that `funcrec.trace.values` makes for one capture, made for many at once; what cannot be read is not known.
"""

import codecs
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.lang.steps import Step, StepKind
from funcrec.lang.types import GoType, TypeTable, pointer_shaped, stands_for_another
from funcrec.lang.types import Kind as TypeKind
from funcrec.report.capturememory import SEGMENT_BYTES, Indexes, Words, load
from funcrec.report.columns import Kind, Mask
from funcrec.report.texts import MARK, CutText
from funcrec.trace.blobs import AREA_HEAD_BYTES, CAPTURE_STACK
from funcrec.trace.forms import time_form
from funcrec.trace.valueplans import CapturePlan, RawLayout, ValueLayout
from funcrec.trace.values import Decoder, shows_text

_MAX_DEPTH = 8  # pointers and interfaces followed on the way to a scalar
_SIGN = np.uint64(1 << 63)
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Batch:
    """k captures of one plan: where their blobs lie in `words` (byte offsets, multiples of 8)."""

    words: Words
    start: Indexes
    length: Indexes

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class Found:
    """Values of one kind for some captures: `at` are positions in the batch; labels are set for texts."""

    kind: Kind
    at: Indexes
    values: NDArray[Any]
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class VectorDecoder:
    """Evaluates values of a batch.

    Args:
        decoder: of the trace.
        plan: of the batch.
        batch: the captures.

    Attributes:
        dynamic: an interface was met, in which anything may be.
    """

    decoder: Decoder
    plan: CapturePlan
    batch: Batch
    dynamic: bool = False
    _found: list[Found] = field(default_factory=list)

    @property
    def types(self) -> TypeTable:
        """The type table."""
        return self.decoder.types

    def evaluate(self, layout: ValueLayout, extra: tuple[Step, ...] = ()) -> list[Found]:
        """All that is known of a value, or of what further steps lead to from there."""
        self._found = []
        if layout.raw is not None:
            self._raw(layout.raw)
        else:
            self._root(layout, layout.steps + extra)
        return self._found

    # Bytes

    def _load(self, at: Indexes, size: int) -> Words:
        return load(self.batch.words, at, size)

    def _locate(self, rows: Indexes, address: Words, size: int) -> tuple[Indexes, Indexes]:
        """Where memory at an address lies, for each of some captures: byte offset (-1 none) and bytes from there."""
        place = np.full(len(rows), -1, dtype=np.int64)
        available = np.zeros(len(rows), dtype=np.int64)
        open_ = np.arange(len(rows))
        cursor = self.batch.start[rows] + ((self.plan.area_bytes + 7) & ~7)
        end = self.batch.start[rows] + self.batch.length[rows]
        while True:
            inside = cursor[open_] + SEGMENT_BYTES <= end[open_]
            open_ = open_[inside]
            if len(open_) == 0:
                return place, available
            at = cursor[open_]
            room = end[open_] - at - SEGMENT_BYTES
            length = np.minimum(self._load(at + 8, 4).astype(np.int64), room)
            delta = address[open_] - self._load(at, 8)
            hit = (delta < length.astype(np.uint64)) & (delta + np.uint64(size) <= length.astype(np.uint64))
            hits = open_[hit]
            place[hits] = at[hit] + SEGMENT_BYTES + delta[hit].astype(np.int64)
            available[hits] = length[hit] - delta[hit].astype(np.int64)
            cursor[open_] = at + SEGMENT_BYTES + ((length + 7) & ~7)
            open_ = open_[~hit]

    # Values in the root area

    def _root(self, layout: ValueLayout, steps: tuple[Step, ...]) -> None:
        number, offset = layout.type, 0
        position = 0
        while position < len(steps) and steps[position].kind is StepKind.FIELD:
            number, offset, position = steps[position].type, offset + steps[position].offset, position + 1
        rows = np.arange(len(self.batch), dtype=np.int64)

        def read(at: int, size: int) -> tuple[Indexes, Words]:
            return self._area_value(layout, rows, offset + at, size)

        self._continue(number, steps[position:], read, _MAX_DEPTH)

    def _area_value(self, layout: ValueLayout, rows: Indexes, offset: int, size: int) -> tuple[Indexes, Words]:
        for piece_offset, piece_size, slot in layout.pieces:
            within = offset - piece_offset
            if slot < 0 or not 0 <= within < piece_size or within + size > max(piece_size, 8):
                continue
            known = self.batch.length[rows] >= slot + within + size
            if slot >= self.plan.stack_at and self.plan.stack_at < self.plan.area_bytes:
                head = self._load(self.batch.start[rows[known]], 8)
                known[known] = head & np.uint64(CAPTURE_STACK) == 0
            return rows[known], self._load(self.batch.start[rows[known]] + slot + within, size)
        return rows[:0], np.zeros(0, dtype=np.uint64)

    # Values anywhere: `read(offset, size)` gives those captures that have the bytes, and the integers there

    def _continue(
        self,
        number: int,
        steps: tuple[Step, ...],
        read: Callable[[int, int], tuple[Indexes, Words]],
        depth: int,
    ) -> None:
        if not steps:
            self._scalar(number, read, depth)
            return
        step, rest = steps[0], steps[1:]
        type_ = self.types[number]
        if step.kind is StepKind.FIELD:
            self._continue(step.type, rest, lambda at, size: read(at + step.offset, size), depth)
        elif step.kind in (StepKind.LENGTH, StepKind.CAPACITY):
            self._measure(type_, step.kind, read)
        else:
            rows, pointer = read(0, 8)
            if step.kind is StepKind.INDEX:
                long_rows, length = read(8, 8)
                enough = long_rows[(length > np.uint64(step.index)) & (length < _SIGN)]
                keep = np.isin(rows, enough, assume_unique=True)
                rows, pointer = rows[keep], pointer[keep] + np.uint64(step.offset)
            self._continue(step.type, rest, self._memory(rows, pointer), depth)

    def _memory(self, rows: Indexes, pointer: Words) -> Callable[[int, int], tuple[Indexes, Words]]:
        live = pointer != 0
        rows, pointer = rows[live], pointer[live]

        def read(at: int, size: int) -> tuple[Indexes, Words]:
            place, _ = self._locate(rows, pointer + np.uint64(at), size)
            found = place >= 0
            return rows[found], self._load(place[found], size)

        return read

    def _measure(self, type_: GoType, kind: StepKind, read: Callable[[int, int], tuple[Indexes, Words]]) -> None:
        capacity = kind is StepKind.CAPACITY
        if type_.kind in (TypeKind.STRING, TypeKind.SLICE):
            rows, words = read(16 if capacity else 8, 8)
        else:
            rows, pointer = read(0, 8)
            empty = rows[pointer == 0]
            self._found.append(Found(Kind.NUMBER, empty, np.zeros(len(empty), dtype=np.int64)))
            rows, words = self._memory(rows, pointer)(8 if capacity else 0, 8)
        self._found.append(Found(Kind.NUMBER, rows, words.view(np.int64)))

    def _scalar(self, number: int, read: Callable[[int, int], tuple[Indexes, Words]], depth: int) -> None:
        type_ = self.types[number]
        kind = type_.kind
        if kind in (TypeKind.INT, TypeKind.UINT, TypeKind.BOOL, TypeKind.FLOAT):
            rows, words = read(0, type_.size)
            self._found.append(_number(type_, rows, words))
        elif kind is TypeKind.STRING or (kind is TypeKind.SLICE and self._is_bytes(type_)):
            if kind is TypeKind.SLICE:
                self._nil(read)
            self._text(read)
        elif kind is TypeKind.STRUCT and type_.name == "time.Time":
            self._time(read)
        elif kind in (TypeKind.IFACE, TypeKind.EFACE):
            self._interface(kind, read, depth)
        elif kind is TypeKind.POINTER:
            rows, pointer = self._nil(read)
            if depth and type_.elem >= 0 and not stands_for_another(type_):
                self._scalar(type_.elem, self._memory(rows, pointer), depth - 1)
        elif kind is TypeKind.FUNC:
            self._function(*self._nil(read))
        elif kind in (TypeKind.SLICE, TypeKind.MAP, TypeKind.CHAN, TypeKind.UNSAFE):
            self._nil(read)

    def _is_bytes(self, type_: GoType) -> bool:
        elem = self.types[type_.elem]
        return elem.kind is TypeKind.UINT and elem.size == 1

    def _nil(self, read: Callable[[int, int], tuple[Indexes, Words]]) -> tuple[Indexes, Words]:
        rows, words = read(0, 8)
        self._found.append(Found(Kind.NIL, rows, words == 0))
        return rows, words

    def _text(self, read: Callable[[int, int], tuple[Indexes, Words]]) -> None:
        both, pointer, length = _common(*read(0, 8), *read(8, 8))
        empty = length == 0
        place, available = self._locate(both, pointer, 0)
        some = (place >= 0) & (length < _SIGN) & ~empty
        taken = np.where(some, np.minimum(available, length.astype(np.int64)), 0)
        known = some | empty
        self._texts(both[known], place[known], taken[known], length[known].astype(np.int64))

    def _texts(self, rows: Indexes, place: Indexes, taken: Indexes, length: Indexes) -> None:
        """Texts of `taken` bytes at `place`, of `length` bytes in all, as codes and labels."""
        hashes = self._hash(place, taken)
        hashes ^= length.astype(np.uint64) * _MIX
        _, first, codes = np.unique(hashes, return_index=True, return_inverse=True)
        same = self._equal(place, taken, length, first[codes])
        others = np.flatnonzero(~same)  # two texts with one hash
        codes[others] = len(first) + np.arange(len(others))
        at = np.concatenate([first, others])
        labels = self._labels(place[at], taken[at], length[at])
        self._found.append(Found(Kind.TEXT, rows, codes.astype(np.int64), tuple(labels)))

    def _piece(self, place: Indexes, taken: Indexes, at: int) -> Words:
        """Bytes at..at+8 of each text, zero behind its end."""
        words = self._load(place + at, 8)
        left = taken - at
        part = left < 8
        words[part] &= (np.uint64(1) << (left[part] * 8).astype(np.uint64)) - np.uint64(1)
        return words

    def _hash(self, place: Indexes, taken: Indexes) -> Words:
        hashes = np.zeros(len(place), dtype=np.uint64)
        active = np.flatnonzero(taken > 0)
        at = 0
        while len(active):
            mixed = (hashes[active] ^ self._piece(place[active], taken[active], at)) * _MIX
            hashes[active] = mixed ^ (mixed >> np.uint64(29))
            at += 8
            active = active[taken[active] > at]
        return hashes

    def _equal(self, place: Indexes, taken: Indexes, length: Indexes, other: Indexes) -> Mask:
        same: Mask = (taken == taken[other]) & (length == length[other])
        active = np.flatnonzero(same & (taken > 0) & (other != np.arange(len(other))))
        at = 0
        while len(active):
            partner = other[active]
            mine = self._piece(place[active], taken[active], at)
            same[active] &= mine == self._piece(place[partner], taken[partner], at)
            at += 8
            active = active[same[active] & (taken[active] > at)]
        return same

    def _labels(self, place: Indexes, taken: Indexes, length: Indexes) -> list[str]:
        data, columns = self.batch.words.view(np.uint8).data, (each.tolist() for each in (place, taken, length))
        return [
            str(data[at : at + size], "utf-8", "surrogateescape") if size >= of else _cut(data[at : at + size])
            for at, size, of in zip(*columns, strict=True)
        ]

    def _time(self, read: Callable[[int, int], tuple[Indexes, Words]]) -> None:
        rows, wall, ext = _common(*read(0, 8), *read(8, 8))
        pairs, codes = np.unique(np.stack([wall, ext], axis=1), axis=0, return_inverse=True)
        labels = tuple(time_form(int(w), int(np.int64(np.uint64(e)))) for w, e in pairs)
        self._found.append(Found(Kind.TEXT, rows, codes.reshape(-1).astype(np.int64), labels))

    def _bias(self, rows: Indexes) -> Words:
        head: Words = self._load(self.batch.start[rows], 8)
        return head & ~np.uint64(0xFFF)

    def _function(self, rows: Indexes, pointer: Words) -> None:
        rows, code = self._memory(rows, pointer)(0, 8)
        linked, codes = np.unique(code - self._bias(rows), return_inverse=True)
        names = [self.decoder.code.get(address) for address in linked.tolist()]
        known = np.array([name is not None for name in names], dtype=bool)[codes]
        labels = tuple(name or "" for name in names)
        self._found.append(Found(Kind.TEXT, rows[known], codes[known].astype(np.int64), labels))

    def _interface(self, kind: TypeKind, read: Callable[[int, int], tuple[Indexes, Words]], depth: int) -> None:
        self.dynamic = True
        rows, table = self._nil(read)
        both, table, data = _common(rows, table, *read(8, 8))
        if kind is TypeKind.IFACE:
            place, _ = self._locate(both, table + np.uint64(8), 8)
            known = (place >= 0) & (table != 0)
            both, data = both[known], data[known]
            descriptor = self._load(place[known], 8)
        else:
            known = table != 0
            both, data, descriptor = both[known], data[known], table[known]
        if not depth or len(both) == 0:
            return
        linked, group = np.unique(descriptor - self._bias(both), return_inverse=True)
        for position, address in enumerate(linked.tolist()):
            number = self.decoder.by_runtime.get(address)
            if number is not None:
                chosen = group == position
                self._dynamic(number, both[chosen], data[chosen], depth - 1)

    def _dynamic(self, number: int, rows: Indexes, data: Words, depth: int) -> None:
        type_ = self.types[number]
        pointer = pointer_shaped(self.types, number)
        if shows_text(self.types, type_):
            self._text(self._memory(rows, data))
        elif pointer is None:
            self._scalar(number, self._memory(rows, data), depth)
        elif pointer.kind is TypeKind.FUNC:
            self._function(rows[data != 0], data[data != 0])
        elif pointer.kind is TypeKind.POINTER and pointer.elem >= 0 and depth:
            self._scalar(pointer.elem, self._memory(rows, data), depth - 1)

    # Raw rules

    def _raw(self, raw: RawLayout) -> None:
        rows = np.arange(len(self.batch), dtype=np.int64)
        if raw.constant:
            self._raw_values(raw, rows, np.full(len(rows), raw.number % (1 << 64), dtype=np.uint64))
            return
        if raw.slot >= 0:
            rows = rows[self.batch.length >= raw.slot + 16]
            word = self._load(self.batch.start[rows] + raw.slot, 8)
        else:
            rows = rows[self.batch.length >= AREA_HEAD_BYTES]
            word = self._bias(rows) + np.uint64(raw.number % (1 << 64))
        offsets = raw.offsets
        for offset in offsets[:-1]:
            place, _ = self._locate(rows, word + np.uint64(offset % (1 << 64)), 8)
            rows, word = rows[place >= 0], self._load(place[place >= 0], 8)
        if raw.kind == "gostring":
            at = np.uint64(offsets[-1] % (1 << 64)) if offsets else np.uint64(0)
            slot = raw.slot

            def beside(offset: int, size: int) -> tuple[Indexes, Words]:
                return rows, self._load(self.batch.start[rows] + slot + offset, size)

            self._text(self._memory(rows, word + at) if offsets else beside)
        elif raw.kind in ("c", "string"):
            last = offsets[-1] if offsets else 0
            self._characters(raw, rows, word + np.uint64(last % (1 << 64)), in_register=not offsets)
        elif raw.count == 0:
            if offsets:
                place, _ = self._locate(rows, word + np.uint64(offsets[-1] % (1 << 64)), raw.size)
                rows, word = rows[place >= 0], self._load(place[place >= 0], raw.size)
            self._raw_values(raw, rows, word)

    def _raw_values(self, raw: RawLayout, rows: Indexes, words: Words) -> None:
        if raw.count or raw.kind in ("c", "string", "gostring"):
            return
        kind = {"s": TypeKind.INT, "f": TypeKind.FLOAT, "bool": TypeKind.BOOL}.get(raw.kind, TypeKind.UINT)
        masked = words if raw.size == 8 else words & np.uint64((1 << (8 * raw.size)) - 1)
        self._found.append(_number(GoType(kind, size=raw.size), rows, masked))

    def _characters(self, raw: RawLayout, rows: Indexes, address: Words, *, in_register: bool) -> None:
        """Texts that end at their first NUL: few distinct ones are expected, each is cut in Python."""
        if raw.count:
            return
        if in_register and raw.kind == "c":
            distinct, codes = np.unique(address, return_inverse=True)
            data = [int(word).to_bytes(8, "little")[: raw.size] for word in distinct]
        else:
            place, available = self._locate(rows, address, raw.size)
            found = place >= 0
            rows, place, available = rows[found], place[found], available[found]
            taken = np.minimum(available, raw.size) if raw.kind == "c" else available
            raw_bytes = self.batch.words.view(np.uint8)
            texts = [raw_bytes[p : p + n].tobytes() for p, n in zip(place.tolist(), taken.tolist(), strict=True)]
            table = {text: code for code, text in enumerate(dict.fromkeys(texts))}
            data, codes = list(table), np.array([table[text] for text in texts], dtype=np.int64)
        texts_ = [text.split(b"\0", 1)[0] for text in data]
        # The kernel ends what it cuts with a NUL of its own, in the last byte there is room for.
        most = self.plan.text_bytes - 1 if raw.kind == "string" else 1 << 30
        labels = tuple(_cut(text) if len(text) >= most else _whole(text) for text in texts_)
        self._found.append(Found(Kind.TEXT, rows, codes.astype(np.int64), labels))


def _whole(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _cut(data: bytes | memoryview) -> CutText:
    """Without the piece of a character at its end."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    return CutText(decoder.decode(data) + MARK)


def _common(rows: Indexes, one: Words, others: Indexes, other: Words) -> tuple[Indexes, Words, Words]:
    """The captures (ascending) that have both of two words, and the words."""
    if len(rows) == len(others) and bool(np.array_equal(rows, others)):
        return rows, one, other
    both = np.intersect1d(rows, others, assume_unique=True)
    return both, one[np.searchsorted(rows, both)], other[np.searchsorted(others, both)]


def _number(type_: GoType, rows: Indexes, words: Words) -> Found:
    if type_.kind is TypeKind.BOOL:
        return Found(Kind.BOOL, rows, words & np.uint64(0xFF) != 0)
    if type_.kind is TypeKind.FLOAT:
        raw = words.astype(np.uint32).view(np.float32) if type_.size == 4 else words.view(np.float64)
        return Found(Kind.NUMBER, rows, raw.astype(np.float64))
    if type_.kind is TypeKind.UINT:
        return Found(Kind.NUMBER, rows, words if type_.size == 8 else words.astype(np.int64))
    signed = words.astype(np.uint64).view(np.int64)
    shift = 64 - 8 * type_.size
    return Found(Kind.NUMBER, rows, (signed << shift) >> shift if shift else signed)

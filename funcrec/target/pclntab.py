"""The Go function table: entries, names, source lines, frame sizes and inlining of every function.

Present in every Go executable, stripped or not. Source: Go 1.18-1.27 `runtime/symtab.go`, `internal/abi/symtab.go` and
`cmd/link/internal/ld/pcln.go`. Columns of all functions are numpy arrays made in one pass; PC tables are decoded when
a function is asked about.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import TargetError
from funcrec.target.moduledata import Tables

U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

# 32-bit words of a function record.
_NAME, _DEFERRETURN, _PCSP, _PCFILE, _PCLN, _NPCDATA, _CU, _START_LINE = 1, 3, 4, 5, 6, 7, 8, 9
_PCDATA_INLINE, _FUNCDATA_INLINE = 2, 3
_NONE = 0xFFFFFFFF
_MAX_TREE = 1 << 14
_FEW = 32  # tables that are not worth a step in common

FLAG_ASSEMBLY = 4


@dataclass(frozen=True, slots=True)
class PcTable:
    """A PC-value table: `values[i]` holds from `ends[i - 1]` (or 0) up to before `ends[i]`, relative to the entry."""

    ends: list[int]
    values: list[int]

    def at(self, offset: int) -> int:
        """Value at an offset from the function's entry, -1 outside."""
        index = bisect_right(self.ends, offset)
        return self.values[index] if index < len(self.values) else -1


@dataclass(frozen=True, slots=True)
class InlinedCall:
    """An entry of an inline tree: `name` is the raw symbol of the inlined function."""

    name: str
    parent_offset: int  # a PC of the call, relative to the entry of the physical function


class PclnTable:
    """Functions of one executable, numbered in order of their addresses.

    Attributes:
        count: number of functions.
        entries, ends: i64 addresses; an end includes the padding behind the function.
        function_data: bytes from the base of function data on, empty when it was not found.

    Raises:
        TargetError: the table contradicts itself.
    """

    def __init__(self, tables: Tables, function_data: memoryview, path: str, has_start_line: bool) -> None:
        self._path = path
        self._data = tables.pclntab
        self._quantum = tables.quantum
        self.count, _, self._names_at, self._cu_at, self._files_at, self._pc_at, functab_at = tables.offsets
        self._base = 10 if has_start_line else 9  # words before funcID, flag, pad, nfuncdata
        self._tree_entry = 16 if has_start_line else 20
        self.function_data = function_data
        tail = len(self._data) - functab_at
        self._words: U32 = np.frombuffer(self._data, dtype="<u4", count=tail // 4, offset=functab_at)
        pairs = self._words[: 2 * self.count + 1]
        if len(pairs) < 2 * self.count + 1:
            raise self._damaged()
        starts = pairs.astype(np.int64)[0::2] + tables.text
        self.entries: I64 = starts[:-1]
        self.ends: I64 = starts[1:]
        self._records: I64 = pairs[1::2].astype(np.int64) // 4
        if int(self._records.max()) + self._base + 1 > len(self._words) or bool((np.diff(starts) < 0).any()):
            raise self._damaged()

    def _damaged(self) -> TargetError:
        return TargetError(f"{self._path}: its Go function table is damaged", remedy="build the program again")

    def _column(self, word: int) -> U32:
        return self._words[self._records + word]

    @cached_property
    def _kinds(self) -> U32:
        """funcID, flag, pad and nfuncdata of every function, one byte each from the lowest."""
        return self._column(self._base)

    @cached_property
    def function_ids(self) -> NDArray[np.uint8]:
        """funcID of every function: non-zero for what the runtime treats specially."""
        return (self._kinds & 0xFF).astype(np.uint8)

    @cached_property
    def assembly(self) -> Bools:
        """True for functions written in assembly."""
        return np.asarray(self._kinds >> 8 & FLAG_ASSEMBLY, dtype=np.bool_)

    @cached_property
    def foreign(self) -> Bools:
        """True for what other compilers made (C in cgo and -race builds): it belongs to no Go compilation unit."""
        return np.asarray(self._column(_CU) == _NONE, dtype=np.bool_)

    @cached_property
    def deferreturn(self) -> U32:
        """Offset of the deferreturn call of every function, 0 for those without defers."""
        return self._column(_DEFERRETURN)

    @cached_property
    def _name_blob(self) -> tuple[list[str], I64]:
        """Every name of the name table (functions and inlined ones), and the offset where each starts."""
        blob = bytes(self._data[self._names_at : self._cu_at])
        stops = np.flatnonzero(np.frombuffer(blob, dtype=np.uint8) == 0)
        starts = np.concatenate(([0], stops + 1))[: len(stops)].astype(np.int64)
        # Names are UTF-8; a byte that is not would have to come from a damaged table and must not shift the rest.
        return blob.decode("utf-8", "surrogateescape").split("\0")[: len(stops)], starts

    @cached_property
    def name_index(self) -> I64:
        """Position of every function's name in `all_names`."""
        _, starts = self._name_blob
        return np.clip(np.searchsorted(starts, self._column(_NAME), side="right") - 1, 0, None).astype(np.int64)

    @property
    def all_names(self) -> list[str]:
        """Raw names of functions and of functions that exist only as inlined copies."""
        return self._name_blob[0]

    @cached_property
    def names(self) -> list[str]:
        """Raw name of every function."""
        names = self.all_names
        if not names:
            raise self._damaged()
        return [names[index] for index in self.name_index.tolist()]

    def name(self, index: int) -> str:
        """Raw name of one function, without those of all others."""
        offset = int(self._words[self._records[index] + _NAME])
        return self._text(self._names_at + offset, self._cu_at).decode("utf-8", "surrogateescape")

    def forget(self) -> None:
        """Let go of the names of all functions and of decoded tables; they are made again when asked for."""
        for made in ("_name_blob", "name_index", "names", "inlinings"):
            self.__dict__.pop(made, None)
        self._file.cache_clear()
        self._pc_table.cache_clear()

    def find(self, pc: int) -> int | None:
        """Number of the function that `pc` lies in, None outside the Go text."""
        index = int(np.searchsorted(self.entries, pc, side="right")) - 1
        return index if index >= 0 and pc < self.ends[index] else None

    def frame_size(self, index: int, offset: int) -> int:
        """Bytes between SP at `offset` and SP at entry (pcsp)."""
        return self._value(int(self._words[self._records[index] + _PCSP]), offset)

    def frame_sizes(self, pcs: I64) -> I64:
        """The same for many addresses at once; -1 outside the Go text."""
        functions = np.searchsorted(self.entries, pcs, side="right") - 1
        inside = (functions >= 0) & (pcs < self.ends[np.maximum(functions, 0)])
        functions = functions[inside]
        offsets = pcs[inside] - self.entries[functions]
        # Functions share their tables: each is decoded once, and all lie in one ascending column.
        tables, which = np.unique(self._column(_PCSP)[functions], return_inverse=True)
        keys, values = self._pc_columns(tables)
        wanted = (which.astype(np.int64) << 32) + offsets
        at = np.minimum(np.searchsorted(keys, wanted, side="right"), len(keys) - 1)
        found = np.full(len(pcs), -1, dtype=np.int64)
        if len(keys):
            found[inside] = np.where(keys[at] >> 32 == which, values[at], -1)
        return found

    def position(self, index: int, offset: int) -> tuple[str, int]:
        """Innermost source file and line at an offset; ("", 0) where there is none."""
        record = int(self._records[index])
        file = self._value(int(self._words[record + _PCFILE]), offset)
        line = self._value(int(self._words[record + _PCLN]), offset)
        return (self._file(int(self._words[record + _CU]) + file), max(line, 0)) if file >= 0 else ("", 0)

    def declaration(self, index: int) -> tuple[str, int]:
        """File and line of the `func` keyword; before Go 1.20 the line of the first instruction."""
        offset = self._outermost(index, 0)
        file, line = self.position(index, offset)
        if self._base == 10:
            start = int(self._words[self._records[index] + _START_LINE])
            line = start if 0 < start < 1 << 31 else line
        return file, line

    def declarations(self, indices: I64) -> list[tuple[str, int]]:
        """The same for many functions at once."""
        records = self._records[indices]
        if self._base < 10 or not len(records):
            return [self.declaration(index) for index in indices.tolist()]
        files = self._first_values(self._words[records + _PCFILE])
        starts = self._words[records + _START_LINE].astype(np.int64)
        inlined = np.full(len(records), -1, dtype=np.int64)
        more = self._words[records + _NPCDATA] > _PCDATA_INLINE
        inlined[more] = self._first_values(self._words[records[more] + self._base + 1 + _PCDATA_INLINE])
        easy = (files >= 0) & (inlined < 0) & (starts > 0) & (starts < 1 << 31)
        units = np.where(easy, self._words[records + _CU].astype(np.int64) + files, 0)
        return [
            (self._file(unit), line) if plain else self.declaration(index)
            for unit, line, plain, index in zip(
                units.tolist(), starts.tolist(), easy.tolist(), indices.tolist(), strict=True
            )
        ]

    def _first_values(self, tables: U32) -> I64:
        """The value of each PC table at a function's entry, -1 where there is no table."""
        delta, _ = self._uvarints(self._pc_at + tables.astype(np.int64))
        return np.where(tables == 0, -1, -1 + np.where(delta & 1, -((delta + 1) >> 1), delta >> 1))

    def inlined_at(self, index: int, offset: int) -> list[InlinedCall]:
        """Inlined calls that are active at an offset, innermost first; [] in the function's own code."""
        calls: list[InlinedCall] = []
        while (call := self._inlined_call(index, offset)) is not None and len(calls) < 1000:
            calls.append(call)
            offset = call.parent_offset
        return calls

    def _outermost(self, index: int, offset: int) -> int:
        calls = self.inlined_at(index, offset)
        return calls[-1].parent_offset if calls else offset

    def _inlined_call(self, index: int, offset: int) -> InlinedCall | None:
        record = int(self._records[index])
        if int(self._words[record + _NPCDATA]) <= _PCDATA_INLINE:
            return None
        tree = self._inline_tree(index)
        if tree is None:
            return None
        entry = self._value(int(self._words[record + self._base + 1 + _PCDATA_INLINE]), offset)
        if entry < 0:
            return None
        at = tree + entry * self._tree_entry
        fields = np.frombuffer(self.function_data[at : at + self._tree_entry], dtype="<i4").tolist()
        if len(fields) < self._tree_entry // 4:
            return None
        # 1.20+: funcID and padding, name, parent PC, start line. Before: parent, file, line, name, parent PC.
        name, parent = (fields[1], fields[2]) if self._tree_entry == 16 else (fields[3], fields[4])
        return InlinedCall(self._name_at(name), parent)

    def _inline_tree(self, index: int) -> int | None:
        """Offset of the function's inline tree in `function_data`."""
        record = int(self._records[index])
        if int(self._kinds[index]) >> 24 <= _FUNCDATA_INLINE:
            return None
        at = record + self._base + 1 + int(self._words[record + _NPCDATA]) + _FUNCDATA_INLINE
        offset = int(self._words[at]) if at < len(self._words) else _NONE
        return None if offset == _NONE else offset

    @cached_property
    def inlinings(self) -> tuple[I64, I64]:
        """Pairs (function, position in `all_names`): the function has an inlined copy of that name; unique, sorted.

        The length of an inline tree is not recorded, but it ends where the next piece of function data begins.
        """
        places = self._function_data_offsets()
        owners, trees = places[places[:, 1] == _FUNCDATA_INLINE][:, [0, 2]].T
        ends = np.append(np.unique(places[:, 2]), len(self.function_data))
        counts = (ends[np.searchsorted(ends, trees, side="right")] - trees) // self._tree_entry
        counts = np.minimum(counts, _MAX_TREE)  # what follows the very last piece is not function data
        owners = np.repeat(owners, counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        at = np.repeat(trees, counts) + (np.arange(len(owners)) - first) * self._tree_entry
        words = np.frombuffer(self.function_data[: len(self.function_data) & ~3], dtype="<u4")
        name_word = 1 if self._tree_entry == 16 else 3
        name_offsets = words[at // 4 + name_word].astype(np.int64)
        _, starts = self._name_blob
        names = np.searchsorted(starts, name_offsets)
        real = (names < len(starts)) & (starts[np.minimum(names, len(starts) - 1)] == name_offsets)
        real &= words[at // 4 + name_word + 1] != 0  # padding behind a tree: a call is never at offset 0
        pairs = np.unique(owners[real] * (len(starts) + 1) + names[real])
        return pairs // (len(starts) + 1), pairs % (len(starts) + 1)

    def _function_data_offsets(self) -> I64:
        """Rows (function, kind of function data, offset) for all that is there."""
        counts = (self._kinds >> 24).astype(np.int64)
        owners = np.repeat(np.arange(self.count), counts)
        kinds = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        at = (self._records + self._base + 1 + self._column(_NPCDATA))[owners] + kinds
        offsets = self._words[np.minimum(at, len(self._words) - 1)].astype(np.int64)
        there = offsets < len(self.function_data)
        return np.stack([owners[there], kinds[there], offsets[there]], axis=1)

    def _name_at(self, offset: int) -> str:
        names, starts = self._name_blob
        index = int(np.searchsorted(starts, offset, side="right")) - 1
        return names[index] if 0 <= index < len(names) else ""

    @lru_cache(maxsize=1 << 16)  # noqa: B019  one table per executable, and it lives as long as the process
    def _file(self, unit_index: int) -> str:
        at = self._cu_at + 4 * unit_index
        offset = int.from_bytes(self._data[at : at + 4], "little")
        if offset == _NONE or at + 4 > self._files_at:
            return ""
        return self._text(self._files_at + offset, self._pc_at).decode("utf-8", "replace")

    def _text(self, start: int, end: int) -> bytes:
        """What stands before the first NUL from `start` on, at most up to `end`."""
        stop = start
        while stop < end and self._data[stop]:
            stop += 1
        return bytes(self._data[start:stop])

    def _value(self, table: int, offset: int) -> int:
        """Value of a PC table at an offset from the function's entry, -1 where it has none."""
        if offset:
            return self._pc_table(table).at(offset)
        # Declarations of thousands of functions are asked for, and need the first value only.
        return -1 + _zigzag(_uvarint(self._data, self._pc_at + table)[0]) if table else -1

    def _pc_columns(self, tables: U32) -> tuple[I64, I64]:
        """Many PC tables, decoded in step.

        Returns:
            (keys, values), ascending: position of the table << 32 | end, and the value up to there.
        """
        lanes = np.flatnonzero(tables)
        at = self._pc_at + tables[lanes].astype(np.int64)
        value, pc = np.full(len(lanes), -1, dtype=np.int64), np.zeros(len(lanes), dtype=np.int64)
        keys, values = [], []
        begun = False
        while len(lanes) > _FEW:
            delta, at = self._uvarints(at)
            more = (at < len(self._data)) & ((delta != 0) | (not begun))
            lanes, at, delta = lanes[more], at[more], delta[more]
            step, at = self._uvarints(at)
            value = value[more] + np.where(delta & 1, -((delta + 1) >> 1), delta >> 1)
            pc = pc[more] + step * self._quantum
            keys.append(lanes << 32 | np.minimum(pc, (1 << 32) - 1))
            values.append(value)
            begun = True
        for lane in lanes.tolist():  # long ones; what is there already of them comes once more, and is the same
            table = self._pc_table(int(tables[lane]))
            keys.append(np.array(table.ends, dtype=np.int64) + (lane << 32))
            values.append(np.array(table.values, dtype=np.int64))
        all_keys = np.concatenate(keys) if keys else np.zeros(0, dtype=np.int64)
        order = np.argsort(all_keys, kind="stable")
        return all_keys[order], np.concatenate(values)[order] if values else all_keys

    def _uvarints(self, at: I64) -> tuple[I64, I64]:
        """Unsigned varints of at most five bytes at many positions, and the positions behind them."""
        data = self._bytes
        value = np.zeros(len(at), dtype=np.int64)
        more = np.arange(len(at))
        at = at.copy()
        for shift in range(0, 35, 7):
            more = more[at[more] < len(data)]
            byte = data[at[more]].astype(np.int64)
            value[more] |= (byte & 0x7F) << shift
            at[more] += 1
            more = more[byte >= 0x80]
            if not len(more):
                break
        return value, at

    @cached_property
    def _bytes(self) -> NDArray[np.uint8]:
        return np.frombuffer(self._data, dtype=np.uint8)

    @lru_cache(maxsize=1 << 12)  # noqa: B019
    def _pc_table(self, table: int) -> PcTable:
        """Decode a PC table: pairs of value delta (zig-zag) and PC delta, ended by a value delta of zero."""
        ends: list[int] = []
        values: list[int] = []
        data, at = self._data, self._pc_at + table
        value, pc = -1, 0
        while table and at < len(data):
            delta, at = _uvarint(data, at)
            if delta == 0 and ends:
                break
            value += _zigzag(delta)
            step, at = _uvarint(data, at)
            pc += step * self._quantum
            ends.append(pc)
            values.append(value)
        return PcTable(ends, values)


def _uvarint(data: memoryview, at: int) -> tuple[int, int]:
    """The unsigned varint at a position and the position behind it; damaged data end it."""
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, at


def _zigzag(value: int) -> int:
    return -((value + 1) >> 1) if value & 1 else value >> 1

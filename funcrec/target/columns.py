"""The machine code of many functions, decoded once, one row an instruction.

Objects are made for the few instructions that somebody asks about; all others are numbers in columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from iced_x86 import Code, Decoder, FlowControl, Instruction
from numpy.typing import NDArray

from funcrec.target.decoding import decode
from funcrec.target.instructions import condition_code, is_emulated

I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

_JUMPS = (FlowControl.CONDITIONAL_BRANCH, FlowControl.UNCONDITIONAL_BRANCH)
_WORD = 4
_MAX_LENGTH = 15


@dataclass(frozen=True, slots=True)
class Kinds:
    """What follows from an instruction's iced `Code` alone; indexed by it.

    Attributes:
        flow: u8 FlowControl.
        condition: i8 x86 condition code of conditional jumps that are emulated, else -1.
        emulated: the kernel carries it out itself.
        relative: u8 size of the relative operand at its end in bytes, 0 for all but direct jumps and calls.
    """

    flow: NDArray[np.uint8]
    condition: NDArray[np.int8]
    emulated: Bools
    relative: NDArray[np.uint8]


class Instructions:
    """Columns of n instructions of m functions, in the order of both.

    Args:
        addresses: where each function starts, as linked.
        codes: bytes of each, padding included.

    Attributes:
        text: all bytes, one function behind the other.
        code: u16 iced `Code`; `length` u8 in bytes; `address` i64 as linked.
        first: i64, m + 1: the first row of each function, and n.
        begins, ends: i64, m: addresses of each function and behind it.
    """

    def __init__(self, addresses: Sequence[int], codes: Sequence[bytes]) -> None:
        self.text = b"".join(codes)
        self.code, self.length, counts = decode(codes)
        self.first: I64 = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
        ends = np.cumsum(self.length, dtype=np.int64)
        self._at: I64 = ends - self.length
        starts = np.cumsum([0, *map(len, codes)], dtype=np.int64)[:-1]
        self.begins: I64 = np.asarray(addresses, dtype=np.int64)
        self.ends: I64 = self.begins + np.array([len(each) for each in codes], dtype=np.int64)
        self.address: I64 = self._at + np.repeat(self.begins - starts, counts)

    def __len__(self) -> int:
        return len(self.code)

    def function_of(self, rows: I64) -> I64:
        """The function that each row is of."""
        return np.searchsorted(self.first, rows, side="right") - 1

    def row_at(self, addresses: I64, functions: I64) -> I64:
        """The row of the instruction that starts at each address of a function, -1 where none does."""
        found = np.full(len(addresses), -1, dtype=np.int64)
        inside = (addresses >= self.begins[functions]) & (addresses < self.ends[functions])
        # Functions may come in any order, but each is a stretch of ascending addresses of its own.
        firsts = self.first[functions[inside]]
        places = addresses[inside] - self.address[firsts] + self._at[firsts]
        rows = np.searchsorted(self._at, places)
        found[inside] = np.where(self._at[np.minimum(rows, len(self) - 1)] == places, rows, -1)
        return found

    @cached_property
    def _bytes(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.text + bytes(_MAX_LENGTH), dtype=np.uint8)

    def word(self, rows: I64, skipped: int = 0) -> NDArray[np.uint32]:
        """Four bytes from the start of each instruction, the lowest first; they may belong to the next one."""
        return _words(self._bytes, self._at[rows] + skipped)

    def bytes_of(self, row: int) -> bytes:
        """The instruction's encoding."""
        at = int(self._at[row])
        return self.text[at : at + int(self.length[row])]

    def encodings(self, rows: I64) -> list[bytes]:
        """The encoding of each row."""
        text = self.text
        at = self._at[rows]
        return [text[begin:end] for begin, end in zip(at.tolist(), (at + self.length[rows]).tolist(), strict=True)]

    def instruction(self, row: int) -> Instruction:
        """The instruction of a row as an object."""
        return Decoder(64, self.bytes_of(row), ip=int(self.address[row])).decode()

    @cached_property
    def kinds(self) -> Kinds:
        """Properties of all codes that occur."""
        size = int(self.code.max(initial=0)) + 1
        sample = np.full(size, -1, dtype=np.int64)
        sample[self.code] = np.arange(len(self))
        kinds = Kinds(
            np.zeros(size, np.uint8), np.full(size, -1, np.int8), np.zeros(size, np.bool_), np.zeros(size, np.uint8)
        )
        for code in np.flatnonzero(sample >= 0).tolist():
            decoder = Decoder(64, self.bytes_of(sample[code]), ip=int(self.address[sample[code]]))
            instruction = decoder.decode()
            flow = instruction.flow_control
            kinds.flow[code] = flow
            kinds.condition[code] = condition_code(instruction)
            kinds.emulated[code] = is_emulated(instruction)
            if flow in _JUMPS or code == Code.CALL_REL32_64:
                size_of = decoder.get_constant_offsets(instruction).immediate_size
                kinds.relative[code] = size_of if size_of in (1, 4) else 0
        return kinds

    @cached_property
    def flow(self) -> NDArray[np.uint8]:
        """FlowControl of every instruction."""
        return self.kinds.flow[self.code]

    def targets(self, rows: I64) -> I64:
        """Where direct jumps and calls lead, and what other instructions with four bytes at their end refer to."""
        ends = self._at[rows] + self.length[rows]
        near = self.kinds.relative[self.code[rows]] == 1
        distance = _words(self._bytes, np.maximum(ends - _WORD, 0)).view(np.int32).astype(np.int64)
        distance[near] = self._bytes[ends[near] - 1].astype(np.int8)
        targets: I64 = self.address[rows] + self.length[rows] + distance
        return targets


def _words(data: NDArray[np.uint8], at: I64) -> NDArray[np.uint32]:
    word = np.zeros(len(at), dtype=np.uint32)
    for byte in range(_WORD):
        word |= data[at + byte].astype(np.uint32) << np.uint32(8 * byte)
    return word

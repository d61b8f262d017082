"""What an instruction does to a register, as a step that bpf/results.h can take: sums of registers, loads, masks.

Registers are numbered as in value plans (target/abi.py); 16 is none (0) and 17 the load bias of the image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from iced_x86 import (
    Instruction,
    InstructionInfoFactory,
    MemorySizeExt,
    Mnemonic,
    OpAccess,
    OpKind,
    Register,
    RegisterExt,
)

from funcrec.target.instructions import written_registers

NONE, BIAS = 16, 17
SP, R11 = 11, 8
_NUMBERS = {
    getattr(Register, name): number
    for number, name in enumerate(
        ("RAX", "RBX", "RCX", "RDI", "RSI", "R8", "R9", "R10", "R11", "RDX", "RBP", "RSP", "R12", "R13", "R14", "R15")
    )
}
_HIGH_BYTES = frozenset((Register.AH, Register.BH, Register.CH, Register.DH))
_IMMEDIATES = frozenset(
    (
        OpKind.IMMEDIATE8,
        OpKind.IMMEDIATE32,
        OpKind.IMMEDIATE64,
        OpKind.IMMEDIATE8TO32,
        OpKind.IMMEDIATE8TO64,
        OpKind.IMMEDIATE32TO64,
    )
)
_WRITES = frozenset((OpAccess.WRITE, OpAccess.READ_WRITE, OpAccess.COND_WRITE, OpAccess.READ_COND_WRITE))
_info = InstructionInfoFactory().info
_full_register: Callable[..., int] = RegisterExt.full_register


class Step(NamedTuple):
    """struct result_step of bpf/results.h: to = base + (second << shift) + number; then what lies there; then cut.

    Attributes:
        load: bytes that are read at that address, 0: it is the value itself.
        cut: bits taken off above, `signed`: the highest that stays fills them up again.
        keep: the same after that, filled up with 0.
    """

    to: int
    base: int = NONE
    second: int = NONE
    shift: int = 0
    number: int = 0
    load: int = 0
    cut: int = 0
    signed: bool = False
    keep: int = 0

    @property
    def is_move(self) -> bool:
        """True when the whole of a register becomes that of another."""
        return self == Step(self.to, self.base)


class Memory(NamedTuple):
    """An address in terms of registers; `pushed`: counted from SP as it is afterwards."""

    base: int
    second: int
    shift: int
    number: int
    pushed: bool = False


class Store(NamedTuple):
    """Where an instruction writes, None when that is not told, and how many bytes."""

    place: Memory | None
    size: int


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one instruction.

    Attributes:
        writes: general registers that change.
        step: what makes the one that is written, None when it is not understood.
        size: its lowest bytes that the step tells.
        source_size: lowest bytes of the registers that it is made of that matter.
        store: memory that changes.
    """

    writes: tuple[int, ...]
    step: Step | None = None
    size: int = 8
    source_size: int = 8
    store: Store | None = None


def meaning_of(instruction: Instruction) -> Meaning:
    """What an instruction without effect on control does to registers and memory."""
    writes = tuple(sorted(_NUMBERS[each] for each in written_registers(instruction) if each in _NUMBERS))
    # SP itself is followed by its changes, not as a register.
    writes = tuple(each for each in writes if each != SP)
    return Meaning(writes, *_step(instruction, writes), _store(instruction))


def _store(instruction: Instruction) -> Store | None:
    if instruction.mnemonic == Mnemonic.PUSH:
        return Store(Memory(SP, NONE, 0, 0, pushed=True), 8)
    written = [memory for memory in _info(instruction).used_memory() if memory.access in _WRITES]
    if not written:
        return None
    place = _memory(instruction) if len(written) == 1 else None
    return Store(place, MemorySizeExt.size(written[0].memory_size) or 64)


def _memory(instruction: Instruction) -> Memory | None:
    if instruction.memory_segment in (Register.FS, Register.GS):
        return None
    if instruction.is_ip_rel_memory_operand:
        return Memory(BIAS, NONE, 0, instruction.ip_rel_memory_address)
    base, index = instruction.memory_base, instruction.memory_index
    if (base and base not in _NUMBERS) or (index and index not in _NUMBERS):
        return None  # addresses of 32 bits, vectors
    displacement = instruction.memory_displacement
    if displacement >> 63:
        displacement -= 1 << 64
    shift = instruction.memory_index_scale.bit_length() - 1
    return Memory(_NUMBERS.get(base, NONE), _NUMBERS.get(index, NONE), shift if index else 0, displacement)


def _step(instruction: Instruction, writes: tuple[int, ...]) -> tuple[Step | None, int, int]:
    """The step, its bytes, those of its sources."""
    nothing = (None, 0, 8)
    if len(writes) != 1 or instruction.op0_kind != OpKind.REGISTER or instruction.op0_register in _HIGH_BYTES:
        return nothing
    size = RegisterExt.size(instruction.op0_register)
    to = writes[0]
    made = _made(instruction, to, size)
    if made is None:
        return nothing
    step, source_size = made
    if size == 4 and not step.keep:
        step = step._replace(keep=32)
    return step, 8 if size == 4 else size, source_size


def _made(instruction: Instruction, to: int, size: int) -> tuple[Step, int] | None:
    mnemonic = instruction.mnemonic
    if mnemonic == Mnemonic.POP and size == 8:
        return Step(to, SP, load=8), 8
    if mnemonic == Mnemonic.LEA:
        place = _memory(instruction)
        return (Step(to, *place[:4]), 8) if place and size >= 4 else None
    if mnemonic in (Mnemonic.XOR, Mnemonic.SUB) and instruction.op1_kind == OpKind.REGISTER:
        return (Step(to), 8) if instruction.op1_register == instruction.op0_register and size >= 4 else None
    if mnemonic in (Mnemonic.INC, Mnemonic.DEC):
        return Step(to, to, number=1 if mnemonic == Mnemonic.INC else -1), size
    if mnemonic in (Mnemonic.ADD, Mnemonic.SUB) and instruction.op1_kind in _IMMEDIATES:
        number = _immediate(instruction)
        return Step(to, to, number=number if mnemonic == Mnemonic.ADD else -number), size
    if mnemonic == Mnemonic.ADD and instruction.op1_kind == OpKind.REGISTER:
        other = _register(instruction.op1_register)
        return None if other is None else (Step(to, to, other), size)
    if mnemonic == Mnemonic.SHL and instruction.op1_kind == OpKind.IMMEDIATE8:
        return Step(to, NONE, to, instruction.immediate(1) & (63 if size == 8 else 31)), size
    return _moved(instruction, to, size)


def _moved(instruction: Instruction, to: int, size: int) -> tuple[Step, int] | None:
    mnemonic = instruction.mnemonic
    wide = mnemonic in (Mnemonic.MOVZX, Mnemonic.MOVSX, Mnemonic.MOVSXD)
    if not wide and mnemonic != Mnemonic.MOV:
        return None
    if instruction.op1_kind in _IMMEDIATES:
        return Step(to, number=_immediate(instruction)), 8
    if instruction.op1_kind == OpKind.REGISTER:
        source = _register(instruction.op1_register)
        if source is None:
            return None
        step, read = Step(to, source), RegisterExt.size(instruction.op1_register)
    elif instruction.op1_kind == OpKind.MEMORY:
        place, read = _memory(instruction), MemorySizeExt.size(instruction.memory_size)
        if place is None or read not in (1, 2, 4, 8):
            return None
        step = Step(to, *place[:4], load=read)
    else:
        return None
    if wide:
        step = step._replace(cut=64 - 8 * read, signed=mnemonic != Mnemonic.MOVZX)
    return step, 8 if step.load else read


def _register(register: int) -> int | None:
    """Its number, None for the second byte of one and for others than general ones."""
    return None if register in _HIGH_BYTES else _NUMBERS.get(_full_register(register))


def _immediate(instruction: Instruction) -> int:
    number: int = instruction.immediate(1)
    return number - (1 << 64) if number >> 63 else number

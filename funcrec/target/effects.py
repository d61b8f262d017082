"""What an instruction between an exit site and its RET may do: how it moves SP, and whether it can fault.

Only what is understood has an effect; everything else makes the walk back from the RET stop in front of it.
"""

from dataclasses import dataclass
from enum import IntEnum

from iced_x86 import FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register

from funcrec.target.instructions import written_registers


class Rule(IntEnum):
    """How much a tail may touch; each includes those before."""

    REGISTERS = 1  # registers, and the stack by push and pop: cannot fault
    FRAME = 2  # and memory of the own frame, of the image and of the thread: does not fault in Go code
    MEMORY = 3  # and any memory, and division: may raise a panic, which takes the exit back


@dataclass(frozen=True, slots=True)
class Effect:
    """Of one instruction: the rule that allows it, and the bytes that it adds to SP."""

    rule: Rule
    sp_change: int


_UNTOUCHED = frozenset((OpAccess.NONE, OpAccess.NO_MEM_ACCESS))
_FRAME_BASES = frozenset((Register.RSP, Register.RBP))
_IMMEDIATES = frozenset((OpKind.IMMEDIATE8TO64, OpKind.IMMEDIATE32TO64))
_WORD = 8
_info = InstructionInfoFactory().info


def effect_of(instruction: Instruction) -> Effect | None:
    """The effect of an instruction that the next one follows, None when it is not understood.

    Not understood are writes of R14 (before one, R14 is not g), changes of SP by anything but a known number, repeated
    string instructions (they may take long) and whatever enters the kernel.
    """
    if instruction.flow_control != FlowControl.NEXT or instruction.has_rep_prefix or instruction.has_repne_prefix:
        return None
    written = written_registers(instruction)
    if Register.R14 in written:
        return None
    change = 0
    if Register.RSP in written:
        known = _sp_change(instruction)
        if known is None or known < 0:  # a tail that goes deeper again would hide whose instruction faults
            return None
        change = known
    return Effect(_rule(instruction), change)


def _sp_change(instruction: Instruction) -> int | None:
    """Bytes added to SP by an instruction that writes it, None when they are not known."""
    if instruction.mnemonic == Mnemonic.POP:
        plain = instruction.op0_kind == OpKind.REGISTER and instruction.op0_register != Register.RSP
        return _WORD if plain and instruction.stack_pointer_increment == _WORD else None
    if instruction.op0_kind != OpKind.REGISTER or instruction.op0_register != Register.RSP:
        return None
    if instruction.mnemonic in (Mnemonic.ADD, Mnemonic.SUB) and instruction.op1_kind in _IMMEDIATES:
        amount = _signed(instruction.immediate(1))
        return amount if instruction.mnemonic == Mnemonic.ADD else -amount
    if (
        instruction.mnemonic == Mnemonic.LEA
        and instruction.memory_base == Register.RSP
        and instruction.memory_index == Register.NONE
    ):
        return _signed(instruction.memory_displacement)
    return None


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word


def _rule(instruction: Instruction) -> Rule:
    if instruction.mnemonic in (Mnemonic.DIV, Mnemonic.IDIV):
        return Rule.MEMORY
    rule = Rule.REGISTERS
    implicit = instruction.mnemonic in (Mnemonic.POP, Mnemonic.PUSH)
    for memory in _info(instruction).used_memory():
        if memory.access in _UNTOUCHED or (implicit and memory.base == Register.RSP):
            continue
        thread = memory.segment in (Register.FS, Register.GS)
        image = memory.base == Register.NONE and instruction.is_ip_rel_memory_operand
        own = image or (memory.base in _FRAME_BASES and memory.index == Register.NONE)
        rule = max(rule, Rule.FRAME if own or thread else Rule.MEMORY)
    return rule

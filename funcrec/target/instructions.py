"""What matters about single x86-64 instructions to someone who wants to put a probe on them.

Which the kernel emulates and which it refuses: Linux 6.18 `arch/x86/kernel/uprobes.c`.
"""

from collections.abc import Iterable

from iced_x86 import (
    Code,
    FlowControl,
    Instruction,
    InstructionInfoFactory,
    Mnemonic,
    OpAccess,
    OpKind,
    Register,
    RegisterExt,
)

# Emulated by every kernel of interest. Multi-byte nops are left out: only recent kernels emulate them, Go emits none.
_EMULATED = frozenset(
    (Code.JMP_REL8_64, Code.JMP_REL32_64, Code.CALL_REL32_64, Code.PUSH_R64, Code.NOPD, Code.NOPW, Code.NOPQ)
)
_REFUSED_PREFIXES = frozenset((0xF0, 0x26, 0x2E, 0x36, 0x3E))  # lock and segment overrides but fs and gs
_PREFIXES = _REFUSED_PREFIXES | {0x64, 0x65, 0x66, 0x67, 0xF2, 0xF3}
_REFUSED_OPCODES = frozenset(  # ins, outs, int3, int, iret, in, out, int1, hlt, cli, sti
    (0x6C, 0x6D, 0x6E, 0x6F, 0xCC, 0xCD, 0xCF, 0xE4, 0xE5, 0xE6, 0xE7, 0xEC, 0xED, 0xEE, 0xEF, 0xF1, 0xF4, 0xFA, 0xFB)
)
_WRITES = frozenset((OpAccess.WRITE, OpAccess.READ_WRITE, OpAccess.COND_WRITE, OpAccess.READ_COND_WRITE))
_UNTOUCHED = frozenset((OpAccess.NONE, OpAccess.NO_MEM_ACCESS))
_info = InstructionInfoFactory().info


def is_emulated(instruction: Instruction) -> bool:
    """True when the kernel carries the instruction out itself instead of single-stepping a copy."""
    if instruction.flow_control == FlowControl.CONDITIONAL_BRANCH:
        return condition_code(instruction) >= 0  # not loop and jrcxz
    return instruction.code in _EMULATED


def is_probeable(code: bytes) -> bool:
    """False when the kernel refuses a uprobe on the instruction that these bytes begin with."""
    at = 0
    while at < len(code) and code[at] in _PREFIXES:
        if code[at] in _REFUSED_PREFIXES:
            return False
        at += 1
    if at < len(code) and 0x40 <= code[at] <= 0x4F:  # REX
        at += 1
    return at < len(code) and code[at] not in _REFUSED_OPCODES


def condition_code(instruction: Instruction) -> int:
    """x86 condition code (0..15) of a conditional jump, -1 for every other instruction."""
    if instruction.flow_control != FlowControl.CONDITIONAL_BRANCH:
        return -1
    return instruction.condition_code - 1  # iced counts from 1 in the order of the encoding; 0 is none


def written_registers(instruction: Instruction) -> set[int]:
    """Full-width registers (iced `Register`) that the instruction may write."""
    return {
        RegisterExt.full_register(used.register)
        for used in _info(instruction).used_registers()
        if used.access in _WRITES
    }


def may_fault(instruction: Instruction, safe_bases: Iterable[int]) -> bool:
    """True when running it can raise a Go panic: memory through other registers than the given, or a division."""
    if instruction.mnemonic in (Mnemonic.DIV, Mnemonic.IDIV):
        return True
    if instruction.is_ip_rel_memory_operand:  # a variable of the program
        return False
    return any(
        memory.access not in _UNTOUCHED
        and memory.segment not in (Register.FS, Register.GS)
        and (memory.base not in safe_bases or memory.index != Register.NONE)
        for memory in _info(instruction).used_memory()
    )


def loads_from_thread(instruction: Instruction) -> bool:
    """True for `mov register, fs:[...]`: how code that is not Go's own ABI gets g."""
    return (
        instruction.mnemonic == Mnemonic.MOV
        and instruction.op0_kind == OpKind.REGISTER
        and instruction.op1_kind == OpKind.MEMORY
        and instruction.memory_segment == Register.FS
    )

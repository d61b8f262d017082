"""The first instructions of a function: at which of them is a call seen exactly once, cheaply, with its arguments.

Go 1.18-1.27 `cmd/internal/obj/x86/obj6.go` emits the stack check:

    small   cmp rsp, [r14+16]; jbe
    large   lea r12, [rsp-N]; cmp r12, [r14+16]; jbe
    huge    mov r12, rsp; sub r12, N; jb; cmp r12, [r14+16]; jbe

When the check fails the call restarts from the entry after morestack, so the branch counts only when it falls through.
"""

from collections.abc import Set
from dataclasses import dataclass

from iced_x86 import ConditionCode, Decoder, FlowControl, Instruction, Mnemonic, OpKind, Register

from funcrec.target.instructions import is_emulated, loads_from_thread, may_fault, written_registers

_STACK_GUARDS = (16, 24)  # g.stackguard0 and g.stackguard1
_ARGUMENTS = frozenset(
    (
        Register.RAX,
        Register.RBX,
        Register.RCX,
        Register.RDI,
        Register.RSI,
        Register.R8,
        Register.R9,
        Register.R10,
        Register.R11,
        Register.RDX,  # closure context
    )
) | frozenset(range(Register.ZMM0, Register.ZMM0 + 15))
_SAFE_BASES = frozenset((Register.RSP, Register.R14))


@dataclass(slots=True)
class Walk:
    """What the straight line from the entry leads to.

    Attributes:
        first: the first instruction.
        chosen: the first emulated instruction at which g, SP and (if wanted) the arguments are as at entry.
        is_stack_check: `chosen` is the branch of the stack check.
        end: the RET or jump out that the line reaches without any branch before; None when it does not.
        arguments_intact: no register that can hold an argument was written before `chosen` or `end`.
        can_fault: an instruction before `chosen` or `end` can raise a panic.
    """

    first: Instruction
    chosen: Instruction | None = None
    is_stack_check: bool = False
    end: Instruction | None = None
    arguments_intact: bool = True
    can_fault: bool = False


def walk_entry(code: bytes, address: int, targets: Set[int], exits: Set[int], *, keep_arguments: bool) -> Walk:
    """Walk from the entry up to the first instruction that settles the matter.

    Args:
        code: bytes of the function.
        address: where it starts, as linked.
        targets: addresses that jumps of the function lead to: behind one of them calls and loop rounds look alike.
        exits: addresses of RETs and of jumps out of the function.
        keep_arguments: True when argument registers must be intact at `chosen`.
    """
    decoder = Decoder(64, code, ip=address)
    walk = Walk(first=decoder.decode())
    g_bases: set[int] = set(_SAFE_BASES)
    previous: Instruction | None = None
    instruction = walk.first
    while True:
        if instruction.ip in targets and instruction.ip != address:
            return walk
        if instruction.ip in exits:
            if instruction.flow_control != FlowControl.CONDITIONAL_BRANCH:
                walk.end = instruction
            return walk
        if is_emulated(instruction):
            if _is_stack_check(previous, instruction, g_bases):
                walk.chosen, walk.is_stack_check = instruction, True
                return walk
            if not _is_huge_check(previous, instruction):
                if not walk.can_fault and (walk.arguments_intact or not keep_arguments):
                    walk.chosen = instruction
                return walk
        elif instruction.flow_control != FlowControl.NEXT:
            return walk
        else:
            written = written_registers(instruction)
            if loads_from_thread(instruction):
                g_bases |= written
                written.discard(Register.R14)
            if Register.RSP in written or Register.R14 in written:
                return walk
            walk.arguments_intact &= not (written & _ARGUMENTS)
            walk.can_fault |= may_fault(instruction, g_bases)
        previous = instruction
        if not decoder.can_decode:
            return walk
        instruction = decoder.decode()


def _is_stack_check(compare: Instruction | None, branch: Instruction, g_bases: Set[int]) -> bool:
    return (
        compare is not None
        and branch.condition_code == ConditionCode.BE
        and compare.mnemonic == Mnemonic.CMP
        and compare.op0_kind == OpKind.REGISTER
        and compare.op1_kind == OpKind.MEMORY
        and compare.op0_register in (Register.RSP, Register.R12, Register.R13)
        and compare.memory_base in g_bases - {Register.RSP}
        and compare.memory_index == Register.NONE
        and compare.memory_displacement in _STACK_GUARDS
    )


def _is_huge_check(subtract: Instruction | None, branch: Instruction) -> bool:
    """The first branch of the check for frames so large that the subtraction can wrap."""
    return (
        subtract is not None
        and branch.condition_code == ConditionCode.B
        and subtract.mnemonic == Mnemonic.SUB
        and subtract.op0_register in (Register.R12, Register.R13)
    )

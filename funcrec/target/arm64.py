"""What matters about single arm64 instructions to someone who wants to put a probe on them.

Every instruction is one little-endian word. Encodings: Arm ARM (DDI 0487), C4.1. Which the kernel simulates, steps out
of line or refuses: `arch/arm64/kernel/probes/decode-insn.c` of Linux 5.4 and of a later tree. Later ones may do more
themselves.
"""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Bools = NDArray[np.bool_]
I64 = NDArray[np.int64]

RET, BR, BLR = 0xD65F0000, 0xD61F0000, 0xD63F0000  # register in bits 5..9
B, BL = 0x14000000, 0x94000000
ALWAYS = 14  # condition codes from here on
_REGISTER_JUMP = 0xFFFFFC1F
_IMMEDIATE_JUMP = 0xFC000000
_CONDITIONS = ("eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "nv")
_ZERO = 31


def _like(words: Words, mask: int, value: int) -> Bools:
    found: Bools = (words & np.uint32(mask)) == np.uint32(value)
    return found


def is_return(words: Words) -> Bools:
    """RET through any register."""
    return _like(words, _REGISTER_JUMP, RET)


def is_indirect(words: Words) -> Bools:
    """Jumps through a register."""
    return _like(words, _REGISTER_JUMP, BR)


def is_call(words: Words) -> Bools:
    """Calls, direct and through a register."""
    return _like(words, _IMMEDIATE_JUMP, BL) | _like(words, _REGISTER_JUMP, BLR)


def is_direct_call(words: Words) -> Bools:
    """BL."""
    return _like(words, _IMMEDIATE_JUMP, BL)


def is_always(words: Words) -> Bools:
    """B: a jump without a condition."""
    return _like(words, _IMMEDIATE_JUMP, B)


def is_conditional(words: Words) -> Bools:
    """B.cond, whose outcome the flags tell."""
    return _like(words, 0xFF000010, 0x54000000)


def is_register_test(words: Words) -> Bools:
    """CBZ, CBNZ, TBZ and TBNZ, whose outcome a register tells."""
    return _like(words, 0x7C000000, 0x34000000)


def is_literal_load(words: Words) -> Bools:
    """LDR, LDRSW and PRFM of a word near the code."""
    return _like(words, 0x3B000000, 0x18000000)


def targets(words: Words, addresses: I64) -> I64:
    """Where direct jumps, direct calls and literal loads lead; anything for other instructions."""
    signed = words.view(np.int32).astype(np.int64)
    far, tested = _like(words, 0x7C000000, B), _like(words, 0x7E000000, 0x36000000)
    distance = np.where(far, (signed << 38) >> 38, np.where(tested, (signed << 45) >> 50, (signed << 40) >> 45))
    found: I64 = addresses + 4 * distance
    return found


def condition_code(word: int) -> int:
    """Condition code (0..15) of B.cond, -1 for every other instruction."""
    return word & 15 if word & 0xFF000010 == 0x54000000 else -1


def is_simulated(word: int) -> bool:
    """Whether the kernel does what the instruction does itself instead of single-stepping a copy of it."""
    one = np.array([word], np.uint32)
    relative = word & 0x1F000000 == 0x10000000  # ADR, ADRP
    jumps = is_return(one) | is_indirect(one) | is_call(one) | is_always(one) | is_conditional(one)
    return relative or bool((jumps | is_register_test(one))[0])


def is_probeable(word: int) -> bool:
    """Whether every kernel takes a probe there: what it can neither simulate nor step is refused."""
    one = np.array([word], np.uint32)
    exclusive = word & 0x3F800000 == 0x08000000  # loads and stores between which nothing may happen
    system = word & 0xFFC00000 == 0xD5000000 and word != 0xD503201F  # MSR, MRS, barriers and hints but NOP
    exception = word & 0xFF000000 == 0xD4000000
    reserved = word & 0xFFFF0000 == 0  # UDF
    # ERET, and the jumps that check a signature of the address.
    odd_jump = word & 0xFE000000 == 0xD6000000 and not bool((is_return(one) | is_indirect(one) | is_call(one))[0])
    return not (exclusive or system or exception or reserved or odd_jump or bool(is_literal_load(one)[0]))


def disassembly(word: int, address: int) -> str:
    """The instruction as text: jumps and calls by name, others as the assembler's .inst."""
    one = np.array([word], np.uint32)
    target = f"{int(targets(one, np.array([address], np.int64))[0]):#x}"
    register = f"x{word >> 5 & 31}"
    if is_return(one)[0]:
        return "ret" if register == "x30" else f"ret {register}"
    if is_indirect(one)[0]:
        return f"br {register}"
    if is_call(one)[0]:
        return f"bl {target}" if is_direct_call(one)[0] else f"blr {register}"
    if is_always(one)[0]:
        return f"b {target}"
    if is_conditional(one)[0]:
        return f"b.{_CONDITIONS[word & 15]} {target}"
    if is_register_test(one)[0]:
        return _register_test(word, target)
    return "nop" if word == 0xD503201F else f".inst {word:#010x}"


def _register_test(word: int, target: str) -> str:
    negated = "n" if word >> 24 & 1 else ""
    number = word & 31
    bit = (word >> 31) << 5 | word >> 19 & 31
    single = word >> 25 & 1
    wide = word >> 31 if not single else bit >= 32
    register = f"{'x' if wide else 'w'}{'zr' if number == _ZERO else number}"
    return f"tb{negated}z {register}, #{bit}, {target}" if single else f"cb{negated}z {register}, {target}"

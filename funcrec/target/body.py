"""One function, decoded once: its instructions by position, and which of them lead where.

A body exists only for code that decodes cleanly and whose jumps all lead to instruction starts; for any other, nothing
can be said of the paths to a RET.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from iced_x86 import Code, Decoder, FlowControl, Instruction, Mnemonic, OpKind, Register

WordsAt = Callable[[int, int], list[int]]

_MAX_CASES = 1 << 12
_JUMPS = re.compile(b"[^%c]" % FlowControl.NEXT).finditer
_CALLS = (FlowControl.CALL, FlowControl.INDIRECT_CALL)
_BRANCHES = (FlowControl.CONDITIONAL_BRANCH, FlowControl.UNCONDITIONAL_BRANCH)


@dataclass(slots=True)
class Body:
    """Control flow of a function.

    Attributes:
        address, end: where it starts and where its last instruction ends, as linked.
        instructions: all of them, in order of address; `flows` their FlowControl.
        joins: address -> positions of the direct jumps that lead there.
        heads: addresses that something else than a direct jump may lead to: switch cases, the way out of a panic.
        returns: positions of the RETs.
        leaves: some jump leads, or may lead, out of the function.
    """

    address: int
    end: int
    instructions: list[Instruction]
    flows: list[int]
    joins: dict[int, list[int]] = field(default_factory=dict)
    heads: set[int] = field(default_factory=set)
    returns: list[int] = field(default_factory=list)
    leaves: bool = False

    def loop_around(self, address: int) -> tuple[int, int] | None:
        """First and last address of the innermost loop that an instruction may be in, None outside of loops.

        A loop is taken to reach from the target of a backward jump to the jump. Jumps to the entry restart the function
        after its stack has grown.
        """
        ends = [
            (target, max(self.instructions[position].ip for position in jumps))
            for target, jumps in self.joins.items()
            if self.address < target <= address
        ]
        around = [(first, last) for first, last in ends if last >= address]
        return min(around, key=lambda loop: loop[1] - loop[0], default=None)

    def calls_between(self, first: int, last: int) -> frozenset[int]:
        """Entry addresses of the functions that are called from a range of addresses; 0 for indirect calls."""
        return frozenset(
            instruction.near_branch_target if flow == FlowControl.CALL else 0
            for instruction, flow in zip(self.instructions, self.flows, strict=True)
            if flow in _CALLS and first <= instruction.ip <= last
        )


def read_body(code: bytes, address: int, deferreturn: int, words_at: WordsAt) -> Body | None:
    """Decode a function; None when its paths cannot be known.

    Args:
        code: its bytes, padding included.
        address: where it starts, as linked.
        deferreturn: offset at which a recovered panic resumes it, 0 for none.
        words_at: (address, count) -> up to that many 64-bit words of the image.
    """
    instructions = list(Decoder(64, code, ip=address))
    flows: list[int] = [instruction.flow_control for instruction in instructions]
    body = Body(address, address + len(code), instructions, flows)
    if deferreturn:
        body.heads.add(address + deferreturn)
    indirect = False
    for match in _JUMPS(bytes(flows)):  # most instructions only go on to the next
        position = match.start()
        flow = flows[position]
        if flow in _BRANCHES:
            target = instructions[position].near_branch_target
            if address <= target < body.end:
                body.joins.setdefault(target, []).append(position)
            else:
                body.leaves = True
        elif flow == FlowControl.RETURN:
            body.returns.append(position)
        elif flow == FlowControl.INDIRECT_BRANCH:
            indirect = True
        elif flow == FlowControl.EXCEPTION and instructions[position].code == Code.INVALID:
            return None
    if indirect and not _read_switches(body, words_at):
        return None
    led_to = body.heads.union(body.joins)
    return body if led_to <= {instruction.ip for instruction in instructions} else None


def _read_switches(body: Body, words_at: WordsAt) -> bool:
    """Add the cases of all switches to the heads; False when an indirect jump goes who knows where.

    Compiled code loads the table's address, `lea base, [rip+table]`, and jumps, `jmp [base+index*8]`. Every table
    whose address is loaded anywhere in the function counts, so that it does not matter which load reaches which jump.
    How many cases there are is not written anywhere, but a table ends at the latest where its words leave the function.
    """
    loaded: set[int] = set()
    for instruction in body.instructions:
        if instruction.mnemonic == Mnemonic.LEA and instruction.is_ip_rel_memory_operand:
            cases = _cases(body, words_at, instruction.ip_rel_memory_address)
            if cases:
                body.heads |= cases
                loaded.add(instruction.op0_register)
        elif instruction.flow_control == FlowControl.INDIRECT_BRANCH:
            through_table = (
                instruction.op0_kind == OpKind.MEMORY
                and instruction.memory_index_scale == 8
                and instruction.memory_index != Register.NONE
                and instruction.memory_displacement == 0
                and instruction.memory_base in loaded
            )
            if not through_table:
                body.leaves = True
                return False
    return True


def _cases(body: Body, words_at: WordsAt, table: int) -> set[int]:
    """The words of a table up to the first that does not lie in the function."""
    found: set[int] = set()
    if body.address <= table < body.end:
        return found
    for count in (1, 64, _MAX_CASES):  # nearly all that is loaded is no table
        words = words_at(table, count)
        inside = next((at for at, word in enumerate(words) if not body.address <= word < body.end), len(words))
        found.update(words[:inside])
        if inside < count:
            return found
    return found

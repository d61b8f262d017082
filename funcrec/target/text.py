"""Machine code of one function: where a call of it can be seen to begin and to end.

x86-64 only. Decoding runs from the entry over the whole function: Go code decodes linearly, its jump tables are
elsewhere and its padding is int3.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from iced_x86 import Code, Decoder, FlowControl, Formatter, FormatterSyntax, Instruction, Mnemonic, OpKind, Register

from funcrec.target.instructions import condition_code, is_emulated, is_probeable
from funcrec.target.prologue import Walk, walk_entry

_FALLTHROUGH, _TAKEN, _ALWAYS = 1, 2, 3
_FORMATTER = Formatter(FormatterSyntax.INTEL)
_FORMATTER.hex_prefix, _FORMATTER.hex_suffix = "0x", ""
_FORMATTER.uppercase_hex = False
_FORMATTER.branch_leading_zeros = False
_FORMATTER.show_branch_size = False
_FORMATTER.space_after_operand_separator = True
_MAX_CASES = 1 << 12


@dataclass(frozen=True, slots=True)
class CodeSite:
    """An instruction at which a probe sees a call begin, end, or both.

    Attributes:
        address: as linked.
        role: `entry`, `exit`, `point` (both at once), `call` (see `calls_of`), `chain` or `twin` (see `plan.exits`).
        edge: bits 1 (falls through) and 2 (is taken): outcomes of a conditional jump that count; 3 otherwise.
        condition: x86 condition code of a conditional jump, -1 for other instructions.
        sp_delta: bytes from SP at the site up to SP at function entry.
        emulated: True when the kernel emulates the instruction instead of single-stepping it.
        arguments_intact: False at an entry or point where argument registers may have changed since the entry.
        instruction: disassembly.
        why: why this instruction.
    """

    address: int
    role: str
    edge: int
    condition: int
    sp_delta: int
    emulated: bool
    arguments_intact: bool
    instruction: str
    why: str


@dataclass(frozen=True, slots=True)
class FunctionCode:
    """The sites of a function in order of address; none and a reason when it cannot be traced."""

    sites: tuple[CodeSite, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CodeContext:
    """What has to be known of the rest of the executable.

    Attributes:
        frame_size: bytes between SP at an address and SP at entry (pcsp).
        is_morestack: tells whether an address is the entry of a runtime.morestack function.
        words_at: (address, count) -> 64-bit words of the image, for jump tables.
    """

    frame_size: Callable[[int], int]
    is_morestack: Callable[[int], bool]
    words_at: Callable[[int, int], list[int]]


@dataclass(slots=True)
class Flow:
    """The control flow of a function.

    Attributes:
        targets: addresses inside it that a jump leads to, the entry left out.
        returns: the RETs.
        leaving: direct jumps out of it, conditional ones too.
        indirect: jumps through registers or memory.
        calls: direct calls.
        loops_to_entry: a jump that does not come from a failed stack check leads to its first instruction.
        invalid: address of the first undecodable instruction, None when all decode.
    """

    targets: set[int] = field(default_factory=set)
    returns: list[Instruction] = field(default_factory=list)
    leaving: list[Instruction] = field(default_factory=list)
    indirect: list[Instruction] = field(default_factory=list)
    calls: list[Instruction] = field(default_factory=list)
    loops_to_entry: bool = False
    invalid: int | None = None


def read_flow(code: bytes, address: int, context: CodeContext) -> Flow:
    """Decode a whole function; `code` may end in padding."""
    flow = Flow()
    end = address + len(code)
    restarting = False  # the last call was one of morestack
    for instruction in Decoder(64, code, ip=address):
        kind = instruction.flow_control
        if kind == FlowControl.NEXT:
            continue
        if kind == FlowControl.CALL:
            restarting = context.is_morestack(instruction.near_branch_target)
            flow.calls.append(instruction)
        elif kind in (FlowControl.CONDITIONAL_BRANCH, FlowControl.UNCONDITIONAL_BRANCH):
            target = instruction.near_branch_target
            if not address <= target < end:
                flow.leaving.append(instruction)
            elif target == address:
                flow.loops_to_entry |= not restarting
            else:
                flow.targets.add(target)
        elif kind == FlowControl.RETURN:
            flow.returns.append(instruction)
        elif kind == FlowControl.INDIRECT_BRANCH:
            flow.indirect.append(instruction)
        elif kind == FlowControl.INDIRECT_CALL:
            restarting = False
        elif kind == FlowControl.EXCEPTION and instruction.code == Code.INVALID:
            flow.invalid = instruction.ip
            break
    return flow


def choose_sites(
    code: bytes,
    address: int,
    context: CodeContext,
    *,
    assembly: bool = False,
    arguments: bool = False,
    results: bool = False,
) -> FunctionCode:
    """Choose the entry site and the exit sites of a function.

    The entry site is hit exactly once per call, also when the stack check restarts the function; emulated instructions
    are preferred. Exits are the RETs and the jumps out. Two sites never share an address.

    Args:
        code: its bytes, padding included.
        address: where it starts, as linked.
        context: the rest of the executable.
        assembly: it is written in assembly.
        arguments: argument registers must be as at entry at the entry site.
        results: result registers must be set at the exit site.
    """
    flow = read_flow(code, address, context)
    exits, reason = _exits(flow, context, assembly=assembly)
    if reason:
        return FunctionCode(reason=reason)
    ends = {site.address for site in exits}
    walk = walk_entry(code, address, flow.targets, ends, keep_arguments=arguments)
    tables = [jump for jump in flow.indirect if jump.ip not in ends]
    if tables and not walk.is_stack_check:
        # Behind a stack check no jump can lead into the prologue; a leaf function may be one loop around a switch.
        cases = _case_targets(code, address, context)
        if cases is None or address in cases:
            return FunctionCode(reason="its first instruction may be the head of a loop around a switch")
        walk = walk_entry(code, address, flow.targets | cases, ends, keep_arguments=arguments)

    entry = _entry(walk, context, arguments=arguments, results=results)
    if entry.address in ends:
        if any(site.address == entry.address and site.edge != _ALWAYS for site in exits):
            return FunctionCode(reason="its first instruction is a conditional jump out of it")
        entry = replace(entry, role="point")
    sites = [entry] if entry.role == "point" else sorted([entry, *exits], key=lambda site: site.address)
    refused = [site for site in sites if not is_probeable(code[site.address - address :])]
    if refused:
        return FunctionCode(reason=f"the kernel takes no probe on '{refused[0].instruction}'")
    return FunctionCode(tuple(sites))


def disassembly(code: bytes, address: int) -> str:
    """The first instruction of some bytes as text."""
    return _FORMATTER.format(Decoder(64, code, ip=address).decode())


def calls_of(code: bytes, address: int, callees: set[int], context: CodeContext) -> tuple[CodeSite, ...]:
    """Sites at the direct calls and tail jumps of any of `callees` (entry addresses)."""
    flow = read_flow(code, address, context)
    leading = [ins for ins in (*flow.calls, *flow.leaving) if ins.near_branch_target in callees]
    return tuple(_site(instruction, "call", context, "call") for instruction in leading)


def _exits(flow: Flow, context: CodeContext, *, assembly: bool) -> tuple[list[CodeSite], str]:
    """Exit sites, or a reason why the function cannot be traced."""
    if flow.invalid is not None:
        return [], f"does not decode: the bytes at {flow.invalid:#x} are no instruction"
    if flow.loops_to_entry:
        return [], "its first instruction is the head of a loop: calls and rounds look alike"
    if assembly and flow.indirect:
        return [], "assembly that jumps through a register: its exits cannot be known"
    exits = [_site(ret, "exit", context, "return") for ret in flow.returns]
    if any(site.sp_delta for site in exits):
        return [], "does not decode cleanly: a RET inside a frame"
    exits += [
        _site(jump, "exit", context, "jump out", edge=_ALWAYS if condition_code(jump) < 0 else _TAKEN)
        for jump in flow.leaving
    ]
    exits += [_site(jump, "exit", context, "jump out") for jump in flow.indirect if _leaves(jump, context)]
    return exits, ""


def _leaves(jump: Instruction, context: CodeContext) -> bool:
    """True for a tail jump through a register: forwarders to embedded interfaces end so since Go 1.27.

    Switches of compiled code jump through a table, `[base+index*8]`.
    """
    through_table = jump.op0_kind == OpKind.MEMORY and jump.memory_index != Register.NONE
    return not through_table and context.frame_size(jump.ip) == 0


def _case_targets(code: bytes, address: int, context: CodeContext) -> set[int] | None:
    """Where the jump tables of a function lead; None when one of them cannot be found.

    The compiler loads the table's address, `lea base, [rip+table]`, and jumps, `jmp [base+index*8]`; how many cases
    there are is not written anywhere, but the table ends at the latest where its words leave the function.
    """
    targets: set[int] = set()
    tables: dict[int, int] = {}
    for instruction in Decoder(64, code, ip=address):
        if instruction.mnemonic == Mnemonic.LEA and instruction.is_ip_rel_memory_operand:
            tables[instruction.op0_register] = instruction.ip_rel_memory_address
        elif instruction.flow_control == FlowControl.INDIRECT_BRANCH and instruction.op0_kind == OpKind.MEMORY:
            table = tables.get(instruction.memory_base)
            if table is None or instruction.memory_index_scale != 8:
                return None
            for target in context.words_at(table, _MAX_CASES):
                if not address <= target < address + len(code):
                    break
                targets.add(target)
    return targets


def _entry(walk: Walk, context: CodeContext, *, arguments: bool, results: bool) -> CodeSite:
    intact = walk.arguments_intact
    if walk.chosen is not None:
        if walk.is_stack_check:
            return _site(walk.chosen, "entry", context, "stack check passed", edge=_FALLTHROUGH, intact=intact)
        at_first = walk.chosen.ip == walk.first.ip
        why = "first instruction, emulated" if at_first else "first emulated instruction"
        return _site(walk.chosen, "entry", context, why, intact=intact)
    if walk.end is not None:
        if walk.end.flow_control != FlowControl.RETURN:
            if intact or not arguments:
                return _site(walk.end, "point", context, "forwarder: begins and leaves here", intact=intact)
        elif not walk.can_fault:
            why = "straight code up to its only RET"
            if walk.end.ip == walk.first.ip or not results:
                return _site(walk.first, "point", context, why)
            if intact or not arguments:
                return _site(walk.end, "point", context, why, intact=intact)
    return _site(walk.first, "entry", context, "first instruction: none that is emulated comes in time")


def _site(
    instruction: Instruction,
    role: str,
    context: CodeContext,
    why: str,
    *,
    edge: int = _ALWAYS,
    intact: bool = True,
) -> CodeSite:
    return code_site(instruction, role, edge, context.frame_size(instruction.ip), why, intact=intact)


def code_site(
    instruction: Instruction, role: str, edge: int, sp_delta: int, why: str, *, intact: bool = True
) -> CodeSite:
    """A site at an instruction; the other arguments as in `CodeSite`."""
    return CodeSite(
        address=instruction.ip,
        role=role,
        edge=edge,
        condition=condition_code(instruction),
        sp_delta=sp_delta,
        emulated=is_emulated(instruction),
        arguments_intact=intact,
        instruction=_FORMATTER.format(instruction),
        why=why,
    )

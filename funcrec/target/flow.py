"""Where the jumps of many functions lead, and for which of them that can be known.

The paths of a function are known when all of it decodes and every jump leads to the start of an instruction of it, or
out of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from iced_x86 import Code, FlowControl, Instruction, OpKind, Register
from numpy.typing import NDArray

from funcrec.target.columns import I64, Bools, Instructions

WordsAt = Callable[[I64, int], NDArray[np.uint64]]

_MAX_CASES = 1 << 12
_WORD = 8
_LOAD_BYTES = 7  # REX, opcode, ModRM, displacement


@dataclass(slots=True)
class Flow:
    """Control flow of the m functions of `code`.

    Attributes:
        code: the instructions.
        join_to, join_from: rows that jumps of the same function lead to, ascending, and the rows of those jumps.
        heads: rows that something else than a direct jump may lead to, ascending: switch cases, the way out of a panic.
        leaving: rows of direct jumps out of their function; `indirect` rows of jumps through registers or memory.
        through_tables: of those in `indirect`, which may be switches.
        returns: rows of the RETs of all functions.
        calls, callees: rows of the direct calls, and the addresses that they lead to.
        decodes: bool, m: every byte belongs to an instruction.
        known: bool, m: the paths are.
        leaves: bool, m: some jump leads, or may lead, out of the function.
    """

    code: Instructions
    join_to: I64
    join_from: I64
    heads: I64
    leaving: I64
    indirect: I64
    through_tables: Bools
    returns: I64
    calls: I64
    callees: I64
    decodes: Bools
    known: Bools
    leaves: Bools
    _loops: "Loops | None" = field(default=None, repr=False)

    def joins(self, rows: I64) -> tuple[I64, I64]:
        """Where in `join_from` the jumps to each row begin and end."""
        return np.searchsorted(self.join_to, rows), np.searchsorted(self.join_to, rows, side="right")

    @property
    def loops(self) -> "Loops":
        """All loops."""
        if self._loops is None:
            self._loops = Loops(self)
        return self._loops


def read_flow(code: Instructions, deferreturns: Sequence[int], words_at: WordsAt) -> Flow:
    """Follow all jumps.

    Args:
        code: the instructions of m functions.
        deferreturns: m offsets at which a recovered panic resumes a function, 0 for none.
        words_at: (n addresses, count) -> n x count 64-bit words of the image, 0 where it has none.
    """
    kinds, functions = code.flow, len(code.first) - 1
    jumps = np.flatnonzero((kinds == FlowControl.CONDITIONAL_BRANCH) | (kinds == FlowControl.UNCONDITIONAL_BRANCH))
    owners, targets = code.function_of(jumps), code.targets(jumps)
    to = code.row_at(targets, owners)
    out = (targets < code.begins[owners]) | (targets >= code.ends[owners])
    invalid = code.function_of(np.flatnonzero((kinds == FlowControl.EXCEPTION) & (code.code == Code.INVALID)))
    decodes = np.ones(functions, dtype=np.bool_)
    decodes[invalid] = False
    known, leaves = decodes.copy(), np.zeros(functions, dtype=np.bool_)
    known[owners[(to < 0) & ~out]] = False  # into an instruction
    known[owners[code.kinds.relative[code.code[jumps]] == 0]] = False
    leaves[owners[out]] = True
    inside = to >= 0
    order = np.argsort(to[inside], kind="stable")
    calls = np.flatnonzero(code.code == Code.CALL_REL32_64)
    indirect = np.flatnonzero(kinds == FlowControl.INDIRECT_BRANCH)
    found = Flow(
        code=code,
        join_to=to[inside][order],
        join_from=jumps[inside][order],
        heads=np.zeros(0, dtype=np.int64),
        leaving=jumps[out],
        indirect=indirect,
        through_tables=np.array([_through_table(code.instruction(row)) for row in indirect.tolist()], dtype=np.bool_),
        returns=np.flatnonzero(kinds == FlowControl.RETURN),
        calls=calls,
        callees=code.targets(calls),
        decodes=decodes,
        known=known,
        leaves=leaves,
    )
    _find_heads(found, np.asarray(deferreturns, dtype=np.int64), words_at)
    return found


def _find_heads(flow: Flow, deferreturns: I64, words_at: WordsAt) -> None:
    code = flow.code
    owners = np.flatnonzero(deferreturns)
    addresses = code.begins[owners] + deferreturns[owners]
    lost, cases, case_owners = _Switches(flow, words_at).read()
    flow.known[lost] = False
    flow.leaves[lost] = True
    owners = np.concatenate((owners, np.asarray(case_owners, dtype=np.int64)))
    rows = code.row_at(np.concatenate((addresses, np.asarray(cases, dtype=np.int64))), owners)
    flow.known[owners[rows < 0]] = False
    flow.heads = np.unique(rows[rows >= 0])


def _through_table(jump: Instruction) -> bool:
    """A jump as compiled switches make it: `jmp [base+index*8]`."""
    return bool(
        jump.op0_kind == OpKind.MEMORY
        and jump.memory_index != Register.NONE
        and jump.memory_index_scale == _WORD
        and jump.memory_displacement == 0
    )


class _Switches:
    """The cases of all switches.

    Compiled code loads the table's address, `lea base, [rip+table]`, and jumps, `jmp [base+index*8]`. Every table
    whose address is loaded anywhere in the function counts, so that it does not matter which load reaches which jump.
    How many cases there are is not written anywhere, but a table ends at the latest where its words leave the function.
    """

    def __init__(self, flow: Flow, words_at: WordsAt) -> None:
        self._code = flow.code
        self._words_at = words_at
        self._rows = flow.indirect
        self._through_tables = dict(zip(flow.indirect.tolist(), flow.through_tables.tolist(), strict=True))

    def read(self) -> tuple[list[int], list[int], list[int]]:
        """Functions with a jump to who knows where; addresses of cases; the function of each."""
        owners = np.unique(self._code.function_of(self._rows))
        loads = self._loads(owners)
        rows = np.sort(np.concatenate((self._rows, loads)))
        lost: set[int] = set()
        cases: list[int] = []
        case_owners: list[int] = []
        function, loaded = -1, set[int]()
        for row, owner in zip(rows.tolist(), self._code.function_of(rows).tolist(), strict=True):
            if owner != function:
                function, loaded = owner, set()
            instruction = self._code.instruction(row)
            if row not in self._through_tables:
                found = self._cases(owner, instruction.ip_rel_memory_address)
                loaded.add(instruction.op0_register)
                cases += found
                case_owners += [owner] * len(found)
            elif not self._through_tables[row] or instruction.memory_base not in loaded:
                lost.add(owner)
        return sorted(lost), cases, case_owners

    def _loads(self, owners: I64) -> I64:
        """Rows of `lea register, [rip+...]` in some functions that load what may be the address of a table."""
        code = self._code
        there = np.zeros(len(code.first) - 1, dtype=np.bool_)
        there[owners] = True
        rows = np.flatnonzero(code.code == Code.LEA_R64_M)
        rows = rows[there[code.function_of(rows)] & (code.length[rows] == _LOAD_BYTES)]
        rows = rows[code.word(rows) >> 16 & 0xC7 == 5]  # ModRM: displacement from rip
        owners, tables = code.function_of(rows), code.targets(rows)
        begins, ends = code.begins[owners], code.ends[owners]
        first = self._words_at(tables, 1)[:, 0].astype(np.int64)
        possible = (first >= begins) & (first < ends) & ~((tables >= begins) & (tables < ends))
        found: I64 = rows[possible]
        return found

    def _cases(self, owner: int, table: int) -> list[int]:
        """The words of a table up to the first that does not lie in the function."""
        begin, end = int(self._code.begins[owner]), int(self._code.ends[owner])
        found: list[int] = []
        for count in (64, _MAX_CASES):
            words = self._words_at(np.array([table]), count)[0].tolist()
            inside = next((at for at, word in enumerate(words) if not begin <= word < end), len(words))
            found = words[:inside]
            if inside < count:
                break
        return found


class Loops:
    """The loops of all functions: from the target of a backward jump to the last jump there.

    Jumps to the entry are none: they restart the function after its stack has grown.
    """

    def __init__(self, flow: Flow) -> None:
        targets, begins = np.unique(flow.join_to, return_index=True)
        lasts = np.maximum.reduceat(flow.join_from, begins) if len(begins) else targets
        backward = (lasts >= targets) & ~np.isin(targets, flow.code.first)
        self._first, self._last = targets[backward], lasts[backward]
        self._flow = flow

    def around(self, rows: I64) -> tuple[I64, I64]:
        """First and last row of the innermost loop that each row is in, -1 outside of loops."""
        order = np.argsort(rows)
        ascending = rows[order]
        inner = np.full(len(rows), -1, dtype=np.int64)
        begins = np.searchsorted(ascending, self._first)
        ends = np.searchsorted(ascending, self._last, side="right")
        inhabited = np.flatnonzero(begins < ends)
        lengths = self._flow.code.address[self._last] - self._flow.code.address[self._first]
        for loop in inhabited[np.argsort(-lengths[inhabited], kind="stable")].tolist():
            inner[begins[loop] : ends[loop]] = loop  # the shortest comes last
        found = np.full(len(rows), -1, dtype=np.int64)
        found[order] = inner
        inside = found >= 0
        firsts, lasts = found.copy(), found.copy()
        firsts[inside], lasts[inside] = self._first[found[inside]], self._last[found[inside]]
        return firsts, lasts

    def calls(self, firsts: I64, lasts: I64, wanted: I64) -> Bools:
        """Whether a function is called directly between two rows, both included.

        Args:
            firsts, lasts: one pair for each answer.
            wanted: entry addresses of the functions that count.
        """
        flow = self._flow
        rows = flow.calls[np.isin(flow.callees, wanted)]
        return np.searchsorted(rows, firsts) < np.searchsorted(rows, lasts, side="right")

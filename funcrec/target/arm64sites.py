"""Where calls can be seen to begin and to end in arm64 code, one function at a time.

The plain way: the branch of the stack check, or the first instruction where there is none, and every RET. The kernel
simulates both the branch and the RET, so that there is nothing to gain by looking for other sites.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from funcrec.target import arm64
from funcrec.target.arm64 import I64, Bools, Words
from funcrec.target.code import ManyFunctions
from funcrec.target.executable import Executable, Function
from funcrec.target.ordinary import SITE, in_order, site_row
from funcrec.target.text import CodeSite, FunctionCode

_WORD = 4
_FALLTHROUGH, _TAKEN, _ALWAYS = 1, 2, 3
_LOWER, _LOWER_OR_SAME = 3, 9
# Go 1.18-1.27 `cmd/internal/obj/arm64/obj7.go`: ldr x16, [x28, #16]; for large frames sub x17, sp, #N (through x27
# where N is no immediate), for huge ones subs and b.lo; cmp with x16; b.ls to the call of morestack.
_LOAD_GUARD = 0xF9400B90
_SCRATCH = (16, 17, 27)
_LONGEST_CHECK = 8
_TABLE_LOAD, _TABLE_LOAD_MASK = 0xF8607800, 0xFFE0FC00  # ldr xt, [xn, xm, lsl #3]
_LOAD_TO_JUMP = 3  # instructions between the load of a case and the jump there


@dataclass(frozen=True, slots=True)
class _Code:
    """A function's words; `data` tells which are constants between the instructions."""

    function: Function
    words: Words
    addresses: I64
    data: Bools

    def rows(self, which: Bools) -> list[int]:
        found: list[int] = np.flatnonzero(which & ~self.data).tolist()
        return found


@dataclass(frozen=True, slots=True)
class _Jumps:
    """Rows of direct jumps, where they lead, and which of them leave the function."""

    rows: I64
    targets: I64
    out: Bools


class Arm64Reader:
    """Decodes functions of arm64 executables; the same interface as `target.code.CodeReader`."""

    def __init__(self, executable: Executable) -> None:
        self._executable = executable
        self._morestack = np.array(
            [
                int(executable.functions.addresses[index])
                for index, name in enumerate(executable.functions.names)
                if name.startswith("runtime.morestack")
            ],
            dtype=np.int64,
        )

    def sites(self, function: Function, *, arguments: bool = False, results: bool = False) -> FunctionCode:
        """Entry and exit sites of a function, or the reason why it cannot be traced.

        Arguments are intact at every entry and results at every exit, whether they are wanted or not.
        """
        code = self._read(function)
        if not len(code.words):
            return FunctionCode(reason="no code")
        jumps = _jumps(code)
        if self._loops(code, jumps):
            return FunctionCode(reason="its first instruction is the head of a loop: calls and rounds look alike")
        exits, reason = self._exits(code, jumps)
        if reason:
            return FunctionCode(reason=reason)
        check = _stack_check(code, jumps)
        if check is not None:
            entry = self._site(code, check, "entry", "stack check passed", edge=_FALLTHROUGH)
        elif self._tables(code):
            return FunctionCode(reason="its first instruction may be the head of a loop around a switch")
        else:
            entry = self._site(code, 0, "entry", "first instruction: there is no stack check")
        if any(site.address == entry.address for site in exits):
            if len(exits) > 1 or exits[0].edge != _ALWAYS:
                return FunctionCode(reason="its first instruction is a conditional jump out of it")
            entry, exits = self._site(code, 0, "point", _alone(exits[0])), []
        refused = next((site for site in (entry, *exits) if not arm64.is_probeable(self._word(site.address))), None)
        if refused is not None:
            return FunctionCode(reason=f"the kernel takes no probe on '{refused.instruction}'")
        if entry.sp_delta:
            return FunctionCode(reason="does not decode cleanly: its entry lies inside a frame")
        return FunctionCode((entry, *exits))

    def many(self, functions: Sequence[Function], arguments: Bools, results: Bools) -> ManyFunctions:
        """The same for m functions at once; `arguments` and `results` bool, m."""
        reasons: dict[int, str] = {}
        rows = []
        for at, function in enumerate(functions):
            found = self.sites(function, arguments=bool(arguments[at]), results=bool(results[at]))
            if found.reason:
                reasons[at] = found.reason
            rows += [site_row(at, site) for site in found.sites]
        return ManyFunctions(in_order(np.array(rows, SITE)), None, reasons)

    def calls_of(self, function: Function, callees: set[int]) -> tuple[CodeSite, ...]:
        """Sites at the direct calls and tail jumps of any of the given entry addresses."""
        code = self._read(function)
        leading = arm64.is_direct_call(code.words) | arm64.is_always(code.words)
        leading &= np.isin(arm64.targets(code.words, code.addresses), list(callees))
        return tuple(self._site(code, row, "call", "call") for row in code.rows(leading))

    def instruction_at(self, address: int) -> str:
        """The instruction at an address as text."""
        return arm64.disassembly(self._word(address), address)

    def _read(self, function: Function) -> _Code:
        raw = self._executable.bytes_at(function.address, max(function.end - function.address, 0))
        words = np.frombuffer(raw[: len(raw) // _WORD * _WORD], dtype="<u4")
        addresses = function.address + _WORD * np.arange(len(words), dtype=np.int64)
        return _Code(function, words, addresses, _constants(words, addresses))

    def _word(self, address: int) -> int:
        return int.from_bytes(self._executable.bytes_at(address, _WORD), "little")

    def _loops(self, code: _Code, jumps: _Jumps) -> bool:
        """Whether a jump leads to the first instruction that does not come from a failed stack check."""
        calls = np.flatnonzero(arm64.is_call(code.words) & ~code.data)
        for row in jumps.rows[jumps.targets == code.function.address].tolist():
            before = int(np.searchsorted(calls, row)) - 1
            if before < 0 or arm64.targets(code.words, code.addresses)[calls[before]] not in self._morestack:
                return True
        return False

    def _exits(self, code: _Code, jumps: _Jumps) -> tuple[list[CodeSite], str]:
        """Exit sites, or a reason why the function cannot be traced."""
        indirect = code.rows(arm64.is_indirect(code.words))
        if code.function.assembly and indirect:
            return [], "assembly that jumps through a register: its exits cannot be known"
        exits = [self._site(code, row, "exit", "return") for row in code.rows(arm64.is_return(code.words))]
        if any(site.sp_delta for site in exits):
            return [], "does not decode cleanly: a RET inside a frame"
        leaving = jumps.rows[jumps.out]
        if arm64.is_register_test(code.words[leaving]).any():
            return [], "leaves by a jump that a register decides"
        for row in leaving.tolist():
            edge = _ALWAYS if arm64.is_always(code.words[row : row + 1])[0] else _TAKEN
            exits.append(self._site(code, row, "exit", "jump out", edge=edge))
        tables = self._tables(code)
        for row in indirect:
            if row not in tables and not self._executable.frame_size(int(code.addresses[row])):
                exits.append(self._site(code, row, "exit", "jump out"))
        return sorted(exits, key=lambda site: site.address), ""

    def _tables(self, code: _Code) -> list[int]:
        """Rows of jumps to the cases of a switch: the address was loaded from a table just before."""
        loads = (code.words & _TABLE_LOAD_MASK) == _TABLE_LOAD
        found = []
        for row in code.rows(arm64.is_indirect(code.words)):
            register = int(code.words[row]) >> 5 & 31
            near = slice(max(row - _LOAD_TO_JUMP, 0), row)
            if (loads[near] & ((code.words[near] & 31) == register)).any():
                found.append(row)
        return found

    def _site(self, code: _Code, row: int, role: str, why: str, *, edge: int = _ALWAYS) -> CodeSite:
        word, address = int(code.words[row]), int(code.addresses[row])
        return CodeSite(
            address=address,
            role=role,
            edge=edge,
            condition=arm64.condition_code(word),
            sp_delta=self._executable.frame_size(address),
            emulated=arm64.is_simulated(word),
            arguments_intact=True,
            instruction=arm64.disassembly(word, address),
            why=why,
        )


def _alone(exit_: CodeSite) -> str:
    return "its first instruction returns" if exit_.why == "return" else "forwarder: begins and leaves here"


def _constants(words: Words, addresses: I64) -> Bools:
    """Which words are constants that literal loads before them read (the assembler's pools lie behind their users)."""
    data = np.zeros(len(words), dtype=np.bool_)
    loads = np.flatnonzero(arm64.is_literal_load(words))
    pools = (arm64.targets(words[loads], addresses[loads]) - addresses[:1].sum()) // _WORD
    for row, pool in zip(loads.tolist(), pools.tolist(), strict=True):
        if data[row] or not row < pool < len(words):
            continue
        word = int(words[row])
        size = (2 if word >> 30 & 1 else 1) if not word >> 26 & 1 else 1 << (word >> 30 & 3)
        data[pool : pool + size] = True
    return data


def _jumps(code: _Code) -> _Jumps:
    words = code.words
    which = arm64.is_always(words) | arm64.is_conditional(words) | arm64.is_register_test(words)
    rows = np.flatnonzero(which & ~code.data)
    leads = arm64.targets(words[rows], code.addresses[rows])
    return _Jumps(rows, leads, (leads < code.addresses[0]) | (leads > code.addresses[-1]))


def _stack_check(code: _Code, jumps: _Jumps) -> int | None:
    """Row of the branch of the stack check, None without one."""
    if int(code.words[0]) != _LOAD_GUARD:
        return None
    for row, word in enumerate(code.words[:_LONGEST_CHECK].tolist()):
        condition = arm64.condition_code(word)
        if condition == _LOWER_OR_SAME:
            first, last = int(code.addresses[0]), int(code.addresses[row])
            return None if ((jumps.targets > first) & (jumps.targets <= last)).any() else row
        compares = word & 0xFF00001F == 0xEB00001F
        if condition != _LOWER and word & 31 not in _SCRATCH and not compares:
            return None
    return None

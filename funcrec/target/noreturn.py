"""Functions that never return to their caller: what stands behind a call of one is not reached through it.

Base: Go 1.18-1.27 `runtime/panic.go`, `runtime/proc.go`, `runtime/asm_amd64.s`. Everything else is derived from machine
code of compiled functions, never of assembly: mcall has no RET and yet its caller is resumed.
"""

import re
from collections.abc import Iterable

from iced_x86 import Code, Decoder, FlowControl, Instruction

from funcrec.target.executable import Executable

_BASE = re.compile(
    r"runtime\.(?:gopanic|throw|fatal|fatalthrow|fatalpanic|exit|abort|Goexit|goexit1"
    r"|panicIndexU?|panicSlice\w+|panicBounds\w*|panicExtend\w+|goPanic\w+)"
)
_MAX_INSTRUCTIONS = 128  # panicking helpers are short; whoever is longer may return, which is always safe to believe
_MAX_NESTING = 8


class NeverReturns:
    """Answers, once for each function.

    Args:
        executable: the program.
        returning: entries of functions that are known to have a RET: that they may return is always safe to believe.
    """

    def __init__(self, executable: Executable, returning: Iterable[int] = ()) -> None:
        self._executable = executable
        functions = executable.functions
        self._known = dict.fromkeys(returning, False)
        self._known |= {
            int(functions.addresses[index]): True
            for index, name in enumerate(functions.symbols)
            if name.startswith("runtime.") and _BASE.fullmatch(name)
        }

    def __call__(self, address: int) -> bool:
        """True when a call of the function at an address never comes back."""
        return self._never_returns(address, 0)

    def _never_returns(self, address: int, nesting: int) -> bool:
        known = self._known.get(address)
        if known is None:
            if nesting == _MAX_NESTING:
                return False  # not remembered: from another caller it may be found
            self._known[address] = False  # while it is being looked at: a recursive call may return
            known = self._known[address] = self._derive(address, nesting)
        return known

    def _derive(self, address: int, nesting: int) -> bool:
        function = self._executable.function_at(address)
        # With defers it may recover from a panic and return on a path that no jump leads to.
        if function is None or function.address != address or function.assembly or function.deferreturn:
            return False
        code = self._executable.bytes_at(address, function.end - address)
        pending, seen = [address], set[int]()
        while pending:
            start = pending.pop()
            if not address <= start < function.end:
                return False
            for instruction in Decoder(64, code[start - address :], ip=start):
                if instruction.ip in seen:
                    break
                seen.add(instruction.ip)
                if len(seen) > _MAX_INSTRUCTIONS:
                    return False
                flow = instruction.flow_control
                if flow == FlowControl.NEXT or flow == FlowControl.INDIRECT_CALL:
                    continue
                if flow == FlowControl.CONDITIONAL_BRANCH:
                    pending.append(instruction.near_branch_target)
                elif flow == FlowControl.UNCONDITIONAL_BRANCH:
                    pending.append(instruction.near_branch_target)
                    break
                elif flow == FlowControl.CALL and instruction.code == Code.CALL_REL32_64:
                    if self._never_returns(instruction.near_branch_target, nesting + 1):
                        break
                elif _traps(instruction):
                    break
                else:
                    return False
            else:
                return False  # runs out of its end
        return True


def _traps(instruction: Instruction) -> bool:
    return instruction.code in (Code.UD2, Code.INT3)

"""How each RET of a function is reached, checked against the unwinder's own table.

A thin joint: `body.py` decodes, `tails.py` walks back, here the stack offsets that the walk found are compared with
what pclntab says (pcsp). A RET about which they disagree is reported as known by nothing but itself.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iced_x86 import Instruction

from funcrec.target.body import Body, read_body
from funcrec.target.effects import Rule
from funcrec.target.executable import Executable, Function
from funcrec.target.instructions import is_probeable
from funcrec.target.noreturn import NeverReturns
from funcrec.target.tails import ALWAYS, Callees, Return, TailReader, TailSite

_BARRIER = re.compile(r"runtime\.gcWriteBarrier\w*")


@dataclass(frozen=True, slots=True)
class FunctionExits:
    """The RETs of a function.

    Attributes:
        returns: one for each RET, in order of address.
        returns_only: no jump leads, or may lead, out of the function: it ends at one of `returns`.
        loops: address of a conditional jump that may be hit without a return, over and over -> the functions that are
            called from the innermost loop that it is in, 0 for indirect calls.
    """

    returns: tuple[Return, ...]
    returns_only: bool
    loops: Mapping[int, frozenset[int]]


class ExitReader:
    """Reads the exits of compiled functions of one executable; x86-64 only.

    Args:
        executable: the program.
        allowed: what may happen between a site and its RET.
    """

    def __init__(self, executable: Executable, allowed: Rule) -> None:
        self._executable = executable
        functions = executable.functions
        barriers = {
            int(functions.addresses[index])
            for index, name in enumerate(functions.symbols)
            if name.startswith("runtime.gcWrite") and _BARRIER.fullmatch(name)
        }
        self._tails = TailReader(Callees(NeverReturns(executable), barriers.__contains__), allowed)

    def read(self, function: Function) -> FunctionExits | None:
        """All RETs of a function; None when its paths cannot be known: assembly, C, a jump to who knows where."""
        if function.assembly or "." not in function.symbol:
            return None
        code = self._executable.bytes_at(function.address, max(function.end - function.address, 0))
        body = read_body(code, function.address, function.deferreturn, self._words_at)
        if body is None:
            return None
        found = (self._tails.read(body, code, position) for position in body.returns)
        returns = tuple(self._checked(one, code, function.address) for one in found)
        return FunctionExits(returns, not body.leaves, _loops(body, returns))

    def _words_at(self, address: int, count: int) -> list[int]:
        words: list[int] = self._executable.words_at(address, count).tolist()
        return words

    def _checked(self, found: Return, code: bytes, address: int) -> Return:
        """The same when pcsp agrees with every offset, else one that has nothing but the RET."""
        if found.head is not None and not is_probeable(code[found.head.instruction.ip - address :]):
            return alone(found.instruction, "an instruction that takes no probe")
        sites = (*found.sites, *found.joins) if found.head is None else (*found.sites, *found.joins, found.head)
        for site in sites:
            if self._executable.frame_size(site.instruction.ip) != site.sp_delta:
                return alone(found.instruction, "code whose stack offsets are in doubt")
        return found


def _loops(body: Body, returns: Iterable[Return]) -> dict[int, frozenset[int]]:
    found = {}
    for one in returns:
        for site in (*one.sites, *one.joins):
            loop = body.loop_around(site.instruction.ip) if site.edge != ALWAYS else None
            if loop is not None:
                found[site.instruction.ip] = body.calls_between(*loop)
    return found


def alone(ret: Instruction, why: str) -> Return:
    """A return that is seen at the RET itself."""
    return Return(ret, (), TailSite(ret, ALWAYS, 0, Rule.REGISTERS), why=why)

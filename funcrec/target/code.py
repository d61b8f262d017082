"""Probe sites of functions of one executable: joins the file, its function table and the decoder."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from funcrec.target.columns import Bools, Instructions
from funcrec.target.executable import Executable, Function
from funcrec.target.flow import Flow, read_flow
from funcrec.target.ordinary import SITE, Sites, in_order, ordinary_sites, site_row
from funcrec.target.text import CodeContext, CodeSite, FunctionCode, calls_of, choose_sites, disassembly


@dataclass(frozen=True, slots=True)
class ManyFunctions:
    """What the code of many functions says.

    Attributes:
        sites: SITE rows of all that can be traced; their functions are positions in what was asked.
        reasons: why each of the others cannot.
        flow: control flow; functions without code have no rows there. None where cheaper exits need not be looked for.
    """

    sites: Sites
    flow: Flow | None
    reasons: dict[int, str] = field(default_factory=dict)


class CodeReader:
    """Decodes the functions it is asked about; x86-64 executables only."""

    def __init__(self, executable: Executable) -> None:
        self._executable = executable
        names = executable.functions.names
        morestack = {
            int(executable.functions.addresses[index])
            for index, name in enumerate(names)
            if name.startswith("runtime.morestack")
        }
        self._context = CodeContext(
            frame_size=executable.frame_size,
            is_morestack=morestack.__contains__,
            words_at=self._words_at,
        )

    def sites(self, function: Function, *, arguments: bool = False, results: bool = False) -> FunctionCode:
        """Entry and exit sites of a function, or the reason why it cannot be traced.

        Args:
            function: one of the executable's.
            arguments: argument registers must be as at entry at the entry site.
            results: result registers must be set at the exit sites.
        """
        code = self._bytes(function)
        if not code:
            return FunctionCode(reason="no code")
        return choose_sites(
            code, function.address, self._context, assembly=function.assembly, arguments=arguments, results=results
        )

    def many(self, functions: Sequence[Function], arguments: Bools, results: Bools) -> ManyFunctions:
        """The same for m functions at once.

        Args:
            functions: in any order, none twice.
            arguments, results: bool, m, as for `sites`.
        """
        codes = [self._bytes(function) for function in functions]
        code = Instructions([function.address for function in functions], codes)
        flow = read_flow(code, [function.deferreturn for function in functions], self._executable.words)
        compiled = np.array([not function.assembly for function in functions], dtype=np.bool_)
        sites, done = ordinary_sites(flow, compiled, self._context.is_morestack, self._executable.frame_sizes)
        reasons: dict[int, str] = {}
        rows = []
        for at in np.flatnonzero(~done).tolist():
            found = self.sites(functions[at], arguments=bool(arguments[at]), results=bool(results[at]))
            if found.reason:
                reasons[at] = found.reason
            rows += [site_row(at, site) for site in found.sites]
        return ManyFunctions(in_order(np.concatenate((sites, np.array(rows, SITE)))), flow, reasons)

    def calls_of(self, function: Function, callees: set[int]) -> tuple[CodeSite, ...]:
        """Sites at the direct calls of any of the given entry addresses."""
        return calls_of(self._bytes(function), function.address, callees, self._context)

    def instruction_at(self, address: int) -> str:
        """Disassembly of the instruction at an address."""
        return disassembly(self._executable.bytes_at(address, 15), address)

    def _bytes(self, function: Function) -> bytes:
        return self._executable.bytes_at(function.address, max(function.end - function.address, 0))

    def _words_at(self, address: int, count: int) -> list[int]:
        words: list[int] = self._executable.words_at(address, count).tolist()
        return words

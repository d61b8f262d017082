"""Probe sites of functions of one executable: joins the file, its function table and the decoder."""

from funcrec.target.executable import Executable, Function
from funcrec.target.text import CodeContext, CodeSite, FunctionCode, calls_of, choose_sites


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
            words_at=lambda address, count: executable.words_at(address, count).tolist(),
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

    def calls_of(self, function: Function, callees: set[int]) -> tuple[CodeSite, ...]:
        """Sites at the direct calls of any of the given entry addresses."""
        return calls_of(self._bytes(function), function.address, callees, self._context)

    def _bytes(self, function: Function) -> bytes:
        return self._executable.bytes_at(function.address, max(function.end - function.address, 0))

"""What differs between processors, in one place: how code is read, and where Go puts values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from funcrec.target.abi import AMD64_ABI, ARM64_ABI, Abi
from funcrec.target.arm64sites import Arm64Reader
from funcrec.target.code import CodeReader, ManyFunctions
from funcrec.target.columns import Bools
from funcrec.target.executable import Executable, Function
from funcrec.target.text import CodeSite, FunctionCode


class SiteReader(Protocol):
    """Decodes functions of one executable."""

    def sites(self, function: Function, *, arguments: bool = False, results: bool = False) -> FunctionCode:
        """Entry and exit sites of a function, or the reason why it cannot be traced."""

    def many(self, functions: Sequence[Function], arguments: Bools, results: Bools) -> ManyFunctions:
        """The same for many."""

    def calls_of(self, function: Function, callees: set[int]) -> tuple[CodeSite, ...]:
        """Sites at the direct calls of any of the given entry addresses."""

    def instruction_at(self, address: int) -> str:
        """The instruction at an address as text."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A processor that programs are built for.

    Attributes:
        name: as `Executable.architecture` has it.
        reader: reads code of an executable.
        abi: where values are.
    """

    name: str
    reader: Callable[[Executable], SiteReader]
    abi: Abi


_KNOWN = (
    Architecture("x86-64", CodeReader, AMD64_ABI),
    Architecture("arm64", Arm64Reader, ARM64_ABI),
)


def architecture_of(executable: Executable) -> Architecture:
    """The processor that an executable is built for."""
    return next(known for known in _KNOWN if known.name == executable.architecture)

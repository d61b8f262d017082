"""A Go executable: the one door to everything that is read from the file.

Opening reads headers and function tables; names, lines and the rest are decoded when they are asked for.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import TargetError
from funcrec.lang.names import display_name, package_path
from funcrec.target.buildinfo import BuildInfo, read_build_info
from funcrec.target.debugfile import build_ids, debug_file
from funcrec.target.elf import ARM64, X86_64, ElfFile, Segment
from funcrec.target.moduledata import locate
from funcrec.target.pclntab import PclnTable
from funcrec.target.runtime_layout import RuntimeLayout, runtime_layout

I64 = NDArray[np.int64]

_ARCHITECTURES = {X86_64: "x86-64", ARM64: "arm64"}


@dataclass(frozen=True, slots=True)
class Function:
    """A function with machine code of its own.

    Attributes:
        index: its number in `Executable.functions`.
        name: for display and for patterns: `%xx` in the package path unescaped, `·` written as a dot.
        symbol: the raw name.
        address: entry as linked.
        end: address of the next function: includes the padding behind the code.
        function_id: what the runtime calls funcID; 0 for ordinary functions.
        wrapper: made by the compiler to adapt a method or an ABI: counting it counts its target twice.
        assembly: written in assembly.
        deferreturn: offset of the call that runs defers on the way out of a panic, 0 without defers.
    """

    index: int
    name: str
    symbol: str
    address: int
    end: int
    function_id: int
    wrapper: bool
    assembly: bool
    deferreturn: int
    _table: PclnTable = field(repr=False, compare=False)

    @property
    def declaration(self) -> tuple[str, int]:
        """File and line of the declaration, ("", 0) when unknown."""
        return self._table.declaration(self.index)

    @property
    def package(self) -> str:
        """Import path of its package, unescaped."""
        return package_path(self.symbol)


@dataclass(frozen=True, slots=True)
class Frame:
    """A logical frame at a PC: the innermost ones may be inlined into the last, which is the physical function."""

    name: str
    file: str
    line: int


class FunctionTable(Sequence[Function]):
    """All functions in order of address; rows are made when they are asked for.

    Attributes:
        names, symbols: display and raw names; made anew after `forget`.
        addresses, ends: i64 columns.
        wrapper, assembly, foreign: bool columns; foreign: made by another compiler, such as C.
    """

    def __init__(self, table: PclnTable, elf: ElfFile, wrapper_id: int) -> None:
        self._table = table
        self.addresses = table.entries
        self.ends = table.ends
        self.assembly = table.assembly
        self.foreign = table.foreign
        self.wrapper = table.function_ids == wrapper_id
        # Go 1.19 and older cut the type arguments out of the names in pclntab.
        cut = [index for index, name in enumerate(table.names) if "[...]" in name]
        better = elf.symbol_names(table.entries[cut].astype(np.uint64)) if cut else {}
        entries = zip(cut, table.entries[cut].tolist(), strict=True)
        self._uncut = {index: better[entry] for index, entry in entries if entry in better}

    @cached_property
    def symbols(self) -> list[str]:  # noqa: D102
        symbols = list(self._table.names) if self._uncut else self._table.names
        for index, symbol in self._uncut.items():
            symbols[index] = symbol
        return symbols

    @cached_property
    def names(self) -> list[str]:  # noqa: D102
        return [_shown(symbol) for symbol in self.symbols]

    def symbol(self, index: int) -> str:
        """One of `symbols`, which are not made for it."""
        made = self.__dict__.get("symbols")
        return made[index] if made is not None else self._uncut.get(index) or self._table.name(index)

    def name(self, index: int) -> str:
        """One of `names`, which are not made for it."""
        made = self.__dict__.get("names")
        return made[index] if made is not None else _shown(self.symbol(index))

    def forget(self) -> None:
        """Let go of `names` and `symbols`."""
        self.__dict__.pop("names", None)
        self.__dict__.pop("symbols", None)

    def __len__(self) -> int:
        return self._table.count

    @overload
    def __getitem__(self, index: int) -> Function: ...
    @overload
    def __getitem__(self, index: slice) -> list[Function]: ...
    def __getitem__(self, index: int | slice) -> Function | list[Function]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        return Function(
            index=at,
            name=self.name(at),
            symbol=self.symbol(at),
            address=int(self.addresses[at]),
            end=int(self.ends[at]),
            function_id=int(self._table.function_ids[at]),
            wrapper=bool(self.wrapper[at]),
            assembly=bool(self.assembly[at]),
            deferreturn=int(self._table.deferreturn[at]),
            _table=self._table,
        )

    def __iter__(self) -> Iterator[Function]:
        return (self[index] for index in range(len(self)))

    def declarations(self, indices: Sequence[int]) -> list[tuple[str, int]]:
        """File and line of the declaration of each function, ("", 0) when unknown."""
        return self._table.declarations(np.asarray(indices, dtype=np.int64))

    def named(self, name: str) -> list[Function]:
        """Functions of exactly this display name: none, one, or a function and its ABI wrapper."""
        return [self[index] for index, other in enumerate(self.names) if other == name]


class Executable:
    """A Go program's file.

    Attributes:
        path: as given to `open`.
        stamp: of the file when it was opened.
        build: versions, modules and settings of the build.
        architecture: `x86-64` or `arm64`.
        is_pie: True when the load address varies.
        segments: the PT_LOAD entries.
        text: (start, end) of the Go code.
        types_base: address of moduledata.types, that type descriptors are counted from; None when unknown.
        functions: all functions with code, in order of address.
    """

    def __init__(self, elf: ElfFile, build: BuildInfo, debug_file: str | None = None) -> None:
        self._elf = elf
        self._debug_file = debug_file
        self.path = elf.path
        self.stamp = elf.stamp
        self.build = build
        self.architecture = _ARCHITECTURES[elf.machine]
        self.is_pie = elf.is_pie
        self.segments: tuple[Segment, ...] = elf.segments
        tables = locate(elf, build.release)
        self.types_base = tables.types
        self._table = PclnTable(
            tables,
            elf.tail_at(tables.gofunc) if tables.gofunc is not None else memoryview(b""),
            elf.path,
            has_start_line=build.release >= (1, 20, 0),
        )
        self.text = (int(self._table.entries[0]), int(self._table.ends[-1]))
        self.functions = FunctionTable(self._table, elf, _wrapper_id(build.release))

    @classmethod
    def open(cls, path: str, debug_file: str | None = None) -> "Executable":
        """Read an executable's headers and function table.

        Args:
            path: of the executable.
            debug_file: where its debug information is; None: in it or where such files usually are.

        Raises:
            TargetError: no such file, not ELF, not Go, too old, an architecture without support, or damaged.
        """
        elf = ElfFile(path)
        if elf.machine not in _ARCHITECTURES:
            raise TargetError(
                f"{path} is built for another processor (ELF machine {elf.machine})", remedy="build with GOARCH=amd64"
            )
        executable = cls(elf, read_build_info(elf), debug_file)
        if debug_file is not None:
            executable.debug_path  # noqa: B018  one that does not fit is an error at once
        return executable

    @property
    def go_version(self) -> str:
        """`go1.26.6`."""
        return self.build.version

    @property
    def release(self) -> tuple[int, int, int]:
        """(1, 26, 6)."""
        return self.build.release

    @property
    def experiments(self) -> tuple[str, ...]:
        """GOEXPERIMENT names that differ from the default."""
        return self.build.experiments

    @property
    def main_module(self) -> str:
        """Path of the main module, "" without one."""
        return self.build.main_module

    @property
    def settings(self) -> dict[str, str]:
        """Build settings: -buildmode, -ldflags, CGO_ENABLED, GOAMD64, vcs.revision ..."""
        return self.build.settings

    @cached_property
    def debug_path(self) -> str:
        """The file with the debug information; `path` when there is none.

        Raises:
            TargetError: the file that was named is of another build.
        """
        return debug_file(self._elf, self._debug_file)

    @property
    def notes(self) -> tuple[tuple[int, bytes], ...]:
        """See `ElfFile.notes`."""
        return self._elf.notes

    @cached_property
    def gnu_build_id(self) -> str:
        """Hexadecimal GNU build id, "" without one."""
        return build_ids(self._elf)[0]

    @cached_property
    def go_build_id(self) -> str:
        """Go build id: four parts with slashes, "" without one."""
        return build_ids(self._elf)[1]

    @cached_property
    def runtime_layout(self) -> RuntimeLayout:
        """Offsets in the runtime's structures.

        Raises:
            TargetError: a Go version that is not known, without DWARF.
        """
        return runtime_layout(self.path, self.release, lambda: self.debug_path)

    def forget(self) -> None:
        """Give back the memory of what can be read from the file again, once the many questions of a plan are answered.

        Nothing changes but the time of the next question about all functions.
        """
        for made in ("inlined_only", "_name_positions"):
            self.__dict__.pop(made, None)
        self.functions.forget()
        self._table.forget()
        self._elf.forget()

    def offset_of(self, address: int) -> int | None:
        """File offset of a virtual address, None outside the file's contents."""
        return self._elf.offset_of(address)

    def offsets_of(self, addresses: I64) -> I64:
        """The same for many addresses at once, -1 outside."""
        return self._elf.offsets_of(addresses)

    def bytes_at(self, address: int, size: int) -> bytes:
        """Up to `size` bytes of the image at an address, b"" outside."""
        return self._elf.bytes_at(address, size)

    def words_at(self, address: int, count: int) -> "NDArray[np.uint64]":
        """Up to `count` 64-bit words at an address, relocated for load bias 0."""
        return self._elf.words_at(address, count)

    def words(self, addresses: I64, count: int) -> "NDArray[np.uint64]":
        """A row of `count` words for each address, 0 where the file has nothing; relocated in the same way."""
        return self._elf.words(addresses, count)

    def function_at(self, pc: int) -> Function | None:
        """The physical function that `pc` lies in, None outside the Go code."""
        index = self._table.find(pc)
        return None if index is None else self.functions[index]

    def line(self, pc: int) -> tuple[str, int]:
        """Innermost source file and line at `pc`, ("", 0) outside the Go code."""
        index = self._table.find(pc)
        return ("", 0) if index is None else self._table.position(index, pc - int(self._table.entries[index]))

    def inline_chain(self, pc: int) -> list[Frame]:
        """Logical frames at `pc`, innermost first; the last is the physical function; [] outside the Go code."""
        index = self._table.find(pc)
        if index is None:
            return []
        offset = pc - int(self._table.entries[index])
        chain = []
        for call in self._table.inlined_at(index, offset):
            chain.append(Frame(display_name(call.name), *self._table.position(index, offset)))
            offset = call.parent_offset
        chain.append(Frame(self.functions.name(index), *self._table.position(index, offset)))
        return chain

    def describe(self, pc: int) -> tuple[str, int, str, int]:
        """Where a call came from, given its return address.

        Returns:
            Name of the physical function, offset of `pc` in it, innermost source file and line of the call;
            ("", 0, "", 0) outside the Go code.
        """
        index = self._table.find(pc - 1)
        if index is None:
            return "", 0, "", 0
        offset = pc - int(self._table.entries[index])
        return self.functions.name(index), offset, *self._table.position(index, offset - 1)

    def frame_size(self, pc: int) -> int:
        """Bytes between SP at `pc` and SP at the function's entry (pcsp), -1 outside the Go code."""
        index = self._table.find(pc)
        return -1 if index is None else self._table.frame_size(index, pc - int(self._table.entries[index]))

    def frame_sizes(self, pcs: I64) -> I64:
        """The same for many addresses at once."""
        return self._table.frame_sizes(pcs)

    @cached_property
    def inlined_only(self) -> list[str]:
        """Display names of functions that were inlined everywhere: they have no code of their own."""
        used = np.zeros(len(self._table.all_names), dtype=np.bool_)
        used[self._table.name_index] = True
        _, inlined = self._table.inlinings
        gone = np.unique(inlined[~used[inlined]])
        return [display_name(self._table.all_names[position]) for position in gone.tolist()]

    def inlined_into(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Which functions have inlined copies of which.

        Args:
            names: display names of functions, with or without code of their own.

        Returns:
            For every name with a copy elsewhere: display names of the functions that have one, in order of address.
        """
        positions = self._name_positions
        wanted = {positions[name]: name for name in names if name in positions}
        owners, inlined = self._table.inlinings
        rows = np.flatnonzero(np.isin(inlined, np.fromiter(wanted, dtype=np.int64, count=len(wanted))))
        found: dict[str, list[str]] = {}
        for owner, position in zip(owners[rows].tolist(), inlined[rows].tolist(), strict=True):
            holder = self.functions.names[owner]
            if holder != wanted[position]:
                found.setdefault(wanted[position], []).append(holder)
        return found

    @cached_property
    def _name_positions(self) -> dict[str, int]:
        return {display_name(name): position for position, name in enumerate(self._table.all_names)}


def _shown(symbol: str) -> str:
    return symbol if symbol.isascii() and "%" not in symbol else display_name(symbol)


def _wrapper_id(release: tuple[int, int, int]) -> int:
    """funcID of autogenerated wrappers: the last of the list in `internal/abi/symtab.go`."""
    if release >= (1, 25, 0):
        return 23
    return 22 if release >= (1, 22, 0) else 21

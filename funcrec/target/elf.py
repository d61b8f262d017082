"""ELF files as far as a tracer needs them: segments, sections, symbols, relocations, notes.

Knows nothing of Go. Tables are numpy views of the mapped file, so that a symbol table of 100,000 rows costs nothing
until it is asked. Every size and offset in the file is checked against its length before it is used.
"""

import mmap
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import TargetError

U64 = NDArray[np.uint64]

X86_64 = 62  # e_machine
ARM64 = 183
_ET_EXEC, _ET_DYN = 2, 3
_PT_LOAD, _PT_DYNAMIC, _PT_NOTE = 1, 2, 4
_PF_EXECUTE, _PF_WRITE = 1, 2
_SHT_NOBITS = 8
_DT_RELA, _DT_RELASZ = 7, 8
_RELATIVE = {X86_64: 8, ARM64: 1027}  # R_X86_64_RELATIVE, R_AARCH64_RELATIVE

_SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
_RELA = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<u8")])


@dataclass(frozen=True, slots=True)
class Segment:
    """A PT_LOAD entry: `file_size` bytes at `offset` in the file appear at `address`."""

    address: int
    offset: int
    file_size: int
    memory_size: int
    executable: bool
    writable: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A section header; `size` bytes at `offset` in the file (0 when it occupies none)."""

    name: str
    address: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Which file it is and when it was written: equal as long as what was read is still what is there."""

    device: int
    inode: int
    size: int
    written_ns: int

    @classmethod
    def of(cls, descriptor: int) -> "FileStamp":
        """The stamp of an open file."""
        status = os.fstat(descriptor)
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class ElfFile:
    """A mapped 64-bit little-endian ELF executable.

    Attributes:
        path: as given.
        stamp: of the file when it was opened.
        machine: `X86_64`, `ARM64` or another e_machine.
        is_pie: True for position-independent executables.
        segments: the PT_LOAD entries in file order.

    Raises:
        TargetError: unreadable, not ELF, another class or byte order, not an executable, or cut short.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._map, self.stamp = _map_file(path)
        self.data = memoryview(self._map)
        self._parse_header()

    def _parse_header(self) -> None:
        if bytes(self.data[:4]) != b"\x7fELF":
            raise TargetError(
                f"{self.path} is not an ELF executable",
                remedy="give the program that 'go build' wrote for Linux, not a script or an archive",
            )
        header = self.slice(0, 64)
        if header[4] != 2 or header[5] != 1:
            raise TargetError(
                f"{self.path} is not a 64-bit little-endian executable", remedy="build with GOOS=linux GOARCH=amd64"
            )
        fields = struct.unpack_from("<HHIQQQIHHHHHH", header, 16)
        kind, machine, _, _, ph_offset, sh_offset, _, _, ph_size, ph_count, sh_size, sh_count, names = fields
        if kind not in (_ET_EXEC, _ET_DYN) or ph_size != 56 or (sh_count and sh_size != 64):
            raise TargetError(f"{self.path} is not an executable", remedy="give a linked program, not an object file")
        self.machine: int = machine
        self.is_pie = kind == _ET_DYN
        self._sections_at: tuple[int, int, int] = (sh_offset, sh_count if sh_offset else 0, names)
        self._programs = list(struct.iter_unpack("<IIQQQQQQ", self.slice(ph_offset, ph_size * ph_count)))
        self.segments = tuple(
            Segment(address, offset, file_size, memory_size, bool(flags & _PF_EXECUTE), bool(flags & _PF_WRITE))
            for kind, flags, offset, address, _, file_size, memory_size, _ in self._programs
            if kind == _PT_LOAD
        )
        for segment in self.segments:
            self.slice(segment.offset, segment.file_size)

    def slice(self, offset: int, size: int) -> memoryview:
        """`size` bytes of the file from `offset`.

        Raises:
            TargetError: the file ends before that.
        """
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise TargetError(
                f"{self.path} is cut short: it has {len(self.data)} bytes but refers to {offset + size}",
                remedy="copy or build the program again",
            )
        return self.data[offset : offset + size]

    def forget(self) -> None:
        """Take the file's pages out of this process; whoever reads one again gets it from the page cache."""
        self._map.madvise(mmap.MADV_DONTNEED)

    @cached_property
    def sections(self) -> dict[str, Section]:
        """Sections by name, the first of each; {} when the headers were stripped or lie outside the file."""
        offset, count, names_section = self._sections_at
        if not count or offset + 64 * count > len(self.data) or names_section >= count:
            return {}
        rows = list(struct.iter_unpack("<IIQQQQIIQQ", self.data[offset : offset + 64 * count]))
        names_at, names_size = rows[names_section][4:6]
        names = bytes(self.data[names_at : names_at + names_size])
        found: dict[str, Section] = {}
        for name_at, kind, _, address, offset, size, *_ in rows:
            name = names[name_at : names.find(b"\0", name_at)].decode("utf-8", "replace")
            if kind != _SHT_NOBITS and offset + size > len(self.data):
                continue
            found.setdefault(name, Section(name, address, offset, 0 if kind == _SHT_NOBITS else size))
        return found

    def offset_of(self, address: int) -> int | None:
        """File offset of a virtual address, None when no segment has file contents there."""
        for segment in self.segments:
            if 0 <= address - segment.address < segment.file_size:
                return address - segment.address + segment.offset
        return None

    def offsets_of(self, addresses: NDArray[np.int64]) -> NDArray[np.int64]:
        """The same for many addresses at once, -1 where there is none."""
        found = np.full(len(addresses), -1, dtype=np.int64)
        for segment in reversed(self.segments):  # the first that has it counts
            inside = (addresses >= segment.address) & (addresses < segment.address + segment.file_size)
            found[inside] = addresses[inside] - segment.address + segment.offset
        return found

    def bytes_at(self, address: int, size: int) -> bytes:
        """Up to `size` bytes of the image at a virtual address; fewer at the end of a segment, b"" outside."""
        for segment in self.segments:
            start = address - segment.address
            if 0 <= start < segment.file_size:
                at = segment.offset + start
                return bytes(self.data[at : at + min(size, segment.file_size - start)])
        return b""

    def tail_at(self, address: int) -> memoryview:
        """All file contents of a segment from a virtual address on, without a copy; empty outside."""
        for segment in self.segments:
            start = address - segment.address
            if 0 <= start < segment.file_size:
                return self.data[segment.offset + start : segment.offset + segment.file_size]
        return memoryview(b"")

    def words_at(self, address: int, count: int) -> U64:
        """Up to `count` 64-bit words of the image as they are after relocation at load bias 0."""
        data = self.bytes_at(address, 8 * count)
        words = np.frombuffer(data[: len(data) & ~7], dtype="<u8").astype(np.uint64)
        places, values = self.relative_relocations
        low, high = np.searchsorted(places, [address, address + 8 * len(words)])
        inside = places[low:high] - np.uint64(address)
        aligned = inside % 8 == 0
        words[(inside[aligned] // 8).astype(np.int64)] = values[low:high][aligned]
        return words

    def words(self, addresses: NDArray[np.int64], count: int) -> U64:
        """Words from many addresses on, relocated for load bias 0.

        Returns:
            One row of `count` words for each address; 0 where the file has nothing.
        """
        places = (addresses[:, None] + 8 * np.arange(count)).astype(np.int64)
        found = np.zeros(places.shape, dtype=np.uint64)
        data = np.frombuffer(self.data, dtype=np.uint8)
        for segment in reversed(self.segments):
            inside = (places >= segment.address) & (places + 8 <= segment.address + segment.file_size)
            at = places[inside] - segment.address + segment.offset
            found[inside] = data[at[:, None] + np.arange(8)].view("<u8")[:, 0]
        moved, values = self.relative_relocations
        if len(moved):
            at = np.minimum(np.searchsorted(moved, places.astype(np.uint64)), len(moved) - 1)
            relocated = moved[at] == places.astype(np.uint64)
            found[relocated] = values[at[relocated]]
        return found

    @cached_property
    def relative_relocations(self) -> tuple[U64, U64]:
        """Addresses (sorted) and values of the relative RELA relocations; both empty for fixed executables."""
        dynamic = dict(
            entry for program in self._programs if program[0] == _PT_DYNAMIC for entry in self._dynamic(program)
        )
        data = self.bytes_at(dynamic.get(_DT_RELA, 0), dynamic.get(_DT_RELASZ, 0))
        rows = np.frombuffer(data[: len(data) - len(data) % _RELA.itemsize], dtype=_RELA)
        rows = rows[rows["type"] == _RELATIVE.get(self.machine, 0)]
        order = np.argsort(rows["offset"], kind="stable")
        return rows["offset"][order].astype(np.uint64), rows["addend"][order].astype(np.uint64)

    def _dynamic(self, program: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        data = self.slice(program[2], program[5])
        yield from struct.iter_unpack("<QQ", data[: len(data) & ~15])

    @cached_property
    def _symbol_table(self) -> tuple[NDArray[Any], bytes]:
        table, strings = self.sections.get(".symtab"), self.sections.get(".strtab")
        if table is None or strings is None:
            return np.empty(0, dtype=_SYMBOL), b""
        data = self.data[table.offset : table.offset + table.size - table.size % _SYMBOL.itemsize]
        return np.frombuffer(data, dtype=_SYMBOL), bytes(self.data[strings.offset : strings.offset + strings.size])

    def symbol_address(self, name: str) -> int | None:
        """Value of the first symbol called `name`, None when there is none (or no symbol table)."""
        symbols, strings = self._symbol_table
        wanted = name.encode() + b"\0"
        at = strings.find(wanted)
        while at >= 0:  # a hit may be the end of a longer name: only an offset that a symbol refers to counts
            rows = symbols[symbols["name"] == at]
            if len(rows):
                return int(rows["value"][0])
            at = strings.find(wanted, at + 1)
        return None

    def symbol_names(self, addresses: U64) -> dict[int, str]:
        """Names of function symbols that start at the given addresses, `.abi0` twins left out."""
        symbols, strings = self._symbol_table
        rows = symbols[np.isin(symbols["value"], addresses) & (symbols["info"] & 15 == 2)]
        found: dict[int, str] = {}
        for at, address in zip(rows["name"].tolist(), rows["value"].tolist(), strict=True):
            name = strings[at : strings.find(b"\0", at)].decode("utf-8", "replace")
            if not name.endswith(".abi0"):
                found.setdefault(address, name)
        return found

    @property
    def notes(self) -> tuple[tuple[int, bytes], ...]:
        """File offset and bytes of the notes that a process has in its memory: the build ids."""
        areas = [(program[2], program[5]) for program in self._programs if program[0] == _PT_NOTE and program[5]]
        return tuple((offset, bytes(self.slice(offset, size))) for offset, size in areas)

    def note(self, owner: bytes, kind: int) -> bytes | None:
        """Contents of the first note of an owner and type (`owner` with its NUL), None when there is none."""
        areas = [(program[2], program[5]) for program in self._programs if program[0] == _PT_NOTE]
        areas += [(s.offset, s.size) for s in self.sections.values() if s.name.startswith(".note")]
        for offset, size in areas:
            for found_owner, found_kind, contents in _notes(bytes(self.slice(offset, size))):
                if (found_owner, found_kind) == (owner, kind):
                    return contents
        return None


def _map_file(path: str) -> tuple[mmap.mmap, FileStamp]:
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise TargetError(f"{path} is not a regular file", remedy="give the path of a Go program")
        with Path(path).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), FileStamp.of(file.fileno())
    except FileNotFoundError as error:
        raise TargetError(f"{path} does not exist", remedy="give the path of a Go program") from error
    except ValueError as error:  # what mmap says about an empty file
        raise TargetError(f"{path} is empty", remedy="give the path of a Go program") from error
    except OSError as error:
        raise TargetError(f"{path} cannot be read: {error.strerror}", remedy="check the path and its mode") from error


def _notes(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    at = 0
    while at + 12 <= len(data):
        name_size, size, kind = struct.unpack_from("<III", data, at)
        at += 12
        name = data[at : at + name_size]
        at += (name_size + 3) & ~3
        yield name, kind, data[at : at + size]
        at += (size + 3) & ~3

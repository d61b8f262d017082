"""Where the runtime's tables are: pclntab, the text they describe, and the base of function data.

Sources: Go 1.18-1.27 `runtime/symtab.go` (moduledata, pcHeader) and `cmd/link/internal/ld/{pcln,symtab}.go`. Layouts
were checked against symbols in binaries of 1.19-1.27, fixed, PIE, internally and externally linked, stripped and not.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import TargetError
from funcrec.target.elf import ARM64, ElfFile

_MAGIC_1_18 = 0xFFFFFFF0
_MAGIC_1_20 = 0xFFFFFFF1  # still so in 1.27
_SECTIONS = (".gopclntab", ".data.rel.ro.gopclntab")
_HEADER_WORDS = 8  # after 8 bytes: nfunc, nfiles, textStart, funcname, cu, filetab, pctab, functab offsets
_MAX_COUNT = 1 << 24  # functions or files: more means that this is not a header

_TEXT, _ETEXT = 176 // 8, 184 // 8  # words of moduledata, 1.18-1.27
_BEYOND = (1, 28, 0)  # the first release whose layout is not known

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Tables:
    """The located tables.

    Attributes:
        pclntab: bytes from the header on (may run past the table's end).
        address: virtual address of the header.
        offsets: nfunc, nfiles, then offsets of funcname, cu, file, pc and function tables from the header.
        quantum: minimum instruction size: 1 on x86-64, 4 on arm64.
        text, etext: addresses of the Go text.
        gofunc: address that function data offsets count from, None when it cannot be found.
        types: address that type descriptors are counted from, None when it cannot be found.
    """

    pclntab: memoryview
    address: int
    offsets: tuple[int, int, int, int, int, int, int]
    quantum: int
    text: int
    etext: int
    gofunc: int | None
    types: int | None


def locate(elf: ElfFile, release: tuple[int, int, int]) -> Tables:
    """Find pclntab and moduledata.

    Raises:
        TargetError: there is none: not a Go program, or a damaged one.
    """
    found = _find_header(elf)
    if found is None:
        raise TargetError(
            f"{elf.path} has no Go function table (pclntab)", remedy="give the Go program as 'go build' wrote it"
        )
    data, address = found
    nfunc, nfiles, _, *offsets = struct.unpack_from(f"<{_HEADER_WORDS}Q", data, 8)
    text_start = int(next(iter(elf.words_at(address + 24, 1)), 0))
    module = _module_words(elf, address, address + offsets[0])
    if module is not None:
        text, etext = int(module[_TEXT]), int(module[_ETEXT])
    else:
        text = elf.symbol_address("runtime.text") or text_start
        etext = elf.symbol_address("runtime.etext") or 0
    types, gofunc = _type_and_function_data(elf, release, module)
    if not any(s.executable and s.address <= text < s.address + s.file_size for s in elf.segments):
        raise TargetError(
            f"{elf.path}: the start of the Go text cannot be found", remedy="build it with a released Go, unpacked"
        )
    places = (nfunc, nfiles, offsets[0], offsets[1], offsets[2], offsets[3], offsets[4])
    return Tables(data, address, places, data[6], text, etext, gofunc, types)


def _type_and_function_data(
    elf: ElfFile, release: tuple[int, int, int], module: Words | None
) -> tuple[int | None, int | None]:
    """moduledata.types and moduledata.gofunc: fields were added before them in 1.20, between them in 1.27."""
    if module is None or release >= _BEYOND:
        return elf.symbol_address("runtime.types"), elf.symbol_address("go:func.*")
    if release >= (1, 27, 0):
        types, gofunc = 296, 344  # etypes moved away from types here
    else:
        types, gofunc = (296, 320) if release >= (1, 20, 0) else (280, 304)
    return int(module[types // 8]), int(module[gofunc // 8])


def _find_header(elf: ElfFile) -> tuple[memoryview, int] | None:
    for name in _SECTIONS:
        section = elf.sections.get(name)
        if section is not None and section.size and _is_header(elf, elf.slice(section.offset, section.size)):
            return elf.slice(section.offset, section.size), section.address
    # External PIE links of 1.25 and older put the table inside .data.rel.ro; headers can also be stripped.
    quantum = 4 if elf.machine == ARM64 else 1
    for segment in elf.segments:
        data = elf.slice(segment.offset, segment.file_size & ~7)
        words = np.frombuffer(data, dtype="<u8")
        shape = np.uint64((8 << 56) | (quantum << 48))
        for magic in (_MAGIC_1_20, _MAGIC_1_18):
            for index in np.flatnonzero(words == shape | np.uint64(magic)).tolist():
                if _is_header(elf, data[8 * index :]):
                    return data[8 * index :], segment.address + 8 * index
    return None


def _is_header(elf: ElfFile, data: memoryview) -> bool:
    if len(data) < 8 + 8 * _HEADER_WORDS:
        return False
    magic, zero, quantum, pointer = struct.unpack_from("<IHBB", data)
    nfunc, nfiles, _, *offsets = struct.unpack_from(f"<{_HEADER_WORDS}Q", data, 8)
    return (
        magic in (_MAGIC_1_18, _MAGIC_1_20)
        and zero == 0
        and quantum == (4 if elf.machine == ARM64 else 1)
        and pointer == 8
        and 0 < nfunc < _MAX_COUNT
        and 0 < nfiles < _MAX_COUNT
        and offsets == sorted(offsets)
        and offsets[-1] + 8 * nfunc <= len(data)
    )


def _module_words(elf: ElfFile, pclntab: int, funcnames: int) -> Words | None:
    """The first 64 words of moduledata: it begins with pclntab's address, then that of the function names."""
    section = elf.sections.get(".go.module")  # since 1.26
    starts = [section.address] if section is not None else []
    for start in starts:
        words = elf.words_at(start, 64)
        if len(words) == 64 and words[0] == pclntab:
            return words
    for segment in elf.segments:
        if segment.writable:
            words = elf.words_at(segment.address, segment.file_size // 8)
            hits = np.flatnonzero((words[:-1] == pclntab) & (words[1:] == funcnames))
            for hit in hits.tolist():
                if len(words) >= hit + 64:
                    return words[hit : hit + 64]
    return None

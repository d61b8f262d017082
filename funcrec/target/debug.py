"""Sections of debug information, decompressed when they are asked for."""

import zlib
from collections.abc import Callable

from funcrec.errors import TargetError
from funcrec.target.elf import ElfFile

_COMPRESSED_ZLIB = b"\x01\0\0\0\0\0\0\0"  # Elf64_Chdr: ch_type ELFCOMPRESS_ZLIB, reserved
_CHDR_BYTES = 24
_MAX_SECTION = 1 << 32


def debug_sections(path: str) -> Callable[[str], bytes]:
    """Return a reader of an executable's sections by their name without the dot; b"" for one that is not there.

    Raises:
        TargetError: the file cannot be read; by the reader: a section does not decompress.
    """
    elf = ElfFile(path)

    def read(name: str) -> bytes:
        section = elf.sections.get("." + name)
        if section is None:
            return b""
        data = elf.slice(section.offset, section.size)
        # A section's first word is never 1 when it is not compressed: a unit is longer, an abbreviation has a tag.
        if bytes(data[:8]) != _COMPRESSED_ZLIB:
            return bytes(data)
        size = int.from_bytes(data[8:16], "little")
        try:
            if size > _MAX_SECTION:
                raise zlib.error
            return zlib.decompressobj().decompress(data[_CHDR_BYTES:], size)
        except zlib.error as error:
            raise TargetError(f"{path}: the section .{name} is damaged", remedy="build the program again") from error

    return read

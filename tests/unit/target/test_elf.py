import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from funcrec.errors import TargetError
from funcrec.target.elf import X86_64, ElfFile
from funcrec.target.executable import Executable
from tests.toolchain import DEFAULT, strip


@pytest.fixture(scope="module")
def binary(build_shapes: Callable[..., Path]) -> Path:
    return build_shapes()


@pytest.fixture(scope="module")
def pie(build_shapes: Callable[..., Path]) -> Path:
    return build_shapes(DEFAULT, "-buildmode=pie")


def test_symbols_are_found_by_name_and_address(binary: Path) -> None:
    elf = ElfFile(str(binary))
    with binary.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        expected = {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}
    for name in ("runtime.text", "main.main", "main.(*Box[go.shape.string]).Get"):
        assert elf.symbol_address(name) == expected[name]
    assert elf.symbol_address("main.nobody") is None
    addresses = Executable.open(str(binary)).functions.addresses.astype("u8")
    assert elf.symbol_names(addresses)[expected["main.main"]] == "main.main"


def test_addresses_are_translated_through_segments(binary: Path) -> None:
    elf = ElfFile(str(binary))
    section = elf.sections[".text"]
    assert elf.machine == X86_64
    assert elf.offset_of(section.address + 5) == section.offset + 5
    assert elf.offset_of(1) is None
    assert elf.bytes_at(section.address, 16) == bytes(elf.slice(section.offset, 16))
    assert elf.bytes_at(1, 16) == b""
    assert elf.tail_at(1) == b""


def test_words_are_relocated(pie: Path) -> None:
    elf = ElfFile(str(pie))
    assert elf.is_pie
    places, values = elf.relative_relocations
    assert len(places) > 100
    for place, value in zip(places[:50].tolist(), values[:50].tolist(), strict=True):
        assert elf.words_at(place, 1).tolist() == [value]
    assert list(places) == sorted(places)


def test_fixed_executables_have_no_relocations(binary: Path) -> None:
    elf = ElfFile(str(binary))
    assert not elf.is_pie
    assert len(elf.relative_relocations[0]) == 0


def test_notes_are_found_by_owner(binary: Path) -> None:
    elf = ElfFile(str(binary))
    assert len(elf.note(b"GNU\0", 3) or b"") == 20
    assert (elf.note(b"Go\0\0", 4) or b"").count(b"/") == 3
    assert elf.note(b"Other\0", 1) is None


def test_symbols_can_be_stripped(binary: Path) -> None:
    elf = ElfFile(str(strip(binary)))
    assert elf.symbol_address("main.main") is None
    assert elf.sections[".text"].size


def test_section_headers_can_be_missing(binary: Path, tmp_path: Path) -> None:
    data = bytearray(binary.read_bytes())
    struct.pack_into("<Q", data, 40, 0)  # e_shoff
    struct.pack_into("<HH", data, 60, 0, 0)
    bare = tmp_path / "bare"
    bare.write_bytes(data)
    assert ElfFile(str(bare)).sections == {}
    executable = Executable.open(str(bare))
    reference = Executable.open(str(binary))
    assert executable.functions.names == reference.functions.names
    assert executable.go_version == reference.go_version
    assert executable.go_build_id == reference.go_build_id


@pytest.mark.parametrize(
    ("contents", "cause"),
    [
        (b"", "is empty"),
        (b"#!/bin/sh\n", "not an ELF executable"),
        (b"\x7fELF", "cut short"),
        (b"\x7fELF\x01\x01" + bytes(100), "not a 64-bit"),
        (b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 1, 62) + bytes(100), "not an executable"),
    ],
)
def test_what_is_no_executable_is_an_error(contents: bytes, cause: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(contents)
    with pytest.raises(TargetError, match=cause):
        ElfFile(str(path))


def test_what_cannot_be_mapped_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, cause in ((tmp_path, "regular"), (tmp_path / "fifo", "regular"), (tmp_path / "none", "does not exist")):
        with pytest.raises(TargetError, match=cause):
            ElfFile(str(path))


def test_a_cut_executable_is_an_error(binary: Path, tmp_path: Path) -> None:
    whole = binary.read_bytes()
    for size in (70, 500, len(whole) // 3):
        cut = tmp_path / f"cut{size}"
        cut.write_bytes(whole[:size])
        with pytest.raises(TargetError, match="cut short"):
            Executable.open(str(cut))


def test_a_c_program_is_no_go_program() -> None:
    with pytest.raises(TargetError, match="not a Go program"):
        Executable.open("/bin/true")

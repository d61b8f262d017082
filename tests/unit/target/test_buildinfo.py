import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from funcrec.errors import TargetError
from funcrec.target.buildinfo import read_build_info
from funcrec.target.elf import ElfFile
from tests.toolchain import DEFAULT

MAGIC = b"\xff Go buildinf:"
FRAME = bytes(range(240, 256))


def with_info(tmp_path: Path, binary: Path, version: str, modules: str = "", flags: int = 2) -> ElfFile:
    """A copy of a program with other build information."""
    section = ElfFile(str(binary)).sections[".go.buildinfo"]
    text = FRAME + modules.encode() + FRAME if modules else b""
    info = (
        MAGIC + bytes((8, flags)) + bytes(16) + bytes((len(version),)) + version.encode() + bytes((len(text),)) + text
    )
    assert len(info) <= section.size
    contents = bytearray(binary.read_bytes())
    contents[section.offset : section.offset + len(info)] = info
    path = tmp_path / "changed"
    path.write_bytes(contents)
    return ElfFile(str(path))


def test_versions_modules_and_settings(tmp_path: Path, build_shapes: Callable[..., Path]) -> None:
    modules = 'path\ta.b/c\nmod\ta.b\tv1\nbuild\t-ldflags="-s \\"x\\""\nbuild\tGOAMD64=v1\n'
    info = read_build_info(with_info(tmp_path, build_shapes(), "go1.26rc1 X:simd,nodwarf5", modules))
    assert (info.version, info.release, info.experiments) == ("go1.26rc1", (1, 26, 0), ("simd", "nodwarf5"))
    assert (info.main_package, info.main_module) == ("a.b/c", "a.b")
    assert info.settings == {"-ldflags": '-s "x"', "GOAMD64": "v1"}


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("go1.26.6", (1, 26, 6)),
        ("go1.27", (1, 27, 0)),
        ("devel go1.28-abcdef", (1, 28, 0)),
        ("go1.21.13-custom", (1, 21, 13)),
    ],
)
def test_releases(
    version: str, release: tuple[int, int, int], tmp_path: Path, build_shapes: Callable[..., Path]
) -> None:
    assert read_build_info(with_info(tmp_path, build_shapes(), version)).release == release


def test_old_and_unknown_versions_are_errors(tmp_path: Path, build_shapes: Callable[..., Path]) -> None:
    with pytest.raises(TargetError, match=r"1\.17 or older"):
        read_build_info(with_info(tmp_path, build_shapes(), "go1.17", flags=0))
    with pytest.raises(TargetError, match="unknown Go version"):
        read_build_info(with_info(tmp_path, build_shapes(), "tinygo"))


def test_settings_of_a_real_build(build_shapes: Callable[..., Path]) -> None:
    info = read_build_info(ElfFile(str(build_shapes(DEFAULT, "-ldflags=-s -w"))))
    assert info.settings["-ldflags"] == "-s -w"
    assert info.settings["CGO_ENABLED"] == "0"


def test_a_length_beyond_the_end_is_cut(tmp_path: Path, build_shapes: Callable[..., Path]) -> None:
    binary = build_shapes()
    section = ElfFile(str(binary)).sections[".go.buildinfo"]
    contents = bytearray(binary.read_bytes())
    at = section.offset + 33 + len(f"go{DEFAULT}")
    struct.pack_into("<I", contents, at, 0x7FFFFFFF)
    path = tmp_path / "changed"
    path.write_bytes(contents)
    assert read_build_info(ElfFile(str(path))).version == f"go{DEFAULT}"

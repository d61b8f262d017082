"""Build information that every Go executable carries: version, main module, build settings.

Source: Go 1.18 and later, `debug/buildinfo` (inline strings); older layouts are not read.
"""

import json
import re
from dataclasses import dataclass, field

from funcrec.errors import TargetError
from funcrec.target.elf import ElfFile

_MAGIC = b"\xff Go buildinf:"
_INLINE = 2  # flag: the strings follow the header, Go 1.18+
_SENTINEL = 16  # bytes that frame the module text on both sides
_MAX_TEXT = 1 << 20

_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What the linker wrote about the build.

    Attributes:
        version: as written, without experiments: `go1.26.6`.
        release: (1, 26, 6); the last number is 0 for pre-releases and development versions.
        experiments: GOEXPERIMENT names that differ from the default.
        main_package: import path of package main.
        main_module: module path, "" when built outside a module.
        settings: `build` lines: -buildmode, -ldflags, CGO_ENABLED, GOAMD64, vcs.revision ...
    """

    version: str
    release: tuple[int, int, int]
    experiments: tuple[str, ...] = ()
    main_package: str = ""
    main_module: str = ""
    settings: dict[str, str] = field(default_factory=dict)


def read_build_info(elf: ElfFile) -> BuildInfo:
    """Read the build information.

    Raises:
        TargetError: not a Go program, or one older than Go 1.18.
    """
    data = _find(elf)
    if data is None:
        raise TargetError(
            f"{elf.path} is not a Go program (it has no Go build information)",
            remedy="give the Go program itself, unpacked and as 'go build' wrote it",
        )
    if len(data) < 33 or not data[15] & _INLINE:
        raise TargetError(f"{elf.path} was built with Go 1.17 or older", remedy="build it with Go 1.18 or newer")
    version_text, at = _string(data, 32)
    module_text, _ = _string(data, at)
    version, _, experiments = version_text.decode("utf-8", "replace").partition(" X:")
    match = _VERSION.search(version)
    if match is None:
        raise TargetError(
            f"{elf.path} was built with an unknown Go version {version!r}", remedy="build it with a released Go"
        )
    release = (int(match[1]), int(match[2]), int(match[3] or 0))
    package, module, settings = _modules(module_text)
    names = tuple(name for name in experiments.split(",") if name)
    return BuildInfo(version, release, names, package, module, settings)


def _find(elf: ElfFile) -> bytes | None:
    section = elf.sections.get(".go.buildinfo")
    if section is not None and section.size:
        return bytes(elf.slice(section.offset, section.size))
    for segment in elf.segments:  # section headers can be stripped; the linker aligns the magic to 16 bytes
        data = bytes(elf.slice(segment.offset, segment.file_size))
        at = data.find(_MAGIC)
        while at >= 0:
            if (segment.address + at) % 16 == 0:
                return data[at : at + _MAX_TEXT]
            at = data.find(_MAGIC, at + 1)
    return None


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """The uvarint-prefixed string at `at`, cut at the end of the data, and the position behind it."""
    size = shift = 0
    while at < len(data) and shift < 35:
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return data[at : at + size], at + size


def _unquote(value: str) -> str:
    """A setting with blanks or quotes in it is written as a Go string literal, which JSON nearly always reads."""
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def _modules(text: bytes) -> tuple[str, str, dict[str, str]]:
    package = module = ""
    settings: dict[str, str] = {}
    for line in text[_SENTINEL:-_SENTINEL].decode("utf-8", "replace").split("\n"):
        key, _, rest = line.partition("\t")
        if key == "path":
            package = rest
        elif key == "mod":
            module = rest.split("\t")[0]
        elif key == "build":
            name, _, value = rest.partition("=")
            settings[name] = _unquote(value)
    return package, module, settings

"""Offsets in the runtime's `g` and `m` structures, per Go version.

The table was read from the DWARF of 1.19 and 1.21-1.27; it is the same on x86-64 and arm64, with -race and with every
experiment. For 1.18 and 1.20, known from `runtime/runtime2.go` only, and for versions newer than the table the
program's own DWARF is asked first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funcrec.errors import TargetError


@dataclass(frozen=True, slots=True)
class RuntimeLayout:
    """Byte offsets, in `m`: g0, curg, gsignal; in `g`: all others.

    `parent_goid` is None before Go 1.21, which does not record it.
    """

    goid: int
    parent_goid: int | None
    gopc: int
    startpc: int
    curg: int
    gsignal: int
    m: int = 48
    sched_sp: int = 56
    stack_lo: int = 0
    stack_hi: int = 8
    g0: int = 0


# Minor version of Go 1 -> layout. goid moved in 1.23 and back in 1.25.
_LAYOUTS = {
    18: RuntimeLayout(goid=152, parent_goid=None, gopc=296, startpc=312, curg=192, gsignal=80),
    19: RuntimeLayout(goid=152, parent_goid=None, gopc=296, startpc=312, curg=192, gsignal=80),
    20: RuntimeLayout(goid=152, parent_goid=None, gopc=296, startpc=312, curg=192, gsignal=80),
    21: RuntimeLayout(goid=152, parent_goid=272, gopc=280, startpc=296, curg=192, gsignal=80),
    22: RuntimeLayout(goid=152, parent_goid=272, gopc=280, startpc=296, curg=192, gsignal=80),
    23: RuntimeLayout(goid=160, parent_goid=280, gopc=288, startpc=304, curg=192, gsignal=80),
    24: RuntimeLayout(goid=160, parent_goid=280, gopc=288, startpc=304, curg=192, gsignal=80),
    25: RuntimeLayout(goid=152, parent_goid=272, gopc=280, startpc=296, curg=184, gsignal=72),
    26: RuntimeLayout(goid=152, parent_goid=280, gopc=288, startpc=304, curg=184, gsignal=72),
    27: RuntimeLayout(goid=152, parent_goid=280, gopc=288, startpc=304, curg=184, gsignal=72),
}
_READ_ONLY_IN_SOURCE = (18, 20)
_OLDEST = (1, min(_LAYOUTS), 0)


def runtime_layout(
    path: str, release: tuple[int, int, int], debug_path: Callable[[], str] | None = None
) -> RuntimeLayout:
    """The layout for the Go release that built `path`; its DWARF is in another file if `debug_path` says so.

    Raises:
        TargetError: the version is older than 1.18, or newer than the table and the program has no DWARF.
    """
    major, minor, _ = release
    known = _LAYOUTS.get(minor) if major == 1 else None
    if known is not None and minor not in _READ_ONLY_IN_SOURCE:
        return known
    if release < _OLDEST:
        raise TargetError(f"{path} was built with Go {major}.{minor}", remedy="build it with Go 1.18 or newer")
    layout = layout_from_dwarf(debug_path() if debug_path else path) or known
    if layout is None:
        raise TargetError(
            f"{path} was built with Go {major}.{minor}, which is newer than this funcrec knows",
            remedy="build it with debug information (without -ldflags=-w or -s), or upgrade funcrec",
        )
    return layout


def layout_from_dwarf(path: str) -> RuntimeLayout | None:
    """The layout as the program's DWARF describes it, None without DWARF or without the structures."""
    from elftools.common.exceptions import DWARFError, ELFError, ELFParseError  # late: 50 ms, rarely needed
    from elftools.elf.elffile import ELFFile

    try:
        with Path(path).open("rb") as file:
            elf = ELFFile(file)
            if not elf.has_dwarf_info():
                return None
            dwarf = elf.get_dwarf_info()
            g, m = (_members(dwarf, name) for name in ("runtime.g", "runtime.m"))
            return RuntimeLayout(
                goid=g["goid"],
                parent_goid=g.get("parentGoid"),
                gopc=g["gopc"],
                startpc=g["startpc"],
                curg=m["curg"],
                gsignal=m["gsignal"],
                m=g["m"],
                sched_sp=g["sched"],
                stack_lo=g["stack"],
                stack_hi=g["stack"] + 8,
                g0=m["g0"],
            )
    except (DWARFError, ELFError, ELFParseError, KeyError, ValueError):
        return None


def _members(dwarf: Any, name: str) -> dict[str, int]:
    """Members of a structure by name with their offsets; {} when there is no such structure.

    Names are inline strings, so a byte search finds candidates; the entry that begins one or two bytes (its
    abbreviation code) before a hit is the structure if it parses as one with that name.
    """
    info = dwarf.debug_info_sec.stream.getvalue()
    wanted = name.encode() + b"\0"
    at = info.find(wanted)
    while at >= 0:
        for start in (at - 1, at - 2):
            die = _parse(dwarf, start)
            if die is not None and die.attributes["DW_AT_name"].value == name.encode():
                members = [child.attributes for child in die.iter_children() if child.tag == "DW_TAG_member"]
                return {m["DW_AT_name"].value.decode(): m["DW_AT_data_member_location"].value for m in members}
        at = info.find(wanted, at + 1)
    return {}


def _parse(dwarf: Any, offset: int) -> Any:
    """The structure's DIE at an offset; None when none begins there: bytes inside another one parse as anything."""
    try:
        die = dwarf.get_DIE_from_refaddr(offset)
        return die if die.tag == "DW_TAG_structure_type" and "DW_AT_name" in die.attributes else None
    except Exception:
        return None

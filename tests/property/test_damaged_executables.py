"""A damaged executable is read, or refused with one TargetError; nothing else comes out."""

from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.errors import FuncrecError
from funcrec.plan.builder import build_plan
from funcrec.target.elf import ElfFile
from funcrec.target.executable import Executable
from tests.toolchain import PROGRAMS, go_build

TABLES = (".gopclntab", ".go.module", ".go.buildinfo", ".note.go.buildid")


@cache
def program() -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """A program and where its headers and tables are: (offset, size)."""
    path = go_build(PROGRAMS / "shapes")
    sections = ElfFile(str(path)).sections
    tables = [(sections[name].offset, sections[name].size) for name in TABLES]
    # The header of the function table again, which few random bytes would hit.
    return path.read_bytes(), ((0, 1000), *tables, (sections[".gopclntab"].offset, 80))


PLACE = st.tuples(st.integers(0, len(TABLES) + 1), st.floats(0, 1, exclude_max=True), st.integers(0, 255))


def read_all(path: str) -> None:
    executable = Executable.open(path)
    plan = build_plan(executable, ["main.*"])
    for function in plan.functions:
        executable.describe(function.address + 1)
        executable.inline_chain(function.address)
    assert isinstance(executable.gnu_build_id + executable.go_build_id, str)


@settings(max_examples=60, deadline=None)
@given(st.lists(PLACE, min_size=1, max_size=50))
def test_changed_bytes_are_read_or_refused(places: list[tuple[int, float, int]]) -> None:
    contents, areas = program()
    damaged = bytearray(contents)
    for area, fraction, byte in places:
        offset, size = areas[area]
        damaged[offset + int(fraction * size)] = byte
    attempt(bytes(damaged))


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1))
def test_a_cut_file_is_read_or_refused(fraction: float) -> None:
    contents, _ = program()
    attempt(contents[: int(fraction * len(contents))])


def attempt(contents: bytes) -> None:
    with NamedTemporaryFile() as file:
        Path(file.name).write_bytes(contents)
        with suppress(FuncrecError):
            read_all(file.name)

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.toolchain import go_build


def _program(folder: Path, value: str) -> Path:
    (folder / "go.mod").write_text("module example.test/program\n\ngo 1.21\n")
    (folder / "main.go").write_text(f"package main\n\nfunc main() {{ println({value}) }}\n")
    return folder


@pytest.fixture
def build() -> Iterator[Callable[..., Path]]:
    """`go_build`, without leaving in the cache what no other test will ask for."""
    built: set[Path] = set()

    def run(folder: Path, **options: Any) -> Path:
        binary = go_build(folder, name="program", **options)
        built.add(binary)
        return binary

    yield run
    for binary in built:
        shutil.rmtree(binary.parent)


def test_a_program_is_built_once_for_its_sources_and_flags(tmp_path: Path, build: Callable[..., Path]) -> None:
    first = build(_program(tmp_path, "1"))
    built_ns = first.stat().st_mtime_ns
    assert build(tmp_path) == first
    assert first.stat().st_mtime_ns == built_ns
    assert build(tmp_path, flags=["-ldflags=-s"]) != first
    assert build(_program(tmp_path, "2")) != first


def test_what_the_compiler_says_is_shown(tmp_path: Path, build: Callable[..., Path]) -> None:
    with pytest.raises(RuntimeError, match="undefined: nonsense"):
        build(_program(tmp_path, "nonsense"))

"""The program of `tests/programs/shapes`, built as the tests need it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from funcrec.target.executable import Executable
from tests.toolchain import DEFAULT, PROGRAMS, go_build


@cache
def build(version: str = DEFAULT, *flags: str, env: tuple[tuple[str, str], ...] = ()) -> Path:
    return go_build(PROGRAMS / "shapes", version=version, flags=flags, env=dict(env))


@pytest.fixture(scope="session")
def build_shapes() -> Callable[..., Path]:
    """Build the program: version, then flags of `go build`; env for additions to the environment."""
    return build


@pytest.fixture(scope="session")
def shapes() -> Executable:
    """The program as a plain build of the default version makes it."""
    return Executable.open(str(build()))

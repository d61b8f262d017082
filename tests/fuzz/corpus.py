"""The traces that all variations begin with."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from tests.golden.synthetic import write_synthetic
from tests.traces import small_trace

FOLDER = Path(__file__).with_name("corpus")
REACHED = FOLDER / "reached"
GOLDEN = Path(__file__).parents[2] / "formats" / "golden"


@cache
def seeds() -> list[bytes]:
    """Traces with everything in them: made ones, and the files of the corpus that are whole."""
    synthetic = io.BytesIO()
    write_synthetic(synthetic)
    return [synthetic.getvalue(), small_trace(), *(path.read_bytes() for path in sorted(FOLDER.glob("*.zst")))]


def golden() -> list[bytes]:
    """The golden traces of every version of the format."""
    return [path.read_bytes() for path in sorted(GOLDEN.glob("v*/*.zst"))]


def reached() -> list[bytes]:
    """What coverage-guided runs found to reach code that nothing else here reaches; none of it does harm."""
    return [path.read_bytes() for path in sorted(REACHED.glob("*"))]


def hostile_files() -> list[Path]:
    """Files that did harm once."""
    return sorted((FOLDER / "found").glob("*"))

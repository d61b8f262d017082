"""The kept corpus: of what coverage-guided runs have found, the smallest files that reach code nothing else here does.

libFuzzer's own merge runs every file several times with instruments and knows no end. Here each file of bearable size
runs once, the smallest first, under a tracer of lines, until the time is over.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import zlib
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.corpus import golden, seeds
from tests.fuzz.targets import target_of, targets

_LARGEST = 1 << 14  # bytes; larger files reach little that smaller ones do not
_MOST_BYTES = 600_000
_PACKAGE = f"{Path(__file__).parents[2] / 'funcrec'}{os.sep}"

Step = tuple[CodeType, int, int]  # from a line to another one


def keep(reached: Path, kept: Path, minutes: float) -> int:
    """Add to the files of `kept` those of `reached` that reach more; returns how many there are."""
    kept.mkdir(exist_ok=True)
    until = time.monotonic() + 60 * minutes
    known: set[Step] = set()
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder, "case.zst")
        case.write_bytes(seeds()[0])
        for target in targets():
            with contextlib.suppress(Exception):
                target.run(str(case))  # what is loaded late is loaded now
        for data in (*seeds(), *golden(), *(path.read_bytes() for path in sorted(kept.iterdir()))):
            known |= steps(data, case)
        files = sorted(reached.iterdir(), key=lambda path: (path.stat().st_size, path.name))
        for path in files:
            size = sum(each.stat().st_size for each in kept.iterdir())
            if path.stat().st_size > _LARGEST or size > _MOST_BYTES or time.monotonic() > until:
                break
            fresh = steps(path.read_bytes(), case) - known
            if fresh:
                known |= fresh
                (kept / f"{zlib.crc32(path.read_bytes()):08x}").write_bytes(path.read_bytes())
    return len(list(kept.iterdir()))


def steps(data: bytes, case: Path) -> set[Step]:
    """The steps from line to line of our own code that a case takes; `case` is a file to put it into."""
    case.write_bytes(data)
    taken: set[Step] = set()

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        code, last = frame.f_code, 0

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                taken.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        target_of(data).run(str(case))
    except Exception:
        pass  # whether it may fail so is for others to say
    finally:
        sys.settrace(before)
    return taken

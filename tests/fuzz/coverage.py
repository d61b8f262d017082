"""Fuzzing that is guided by which code is reached, with atheris (dependency group `fuzz`).

    python -m tests.fuzz --coverage --minutes 60

What reaches new code is kept in .cache/fuzz/reached, and the next run begins with it.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["funcrec"]):
    from funcrec.errors import TraceError, UsageError
    from tests.fuzz.anatomy import pack, put_together, take_apart
    from tests.fuzz.corpus import seeds
    from tests.fuzz.mutator import Mutator
    from tests.fuzz.targets import targets

_MOST_BYTES = 1 << 17
_SCRATCH = "FUNCREC_FUZZ_SCRATCH"  # environment variable: a folder that whoever started us removes


def guide(minutes: float, seed: int, keep: Path) -> int:
    """Run atheris in a process of its own and return its exit status: 0 when nothing was found."""
    reached = keep / "reached"
    reached.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (reached / f"seed{number}").write_bytes(data)
    options = [f"-max_total_time={int(60 * minutes)}", f"-seed={seed % 2**31}", f"-max_len={_MOST_BYTES}"]
    options += [f"-artifact_prefix={keep}/", "-rss_limit_mb=1024", "-timeout=30", "-print_final_stats=1"]
    command = [sys.executable, "-m", "tests.fuzz.coverage", *options, str(reached)]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        return subprocess.run(command, env=os.environ | {_SCRATCH: scratch}).returncode


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """Vary a trace: mostly by what the format knows, else atheris' own way inside the content of one record."""
    pick = random.Random(seed)
    try:
        anatomy = take_apart(data)
        if not anatomy.parts:
            raise ValueError
    except Exception:
        return bytes(atheris.Mutate(data, most))
    if pick.random() < 0.4:
        at = pick.randrange(len(anatomy.parts))
        anatomy.parts[at] = anatomy.parts[at].copy()
        anatomy.parts[at].body = bytes(atheris.Mutate(pack(anatomy.parts[at].body), most // 2))
        result = put_together(anatomy)
    else:
        result = Mutator(seeds(), seed).vary(anatomy)
    return result if len(result) <= most else data[:most]


def one_input(data: bytes) -> None:
    """One case: the target follows from the bytes, so that a file that was kept does the same again."""
    all_targets = targets()
    target = all_targets[zlib.crc32(data) % len(all_targets)]
    path = Path(os.environ[_SCRATCH], "case.zst")
    path.write_bytes(data)
    try:
        target.check(target.run(str(path)))
    except TraceError:
        pass
    except UsageError:
        if not target.refuses:
            raise


def _load() -> None:
    """Import everything with instruments: much is imported only when it is first needed."""
    path = Path(os.environ[_SCRATCH], "seed.zst")
    path.write_bytes(seeds()[0])
    with atheris.instrument_imports(include=["funcrec"]):
        for target in targets():
            with contextlib.suppress(Exception):
                target.run(str(path))


def main() -> None:
    """Run as long as libFuzzer's options say."""
    # Views that use several processors do so as processes, which the fuzzer does not see.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    _load()
    atheris.Setup(sys.argv, one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

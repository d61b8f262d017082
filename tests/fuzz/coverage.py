"""Fuzzing that is guided by which code is reached, with atheris (dependency group `fuzz`).

    python -m tests.fuzz --coverage --minutes 60

What reaches new code is kept in .cache/fuzz/reached; the next run begins with it and with tests/fuzz/corpus/reached.
`--keep-corpus` puts the best of them there, see `keeping.py`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["funcrec"]):
    from funcrec.errors import TraceError, UsageError
    from tests.fuzz.anatomy import pack, put_together, take_apart
    from tests.fuzz.cases import LIMIT_S
    from tests.fuzz.corpus import golden, reached, seeds
    from tests.fuzz.mutator import Mutator
    from tests.fuzz.targets import target_of, targets

_MOST_BYTES = 1 << 17
_LIMIT_S = LIMIT_S * 5  # instruments cost time
_STUCK_S = 120  # of the wall's clock, for whatever does not even take CPU time
_MUTATOR = Mutator(seeds(), 0)
_SCRATCH = "FUNCREC_FUZZ_SCRATCH"  # environment variable: a folder that whoever started us removes


def guide(minutes: float, seed: int, keep: Path) -> tuple[int, Counter[str]]:
    """Run atheris in a process of its own; returns its exit status, 0 when nothing was found, and the cases."""
    folder = keep / "reached"
    folder.mkdir(parents=True, exist_ok=True)
    for data in (*seeds(), *golden(), *reached()):
        (folder / f"{zlib.crc32(data):08x}").write_bytes(data)
    options = [f"-max_total_time={int(60 * minutes)}", f"-seed={seed % 2**31}", f"-max_len={_MOST_BYTES}"]
    options += [f"-artifact_prefix={keep}/", "-rss_limit_mb=1024", f"-timeout={_STUCK_S}", "-print_final_stats=1"]
    status, said = _libfuzzer([*options, str(folder)])
    count = re.search(r"number_of_executed_units: (\d+)", said)
    return status, Counter({"guided by coverage": int(count.group(1)) if count else 0})


def _libfuzzer(options: list[str]) -> tuple[int, str]:
    """Exit status and what it said, which is also shown."""
    command = [sys.executable, "-m", "tests.fuzz.coverage", *options]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        environment = os.environ | {_SCRATCH: scratch}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace") as process:
            said = []
            for line in process.stderr or ():
                said.append(line)
                sys.stderr.write(line)
        return process.returncode, "".join(said[-100:])


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
        _MUTATOR.reseed(seed)
        result = _MUTATOR.vary(anatomy)
    return result if len(result) <= most else data[:most]


def one_input(data: bytes) -> None:
    """One case: the target follows from the bytes, so that a file that was kept does the same again."""
    target = target_of(data)
    path = Path(os.environ[_SCRATCH], "case.zst")
    path.write_bytes(data)
    began = time.process_time()
    try:
        target.check(target.run(str(path)))
    except TraceError:
        pass
    except UsageError:
        if not target.refuses:
            raise
    spent = time.process_time() - began
    gc.collect()  # the commands do without it, since they end soon
    if spent > _LIMIT_S:
        raise TimeoutError(f"{target.name} took {spent:.1f} s of CPU")


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
    # When it merges, libFuzzer runs itself again through a shell.
    own = f"{shlex.quote(sys.executable)} -m tests.fuzz.coverage"
    atheris.Setup([own, *sys.argv[1:]], one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Long runs: `python -m tests.fuzz --minutes 60`, or with --coverage guided by what code is reached (atheris).

Each worker makes its own endless variations of the corpus and sends each through one view or export, chosen by chance.
Files that do harm are kept in .cache/fuzz; add them to tests/fuzz/corpus with the commit that mends the fault.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from funcrec.errors import UsageError
from tests.fuzz import cases
from tests.fuzz.corpus import seeds
from tests.fuzz.mutator import Mutator
from tests.fuzz.targets import READER, Target, targets


def chosen(only: str) -> list[Target]:
    """The targets whose name contains a word; `reader` is the reader and the pairing of events, without a view."""
    return [READER] if only == READER.name else [target for target in targets() if only in target.name]


def work(
    worker: int, seed: int, until: float, most: int, keep: Path, only: str, results: multiprocessing.Queue[object]
) -> None:
    """One worker: cases until the time is over or so many were run."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[worker % os.cpu_count()]})  # type: ignore[operator]
    mutator, pick, all_targets = Mutator(seeds(), seed), random.Random(seed), chosen(only)
    found: Counter[cases.Finding] = Counter()
    done = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        path = os.path.join(folder, "case.zst")
        Path(path).write_bytes(seeds()[0])
        for target in all_targets:
            with contextlib.suppress(UsageError):
                target.run(path)  # whatever is loaded late is loaded now
        cases.prepare()
        while done < most and time.monotonic() < until:
            data = mutator.next()
            with open(path, "wb") as file:
                file.write(data)
            finding = cases.run(pick.choice(all_targets), path)
            done += 1
            if finding is not None:
                if not found[finding]:
                    kept = keep / f"{finding.kind}-{seed}-{done}.zst"
                    kept.write_bytes(data)
                    print(f"{finding.kind} at {finding.place} ({finding.text}): {kept}", flush=True)
                found[finding] += 1
    results.put((done, found, cases.peak_bytes()))


def main() -> int:
    """Run; return 1 when anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--cases", type=int, default=10**12, help="of each worker at most")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, default=Path(".cache/fuzz"), metavar="FOLDER")
    parser.add_argument("--only", default="", metavar="WORD", help="targets with it in their name; reader: no view")
    parser.add_argument("--coverage", action="store_true", help="one worker, guided by coverage; needs atheris")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    if options.coverage:
        from tests.fuzz.coverage import guide  # needs atheris

        return guide(options.minutes, options.seed, options.keep)
    results: multiprocessing.Queue[object] = multiprocessing.Queue()
    until = time.monotonic() + 60 * options.minutes
    workers = [
        multiprocessing.Process(
            target=work, args=(number, options.seed + number, until, options.cases, options.keep, options.only, results)
        )
        for number in range(options.jobs)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    answers = [results.get() for worker in workers if worker.exitcode == 0]
    done, peak = sum(answer[0] for answer in answers), max((answer[2] for answer in answers), default=0)
    kinds = set().union(*(answer[1] for answer in answers)) if answers else set()
    died = [worker.exitcode for worker in workers if worker.exitcode]
    print(f"{done:,} cases (seed {options.seed}), at most {peak >> 20} MB, {len(kinds)} findings, {len(died)} crashes")
    return 1 if kinds or died else 0


if __name__ == "__main__":
    sys.exit(main())

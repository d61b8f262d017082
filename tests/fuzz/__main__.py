"""Long runs: `python -m tests.fuzz --minutes 60`, or with --coverage guided by what code is reached (atheris).

Each worker makes its own endless variations of the corpus and sends each through one view or export, chosen by chance.
Files that do harm are kept in .cache/fuzz; add them to tests/fuzz/corpus with the commit that mends the fault. How many
cases each target has had in all runs is added up in .cache/fuzz/cases.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from itertools import accumulate
from pathlib import Path

from funcrec.errors import UsageError
from tests.fuzz import cases
from tests.fuzz.corpus import REACHED, seeds
from tests.fuzz.mutator import Mutator
from tests.fuzz.targets import READER, Target, targets

SLOW = ("sql", "html")  # these get a fifth of what another view gets


def chosen(only: str) -> dict[Target, int]:
    """Target -> how often: those whose name contains a word.

    `reader` is the reader and the pairing of events, without a view: half of the cases, since all views stand on it.
    """
    weights = {
        target: 1 if any(word in target.name for word in SLOW) else 5 for target in targets() if only in target.name
    }
    return weights | ({READER: sum(weights.values()) or 1} if only in READER.name else {})


def work(
    worker: int, seed: int, until: float, most: int, keep: Path, only: str, results: multiprocessing.Queue[object]
) -> None:
    """One worker: cases until the time is over or so many were run."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[worker % os.cpu_count()]})  # type: ignore[operator]
    mutator, pick, weights = Mutator(seeds(), seed), random.Random(seed), chosen(only)
    found: Counter[cases.Finding] = Counter()
    tally: Counter[str] = Counter()
    done = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        path = os.path.join(folder, "case.zst")
        Path(path).write_bytes(seeds()[0])
        for target in weights:
            with contextlib.suppress(UsageError):
                target.run(path)  # whatever is loaded late is loaded now
        all_targets, often = list(weights), list(accumulate(weights.values()))
        cases.prepare()
        while done < most and time.monotonic() < until:
            data = mutator.next()
            with open(path, "wb") as file:
                file.write(data)
            target = pick.choices(all_targets, cum_weights=often)[0]
            finding = cases.run(target, path)
            tally[target.name] += 1
            done += 1
            if finding is not None:
                if not found[finding]:
                    kept = keep / f"{finding.kind}-{seed}-{done}.zst"
                    kept.write_bytes(data)
                    print(f"{finding.kind} at {finding.place} ({finding.text}): {kept}", flush=True)
                found[finding] += 1
    results.put((tally, found, cases.peak_bytes()))


def add_up(fresh: Counter[str], path: Path) -> None:
    """Add the cases of a run, by target, to those of all runs before."""
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(dict(sorted((Counter(before) + fresh).items())), indent=1) + "\n")


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
    parser.add_argument("--keep-corpus", action="store_true", help="add what they reached to tests/fuzz/corpus")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    if options.coverage:
        from tests.fuzz.coverage import guide  # needs atheris

        status, tally = guide(options.minutes, options.seed, options.keep)
        add_up(tally, options.keep / "cases.json")
        return status
    if options.keep_corpus:
        from tests.fuzz.keeping import keep

        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the tracer sees this process alone
        print(f"{keep(options.keep / 'reached', REACHED, options.minutes)} files in {REACHED.name}")
        return 0
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
    tally, peak = sum((answer[0] for answer in answers), Counter()), max((answer[2] for answer in answers), default=0)
    add_up(tally, options.keep / "cases.json")
    kinds = set().union(*(answer[1] for answer in answers)) if answers else set()
    died = [worker.exitcode for worker in workers if worker.exitcode]
    found = f"at most {peak >> 20} MB, {len(kinds)} findings, {len(died)} crashes"
    print(f"{tally.total():,} cases (seed {options.seed}), {found}")
    return 1 if kinds or died else 0


if __name__ == "__main__":
    sys.exit(main())

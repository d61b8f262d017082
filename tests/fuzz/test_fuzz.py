"""A fixed number of hostile files through every view and export, and the files that did harm once."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from funcrec.errors import TraceError, UsageError
from tests.fuzz.bombs import BOMBS
from tests.fuzz.corpus import hostile_files, reached, seeds
from tests.fuzz.targets import Target, target_of, targets

CASES = 300  # of each worker
SEEDS = (1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_hostile_files_give_a_result_or_one_error(seed, tmp_path):
    command = [sys.executable, "-m", "tests.fuzz", "--jobs", "1", "--cases", str(CASES), "--seed", str(seed)]
    done = subprocess.run(
        [*command, "--minutes", "10", "--keep", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CASES} cases" in done.stdout


@pytest.mark.parametrize("number", range(len(seeds())))
def test_every_target_takes_the_seeds(number, tmp_path, one_processor):
    path = tmp_path / "seed.zst"
    path.write_bytes(seeds()[number])
    for target in targets():
        with contextlib.suppress(UsageError) if target.refuses else contextlib.nullcontext():
            target.check(target.run(str(path)))


@pytest.mark.parametrize("path", hostile_files(), ids=lambda path: path.stem)
def test_what_did_harm_once_does_so_no_more(path, one_processor):
    for target in targets():
        with contextlib.suppress(TraceError, *([UsageError] if target.refuses else [])):
            target.check(target.run(str(path)))


def test_what_guided_runs_reached_gives_a_result_or_one_error(tmp_path, one_processor):
    path = tmp_path / "case.zst"
    assert reached()
    for data in reached():
        path.write_bytes(data)
        target = target_of(data)
        with contextlib.suppress(TraceError, *([UsageError] if target.refuses else [])):
            target.check(target.run(str(path)))


SUMMARIES = ("info --check", "hist json", "graph json", "report text", "export folded", "export perfetto")


@pytest.mark.parametrize("name", BOMBS)
def test_what_a_megabyte_can_ask_for_is_bounded(name, tmp_path):
    path = tmp_path / "bomb.zst"
    path.write_bytes(BOMBS[name]())
    assert path.stat().st_size <= 1_000_000
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.bounded", path, *SUMMARIES],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def one_processor():
    """Views that use several processors do so as processes, which are slow to start so often."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def test_targets_have_names_of_their_own():
    names = [target.name for target in targets()]
    assert len(set(names)) == len(names)
    assert all(isinstance(target, Target) for target in targets())

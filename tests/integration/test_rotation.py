"""--max-files: one trace after the other, each complete by itself, all together the whole recording."""

import json
from pathlib import Path

import numpy as np
import pytest

import funcrec as funcrec_python
from funcrec.report.calls import State
from tests.conftest import Recorder, funcrec
from tests.toolchain import PROGRAMS, go_build

COUNT, GOROUTINES = 20_001, 2


def hot() -> Path:
    return go_build(PROGRAMS / "hot")


def _files(path: Path) -> list[Path]:
    """The latest first."""
    rest = sorted(path.parent.glob(f"{path.name}.[0-9]*"), key=lambda each: int(each.suffix[1:]))
    return [path, *rest]


def test_all_files_together_are_the_recording(record: Recorder) -> None:
    recorded = record(
        hot(),
        ["main.*"],
        launch_args=[str(COUNT), str(GOROUTINES)],
        options=["--max-size", "12K", "--max-files", "99"],
    )
    assert recorded.status == 0, recorded.stderr
    files = _files(recorded.path)
    assert len(files) > 2
    assert [file.name for file in files[1:]] == [f"trace.zst.{n}" for n in range(1, len(files))]
    calm, lost = 0, 0
    for number, file in enumerate(files):
        assert funcrec("info", file, "--check").returncode == 0
        facts = json.loads(funcrec("info", file, "--format", "json").stdout)
        lost += facts["lost"]
        assert {function["name"] for function in facts["functions"]} >= {"main.calm", "main.hot7", "main.outer"}
        trace = funcrec_python.open(str(file))
        calls = trace.table()
        names = np.array([function.name for function in trace.functions])
        calm += int((names[calls.function] == "main.calm").sum())
        assert set(calls.state.tolist()) <= {State.RETURNED, State.OPEN}
        assert (calls.start_ns >= trace.start_ns).all()
        assert (calls.caller > 0).all()
        ending = "the program ended" if number == 0 else "the next file"
        assert ending in funcrec("info", file).stdout
    assert lost == 0
    assert calm == GOROUTINES * COUNT


def test_so_many_are_kept(record: Recorder) -> None:
    trace = record(
        hot(),
        ["main.*"],
        launch_args=[str(COUNT), str(GOROUTINES)],
        options=["--max-size", "12K", "--max-files", "2"],
    )
    assert trace.status == 0, trace.stderr
    assert [file.name for file in _files(trace.path)] == ["trace.zst", "trace.zst.1"]


@pytest.mark.parametrize("options", [["--max-files", "3"], ["--max-files", "0", "--max-size", "1M"]])
def test_what_makes_no_sense(options: list[str]) -> None:
    done = funcrec("record", "-u", "x", "x", *options, check=False)
    assert done.returncode == 2
    assert "--max-size" in done.stderr

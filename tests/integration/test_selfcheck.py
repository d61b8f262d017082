"""What cannot be right is refused or counted, never guessed."""

from pathlib import Path

import pytest

from funcrec.trace.reader import TraceReader
from tests.conftest import Recorder, funcrec
from tests.integration.scenarios import patterns, workload


def lying(folder: Path, version: str, claimed: str) -> Path:
    """A program that says it was built by another Go release of a name of the same length."""
    assert len(version) == len(claimed)
    binary = folder / "lying"
    binary.write_bytes(workload(version).read_bytes().replace(f"go{version}".encode(), f"go{claimed}".encode()))
    binary.chmod(0o755)
    return binary


@pytest.mark.parametrize(
    ("version", "claimed"),
    [
        ("1.24.11", "1.22.11"),  # everything is elsewhere: the goid reads as the status, the start as what created it
        ("1.24.11", "1.26.11"),  # only goid and curg are: a plausible goid, 2 for every goroutine
        ("1.26.6", "1.24.6"),
    ],
)
def test_wrong_offsets_are_refused(record: Recorder, tmp_path: Path, version: str, claimed: str) -> None:
    binary = lying(tmp_path, version, claimed)
    trace = record(binary, patterns("recursion"), launch_args=["recursion"])
    assert trace.status == 4, trace.stderr
    assert f"go{claimed}" in trace.stderr
    assert "does not lay out its runtime" in trace.stderr
    assert "Traceback" not in trace.stderr
    with TraceReader(trace.path) as reader:
        assert "refused" in {note.what for note in reader.notes}
        assert reader.closing is not None
        assert reader.closing.reason.startswith("refused: ")
    assert "does not lay out its runtime" in funcrec("info", trace.path).stdout
    assert funcrec("info", trace.path, "--check").returncode == 0


def test_hits_outside_goroutines_are_told(record: Recorder) -> None:
    """The first instruction of a process has no goroutine yet."""
    trace = record(workload(), ["_rt0_amd64_linux", *patterns("recursion")], launch_args=["recursion"])
    assert trace.status == 0, trace.stderr
    assert "1 hit left out: no goroutine" in trace.stderr
    trace.check()
    with TraceReader(trace.path) as reader:
        assert [note.what for note in reader.notes] == ["no goroutine"]
    for view in ("info", "report"):
        assert "1 hit left out: no goroutine" in funcrec(view, trace.path).stdout


def test_nothing_is_told_without_such_hits(record: Recorder) -> None:
    trace = record(workload(), patterns("recursion"), launch_args=["recursion"])
    assert "left out" not in trace.stderr

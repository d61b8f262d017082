"""Probes are for the file that was read: whoever would change it waits until they are gone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from funcrec.errors import TargetError
from funcrec.record.binary import Binary
from funcrec.target.elf import FileStamp
from funcrec.target.executable import Executable
from funcrec.trace.reader import TraceReader
from tests.conftest import Program, RecordedTrace, Starter, probes
from tests.integration.scenarios import own_workload, patterns


def ended_by_writer(trace: RecordedTrace) -> bool:
    assert trace.status == 0, trace.stderr
    assert "somebody writes to the executable" in trace.stderr
    with TraceReader(trace.path) as reader:
        assert [note.what for note in reader.notes] == ["executable"]
        assert reader.closing is not None
        return reader.closing.reason == "the executable was written to"


def test_a_writer_waits_until_the_probes_are_gone(
    start_recording: Starter, start_program: Callable[..., Program], tmp_path: Path
) -> None:
    binary = own_workload(tmp_path)
    recording = start_recording(binary, patterns("attach"))
    recording.wait_armed()
    before = start_program(binary, "attach")
    assert before.read_line() == "ready"
    assert probes(before.pid, binary)
    with pytest.raises(OSError, match="Text file busy"):  # the kernel's own protection while it runs
        binary.open("r+b")
    before.proceed()
    assert before.finish() == 0
    with binary.open("r+b") as file:  # waits
        file.seek(0, 2)
        file.write(b"\0")
    started = start_program(binary, "attach")
    assert started.read_line() == "ready"
    assert not probes(started.pid, binary)
    started.proceed()
    assert started.finish() == 0
    trace = recording.finish()
    assert ended_by_writer(trace)
    assert {call["pid"] for call in trace.calls} == {before.pid}


def test_a_writer_who_was_there_before_is_found_out(start_recording: Starter, tmp_path: Path) -> None:
    """No lease can be had then, and the file is looked at."""
    binary = own_workload(tmp_path)
    with binary.open("r+b") as file:
        recording = start_recording(binary, patterns("attach"))
        recording.wait_armed()
        file.seek(0, 2)
        file.write(b"\0")
    assert ended_by_writer(recording.finish())


@pytest.mark.parametrize("late", [False, True], ids=["found", "appears"])
def test_a_process_with_another_build_in_its_memory_is_refused(
    start_recording: Starter, start_program: Callable[..., Program], hot: Path, late: bool
) -> None:
    """Its file is the one that was read, what it mapped is not: here because its build id was patched."""
    program = start_program(hot, "20", "2", "forever")
    assert program.read_line() == "ready"
    if late:
        recording = start_recording(hot, ["main.*"])
        recording.wait_armed()
    ((offset, note),) = Executable.open(str(hot)).notes
    with open(f"/proc/{program.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(_mapped_at(program.pid, hot, offset))
        assert memory.read(len(note)) == note
        memory.seek(-len(note) // 2, 1)
        memory.write(b"another build")
    if late:
        program.proceed()
    else:
        recording = start_recording(hot, ["main.*"])
    trace = recording.finish()
    assert trace.status == 4
    assert f"process {program.pid} has another build of {hot} in its memory" in trace.stderr
    assert max(probes(program.pid, hot)) < offset + len(note)  # all that differs is what was patched
    assert program.process.poll() is None
    program.process.kill()


def _mapped_at(pid: int, binary: Path, offset: int) -> int:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, _, start, *_ = line.split()
        low, high = (int(address, 16) for address in span.split("-"))
        if line.endswith(str(binary)) and int(start, 16) <= offset < int(start, 16) + high - low:
            return low + offset - int(start, 16)
    raise AssertionError(f"offset {offset} is not mapped")


def test_a_file_that_took_the_place_of_the_one_that_was_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"one")
    with path.open("rb") as file:
        read = FileStamp.of(file.fileno())
    with Binary(str(path), read) as binary:
        assert not binary.changed
        path.unlink()
        path.write_bytes(b"two")
        assert not binary.changed  # the one that was read is still the one held open
    with pytest.raises(TargetError, match="has changed since it was read"):
        Binary(str(path), read)

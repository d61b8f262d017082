"""Go in shared libraries: BINARY is the .so; its host may be C, or Go that has loaded a plugin."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from funcrec.record.attach import Way
from tests.conftest import Program, Starter, force_way
from tests.toolchain import PROGRAMS, c_compiler, go_build

pytestmark = pytest.mark.skipif(c_compiler() is None, reason="cgo needs a C compiler")
CALLS = 23
CGO = {"CGO_ENABLED": "1"}


def host_of(library: Path, folder: Path) -> Path:
    """The program of C, linked with a copy of the library beside it: probes belong to the file."""
    mine = Path(shutil.copy(library, folder / "libcthreads.so"))
    host = folder / "host"
    source = PROGRAMS / "library" / "host.c"
    subprocess.run([str(c_compiler()), "-o", host, source, mine, f"-Wl,-rpath,{folder}"], check=True)
    return host


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("by_pid", [False, True])
def test_a_library_of_a_program_of_c(
    start_recording: Starter,
    start_program: Callable[..., Program],
    tmp_path: Path,
    by_pid: bool,
    way: Way,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    force_way(way, monkeypatch)
    library = go_build(PROGRAMS / "cthreads", flags=("-buildmode=c-shared",), env=CGO, name="libcthreads.so")
    program = start_program(host_of(library, tmp_path), str(CALLS))
    assert program.read_line() == "ready"
    options = ["-p", str(program.pid)] if by_pid else []
    recording = start_recording(
        tmp_path / "libcthreads.so", ["main.called", "main.deeper", "main.across"], options=options
    )
    recording.wait_armed()
    assert str(program.pid) in recording.said
    program.proceed()
    assert program.read_line() == "done"
    recording.interrupt()
    trace = recording.finish()
    program.proceed()
    assert program.finish() == 0
    assert trace.status == 0, trace.stderr
    # One of the calls goes to C and back once more.
    assert Counter(call["func"] for call in trace.calls) == {
        "main.called": CALLS + 1,
        "main.deeper": CALLS + 1,
        "main.across": 1,
    }
    assert {call["state"] for call in trace.calls} == {"returned"}
    assert len({(call["goid"], call["tid"]) for call in trace.calls}) == 1
    assert trace.info["lost"] == 0
    calls = {call["id"]: call for call in trace.calls}
    for call in trace.calls:
        if call["func"] == "main.deeper":
            assert calls[call["parent"]]["func"] == "main.called"


def test_a_plugin(start_recording: Starter, tmp_path: Path) -> None:
    """Every call is there; the runtime that recovers panics is the host's: how a panicking call ended is not known."""
    host = go_build(PROGRAMS / "plugins" / "host", env=CGO)
    plugin = go_build(PROGRAMS / "plugins" / "plugin", flags=("-buildmode=plugin",), env=CGO, name="plugin.so")
    mine = Path(shutil.copy(plugin, tmp_path / "plugin.so"))
    recording = start_recording(mine, ["*.Descend", "*.caught", "*.thrown"])
    recording.wait_armed()
    subprocess.run([host, mine, str(CALLS)], check=True)
    recording.interrupt()
    trace = recording.finish()
    assert trace.status == 0, trace.stderr
    found = Counter((call["func"].rpartition(".")[2], call["state"]) for call in trace.calls)
    assert found == {
        ("Descend", "returned"): 3 * 5 * CALLS,
        ("caught", "returned"): 3 * CALLS,
        ("thrown", "lost"): 3 * CALLS,
    }
    assert len({call["goid"] for call in trace.calls}) == 3
    assert trace.info["lost"] == 0

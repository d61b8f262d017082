"""Values by name of stripped programs: debug information from elsewhere, never of another build."""

import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from funcrec.target.debugfile import DEBUG_ROOT
from funcrec.target.executable import Executable
from tests.conftest import Recorder, funcrec
from tests.integration.scenarios import WORKLOAD
from tests.toolchain import go_build

pytestmark = pytest.mark.skipif(shutil.which("objcopy") is None, reason="needs binutils")
PATTERN = "main.descend(n)"


@pytest.fixture
def split(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Build the workload with a build id of its own; returns the stripped program and its debug file."""

    def build(build_id: str, *flags: str) -> tuple[Path, Path]:
        whole = go_build(WORKLOAD, flags=(f"-ldflags=-B 0x{build_id}", *flags))
        folder = tmp_path / build_id
        folder.mkdir()
        stripped, debug = folder / "program", folder / "elsewhere.debug"
        subprocess.run(["objcopy", "--only-keep-debug", whole, debug], check=True)
        subprocess.run(["strip", "--strip-all", "-o", stripped, whole], check=True)
        return stripped, debug

    return build


def listed(binary: Path, *options: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return funcrec("list", "-u", PATTERN, *options, binary, check=False, env=os.environ | (env or {}))


def test_a_debug_file_that_is_named(record: Recorder, split: Callable[..., tuple[Path, Path]]) -> None:
    stripped, debug = split("5a" * 20)
    without = listed(stripped)
    assert without.returncode == 4
    assert "no debug information" in without.stderr
    assert "--debug-file" in without.stderr
    trace = record(stripped, [PATTERN], launch_args=["recursion"], options=["--debug-file", str(debug)])
    assert trace.status == 0, trace.stderr
    assert len(trace.calls) == sum(row["func"] == "main.descend" for row in trace.truth)
    assert all(isinstance(call["args"]["n"], int) for call in trace.calls)
    assert {call["args"]["n"] for call in trace.calls} >= {0, 2, 4}


def test_an_unstripped_twin(split: Callable[..., tuple[Path, Path]]) -> None:
    stripped, _ = split("5b" * 20)
    twin = go_build(WORKLOAD, flags=(f"-ldflags=-B 0x{'5b' * 20}",))
    assert listed(stripped, "--debug-file", twin).returncode == 0


def test_by_the_go_build_id_alone(tmp_path: Path) -> None:
    twin = go_build(WORKLOAD, version="1.21.13")
    assert Executable.open(str(twin)).gnu_build_id == ""
    stripped = tmp_path / "program"
    subprocess.run(["strip", "--strip-all", "-o", stripped, twin], check=True)
    assert listed(stripped).returncode == 4
    assert listed(stripped, "--debug-file", twin).returncode == 0
    other = listed(stripped, "--debug-file", go_build(WORKLOAD, version="1.22.10"))
    assert other.returncode == 4
    assert "is of another build" in other.stderr


@pytest.mark.parametrize("wrong", ["other", "stripped", "text", "none"])
def test_a_file_that_does_not_fit(split: Callable[..., tuple[Path, Path]], tmp_path: Path, wrong: str) -> None:
    stripped, _ = split("5c" * 20)
    (tmp_path / "text").write_text("hello")
    given = {
        "other": lambda: split("5d" * 20)[1],
        "stripped": lambda: stripped,
        "text": lambda: tmp_path / "text",
        "none": lambda: tmp_path / "none",
    }[wrong]()
    done = listed(stripped, "--debug-file", given)
    assert done.returncode == 4
    says = {"other": "is of another build", "stripped": "has no debug information", "text": "ELF", "none": "not exist"}
    assert says[wrong] in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write there")
def test_the_usual_folder_by_build_id(split: Callable[..., tuple[Path, Path]]) -> None:
    build_id = "5e" * 20
    stripped, debug = split(build_id)
    place = DEBUG_ROOT / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    new = [folder for folder in place.parents if not folder.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy(debug, place)
        assert listed(stripped).returncode == 0
    finally:
        place.unlink()
        for folder in new:
            folder.rmdir()


@pytest.mark.parametrize("folder", ["", ".debug"])
def test_the_name_that_the_program_gives(split: Callable[..., tuple[Path, Path]], folder: str) -> None:
    stripped, debug = split("5f" * 20)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", stripped], check=True)
    if folder:
        (stripped.parent / folder).mkdir()
        debug = debug.rename(stripped.parent / folder / debug.name)
    assert listed(stripped).returncode == 0
    debug.write_bytes(split("6f" * 20)[1].read_bytes())
    assert listed(stripped).returncode == 4, "a file of another build was taken"


@contextmanager
def server(answers: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """A web server; yields its URL and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}", asked
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def test_debuginfod(split: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    build_id = "7a" * 20
    stripped, debug = split(build_id)
    path = f"/buildid/{build_id}/debuginfo"
    cache = {"DEBUGINFOD_CACHE_PATH": str(tmp_path / "cache")}
    with server({}) as (empty, _), server({path: debug.read_bytes()}) as (url, asked):
        servers = {"DEBUGINFOD_URLS": f"file:///etc {empty} {url}/"}
        assert listed(stripped, env=cache | {"DEBUGINFOD_URLS": ""}).returncode == 4
        assert listed(stripped, env=cache | servers).returncode == 0
        assert listed(stripped, env=cache | servers).returncode == 0
        assert asked == [path], "the second time it comes from the cache"
    assert [file.name for file in (tmp_path / "cache" / build_id).iterdir()] == ["debuginfo"]


@pytest.mark.parametrize("answer", ["other", "cut", "text", "empty", "dead"])
def test_a_server_that_cannot_be_trusted(split: Callable[..., tuple[Path, Path]], tmp_path: Path, answer: str) -> None:
    build_id = "7b" * 20
    stripped, debug = split(build_id)
    body = {
        "other": lambda: split("7c" * 20)[1].read_bytes(),
        "cut": lambda: debug.read_bytes()[:5000],
        "text": lambda: b"<html>",
        "empty": lambda: b"",
        "dead": lambda: b"",
    }[answer]()
    with server({f"/buildid/{build_id}/debuginfo": body}) as (url, _):
        used = "http://127.0.0.1:1" if answer == "dead" else url
        cache = tmp_path / "cache"
        done = listed(stripped, env={"DEBUGINFOD_URLS": used, "DEBUGINFOD_CACHE_PATH": str(cache)})
    assert done.returncode == 4
    assert "no debug information" in done.stderr
    assert not [file for file in cache.rglob("*") if file.is_file()]

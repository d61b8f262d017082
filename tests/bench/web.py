"""A real web server under the bench's control: caddy, and what a request costs it."""

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
_CONFIGURATION = """\
{
	admin off
	auto_https off
	persist_config off
}
http://127.0.0.1:PORT {
	root * FOLDER
	file_server
	MORE
}
"""
_MAKES_PAGES = """\
templates
	encode gzip
	log {
		output file FOLDER/log
	}"""
_GREETINGS = '{{range list 1 2 3 4 5 6 7 8}}<p>{{.}}: {{$.Host}} {{now | date "2006-01-02"}}</p>{{end}}'
_PAGE = _GREETINGS + "<p>hello</p>" * 300
_ASKS = {
    "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip",
    "Cookie": "session=0123456789abcdef; theme=dark",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)",
}


class WebServer:
    """A running caddy; a context manager.

    Args:
        makes_pages: from templates, compressed, with an access log; else it sends a file as it is.
    """

    def __init__(self, *, makes_pages: bool = False) -> None:
        self.binary = go_build(ROOT / "tests" / "real" / "caddy", package=_PACKAGE, name="caddy")
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        (folder / "index.html").write_text(_PAGE)
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = int(found.getsockname()[1])
        configuration = _CONFIGURATION.replace("MORE", _MAKES_PAGES if makes_pages else "")
        configuration = configuration.replace("PORT", str(self._port)).replace("FOLDER", str(folder))
        (folder / "Caddyfile").write_text(configuration)
        serve = [self.binary, "run", "--config", folder / "Caddyfile"]
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

    @property
    def url(self) -> str:
        """Of its page."""
        return f"http://127.0.0.1:{self._port}/"

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

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
            connection.request("GET", "/", headers=_ASKS)
            answer = connection.getresponse()
            if answer.status != 200 or not answer.read():
                raise RuntimeError(f"caddy answers {answer.status}")
        spent = self._cpu_ns() - before
        connection.close()
        return spent / count

    def _cpu_ns(self) -> int:
        """Of all threads that there are; those of a Go program stay."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads)

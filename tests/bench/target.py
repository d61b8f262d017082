"""The hot program under the bench's control: one command, one answer."""

import subprocess
from pathlib import Path
from types import TracebackType

from tests.toolchain import go_build

SOURCE = Path(__file__).parent / "hot"


class HotProgram:
    """A running `hot`, or another program that answers in the same way; a context manager."""

    def __init__(self, source: Path = SOURCE) -> None:
        self.binary = go_build(source)
        self._process = subprocess.Popen(
            [self.binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._answer()

    def __enter__(self) -> "HotProgram":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, command: str) -> float:
        """Run a command of hot/main.go and return its number."""
        if self._process.stdin is None:
            raise RuntimeError("hot has no stdin")
        self._process.stdin.write(command + "\n")
        return float(self._answer())

    def _answer(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError("hot ended")
        return line.strip()

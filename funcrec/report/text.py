"""Text for people: safe names, colours, the pager. Views write plain strings through `Output`."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO

from funcrec.lang.printable import json_safe as json_safe
from funcrec.lang.printable import printable as printable
from funcrec.report.request import Color, OutputRequest


class Palette:
    """ANSI sequences, all empty when colour is off, so that a view never asks."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        code: Callable[[str], str] = (lambda digits: f"\x1b[{digits}m") if enabled else (lambda digits: "")
        self.reset = code("0")
        self.bold = code("1")
        self.dim = code("2")
        self.red = code("31")
        self.green = code("32")
        self.yellow = code("33")
        self.blue = code("34")
        self.magenta = code("35")
        self.cyan = code("36")

    def paint(self, text: str, style: str) -> str:
        """Return text in a style of this palette, such as `palette.red`."""
        return f"{style}{text}{self.reset}" if style else text


def wants_color(choice: Color, is_tty: bool) -> bool:
    """Decide on colour: the option, then NO_COLOR and FORCE_COLOR, then whether people look at it."""
    if choice in (Color.ALWAYS, Color.YES):
        return True
    if choice in (Color.NEVER, Color.NO) or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_tty and os.environ.get("TERM", "") != "dumb"


def _pager_command() -> list[str] | None:
    """The user's pager (FUNCREC_PAGER, PAGER, less), or None when there is none or it is `cat`."""
    text = os.environ.get("FUNCREC_PAGER", os.environ.get("PAGER", "less"))
    try:
        command = shlex.split(text)
    except ValueError:
        return None
    if not command or command[0] == "cat" or shutil.which(command[0]) is None:
        return None
    return command


class Output:
    """Where a view writes: standard output, through a pager on a terminal.

    Use it as a context manager. A reader that goes away raises BrokenPipeError, except for the pager, whose end is the
    wish of the user.

    Args:
        request: format, colour and pager as asked for.
        stream: bytes go there instead of standard output (exports, tests); never paged.
    """

    def __init__(self, request: OutputRequest | None = None, stream: BinaryIO | None = None) -> None:
        request = request or OutputRequest()
        self._is_tty = stream is None and sys.stdout.isatty()
        self.palette = Palette(wants_color(request.color, self._is_tty) and request.format == "text")
        self._wants_pager = request.pager and self._is_tty and request.format == "text"
        self._pager: subprocess.Popen[bytes] | None = None
        self._stream: BinaryIO = stream if stream is not None else sys.stdout.buffer
        self._encoding = "utf-8" if stream is not None else (sys.stdout.encoding or "utf-8")
        self.closed_early = False

    def __enter__(self) -> "Output":
        if self._wants_pager and (command := _pager_command()) is not None:
            # -R keeps colours, -F leaves at once when all fits, -X keeps the text on the screen.
            environment = {"LESS": "FRX", **os.environ}
            self._pager = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
            if self._pager.stdin is not None:
                self._stream = self._pager.stdin  # type: ignore[assignment]
        else:
            sys.stdout.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._pager is None:
            if error is None:
                self._stream.flush()
            return False
        try:
            if self._pager.stdin is not None:
                self._pager.stdin.close()
        except BrokenPipeError:
            pass  # the user left the pager
        self._pager.wait()
        return isinstance(error, BrokenPipeError)

    @property
    def draws(self) -> bool:
        """True when the reader's encoding has the characters for bars and trees."""
        try:
            "█└".encode(self._encoding)
        except UnicodeEncodeError:
            return False
        return True

    def write(self, text: str) -> None:
        """Write text as it is; the caller has made names and values `printable`."""
        self._stream.write(text.encode(self._encoding, "backslashreplace"))

    def write_bytes(self, text: bytes) -> None:
        """Write text that is UTF-8 already: the fast way for millions of lines."""
        utf8 = self._encoding.lower().replace("-", "") == "utf8"
        self._stream.write(text if utf8 else text.decode().encode(self._encoding, "backslashreplace"))

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.write(text + "\n")

    def flush(self) -> None:
        """Let the reader see what was written so far."""
        self._stream.flush()

import io
import json
import os
import pty
import subprocess
import sys

import pytest

from funcrec.report.request import Color, OutputRequest
from funcrec.report.text import Output, json_safe, printable, wants_color


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("main.Map[go.shape.[]int_0]", "main.Map[go.shape.[]int_0]"),
        ("main.Größe", "main.Größe"),
        ("a\x1b[31mb\r\n", "a\\x1b[31mb\\x0d\\x0a"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("evil\u202etxt.go", "evil\\u202etxt.go"),
        ("\udcff", "\\udcff"),
        ("a\U000e0041\u3164\xadb", "a\\U000e0041\\u3164\\xadb"),
    ],
)
def test_names_cannot_move_the_cursor(text: str, safe: str) -> None:
    assert printable(text) == safe


def test_json_stays_the_same_json() -> None:
    value = {"a": "\x7f\x9b\u202e é \U000e0041"}
    text = json_safe(json.dumps(value, ensure_ascii=False))
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert json.loads(text) == value


def test_colour_follows_option_then_environment_then_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_color(Color.AUTO, True)
    assert not wants_color(Color.AUTO, False)
    assert wants_color(Color.ALWAYS, False)
    assert not wants_color(Color.NO, True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert wants_color(Color.AUTO, False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_color(Color.AUTO, True)
    assert wants_color(Color.YES, True)


def test_output_to_a_stream_is_utf8_without_colour() -> None:
    stream = io.BytesIO()
    with Output(stream=stream) as output:
        output.line(output.palette.paint("é", output.palette.red))
        output.write_bytes(b"x\n")
    assert stream.getvalue() == "é\nx\n".encode()


SCRIPT = """
from funcrec.report.request import Color, OutputRequest
from funcrec.report.text import Output
with Output(OutputRequest(pager={pager})) as output:
    for number in range({lines}):
        output.line(output.palette.paint(f"line {{number}}", output.palette.red))
"""


def on_terminal(lines: int, pager: str, wanted: bool = True) -> str:
    """What appears on a terminal; run apart, because it is standard output that matters."""
    master, slave = pty.openpty()
    environment = {**os.environ, "FUNCREC_PAGER": pager, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    script = SCRIPT.format(lines=lines, pager=wanted)
    with subprocess.Popen([sys.executable, "-c", script], stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        seen = b""
        try:
            while chunk := os.read(master, 65536):
                seen += chunk
        except OSError:
            pass  # Linux answers so once the last writer is gone
    os.close(master)
    assert process.returncode == 0, seen
    return seen.decode()


def test_a_terminal_gets_colours_through_the_pager() -> None:
    assert on_terminal(1, "sed s/^/paged:/") == "paged:\x1b[31mline 0\x1b[0m\r\n"


def test_no_pager_when_it_is_unwanted_or_missing() -> None:
    assert on_terminal(1, "sed s/^/paged:/", wanted=False) == "\x1b[31mline 0\x1b[0m\r\n"
    assert on_terminal(1, "no-such-program-anywhere") == "\x1b[31mline 0\x1b[0m\r\n"


def test_leaving_the_pager_early_is_no_error() -> None:
    assert on_terminal(200_000, "head -n 1") == "\x1b[31mline 0\x1b[0m\r\n"


def test_machine_formats_are_never_coloured() -> None:
    assert not Output(OutputRequest(color=Color.ALWAYS, format="json"), io.BytesIO()).palette.enabled  # type: ignore[arg-type]

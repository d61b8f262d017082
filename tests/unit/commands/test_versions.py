"""Traces of later versions: a minor one is read as far as it is known, a major one is refused, by every command."""

import re
import struct
from pathlib import Path

import pytest

from funcrec.trace.framing import Head
from funcrec.trace.records import MINOR, VERSION
from tests.conftest import funcrec
from tests.traces import Made, random_events, snapshot

HEAD_BYTES = 28
VIEWS = ("report", "stat", "hist", "graph", "goroutines", "info")


def _trace(path: Path, version: int, minor: int) -> Path:
    made = Made(snapshot())
    made.writer.events(random_events(3, 40))
    data = made.bytes()
    (file_id,) = struct.unpack_from("<I", data, 8 + 12)
    path.write_bytes(Head(version, minor, file_id).pack() + data[HEAD_BYTES:])
    return path


@pytest.mark.parametrize("view", VIEWS)
def test_a_later_minor_version_is_read(tmp_path: Path, view: str) -> None:
    now = funcrec(view, _trace(tmp_path / "trace.zst", VERSION, MINOR)).stdout
    later = funcrec(view, _trace(tmp_path / "trace.zst", VERSION, MINOR + 7)).stdout
    assert re.sub(rf"format {VERSION}\.{MINOR + 7}", f"format {VERSION}", later) == now


@pytest.mark.parametrize("view", VIEWS)
def test_a_later_version_is_named_and_refused(tmp_path: Path, view: str) -> None:
    done = funcrec(view, _trace(tmp_path / "trace.zst", VERSION + 1, 0), check=False)
    assert done.returncode == 5
    assert f"version {VERSION + 1}.0" in done.stderr
    assert "  try: " in done.stderr
    assert not done.stdout


def test_check_walks_the_whole_file(tmp_path: Path) -> None:
    path = _trace(tmp_path / "trace.zst", VERSION, MINOR)
    assert funcrec("info", path, "--check").returncode == 0
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert funcrec("info", path, "--check", check=False).returncode == 5

"""The walk-through's question, asked of the demo's own service: two releases, recorded and compared."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Recorder, funcrec
from tests.toolchain import ROOT, go_build

PACKETS = ROOT / "demo" / "packets"


@pytest.fixture
def releases(record: Recorder, tmp_path: Path) -> Path:
    """A folder with before.zst and after.zst."""
    for name, flags in (("before", []), ("after", ["-tags=after"])):
        binary = go_build(PACKETS, flags=flags, name=f"packets-{name}")
        recorded = record(binary, ["main.Serialize(len(b))"], launch_args=["-for", "1s"], name=f"{name}.zst")
        assert recorded.status == 0
        if recorded.path.parent != tmp_path:
            shutil.copy(recorded.path, tmp_path)
    return tmp_path


def test_three_commands_and_a_notebook(releases: Path) -> None:
    before, after = releases / "before.zst", releases / "after.zst"
    hist = json.loads(funcrec("hist", before, "--by", "len(b)/1KB", "--format", "json").stdout)
    assert [row["key"] for row in hist] == list(range(8))
    compared = json.loads(funcrec("diff", before, after, "--by", "len(b)/1KB", "--format", "json").stdout)
    assert [row["bucket"] for row in compared] == list(range(8))
    assert [row["base"]["n"] for row in compared] == [row["n"] for row in hist]
    page = releases / "after.html"
    funcrec("export", after, "-o", page)
    assert page.stat().st_size > 10_000

    pytest.importorskip("pandas")
    command = [sys.executable, "-W", "error", ROOT / "docs" / "notebook.py"]
    done = subprocess.run(command, cwd=releases, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    calls = sum(row["n"] for row in hist)
    assert f"before: {calls} calls, lost: 0" in done.stdout
    assert "change %" in done.stdout
    assert "p99_ns" in done.stdout

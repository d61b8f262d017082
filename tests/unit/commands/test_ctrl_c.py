"""Ctrl-C before a command has begun."""

import os
from pathlib import Path

from tests.conftest import funcrec


def test_ctrl_c_while_the_command_is_loaded(tmp_path: Path) -> None:
    """A module that is interrupted stands for what is being loaded at that moment."""
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    done = funcrec("--help", check=False, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")

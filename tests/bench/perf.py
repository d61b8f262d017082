"""What `perf script` itself takes to print an event, before any script reads the text."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.bench.reporting import cpu_of

_SOURCE = Path(__file__).parent / "calls" / "calls.c"
_TREES = 40_000
_FUNCTION = "leaf"


def printing_s(folder: Path) -> float | None:
    """CPU seconds for a million events of uprobes on a C program, entries and returns; None where perf cannot."""
    if os.geteuid() != 0 or shutil.which("perf") is None or shutil.which("gcc") is None:
        return None
    program, data, group = folder / "calls", folder / "perf.data", f"funcrec_bench_{os.getpid()}"
    subprocess.run(["gcc", "-O1", "-g", "-o", program, _SOURCE], check=True)
    try:
        for event in (f"entry={_FUNCTION}", f"exit={_FUNCTION}%return"):
            _quiet("perf", "probe", "-q", "-x", program, "--add", f"{group}:{event}")
        events = f"{group}:entry,{group}:exit__return"
        _quiet("perf", "record", "-q", "-m", "4096", "-o", data, "-e", events, program, str(_TREES))
        printed = subprocess.run(["perf", "script", "-i", data], capture_output=True, text=True, check=True).stdout
        return cpu_of("perf", "script", "-i", data) / printed.count("\n") * 1e6
    except subprocess.CalledProcessError:
        return None
    finally:
        subprocess.run(["perf", "probe", "-q", "-d", f"{group}:*"], capture_output=True)


def _quiet(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)

"""Decoding with a second process: the same instructions, also when that process dies. In a process without threads."""

import subprocess
import sys

SCRIPT = """
import os, signal
from pathlib import Path
import numpy as np
from funcrec.target import decoding

codes = [bytes.fromhex("55 4889e5 488d0500000000 5d c3") * 40, b"", b"\\xc3", b"\\x90\\x06"] * 12_000
assert sum(map(len, codes)) > decoding._LARGE
together = decoding.decode(codes)
alone = decoding._decode(codes)
for column, expected in zip(together, alone):
    assert column.tobytes() == expected
assert together[2][:4].tolist() == [200, 0, 1, 2]
wait = decoding._decode_apart(codes)
children = Path("/proc/self/task", str(os.getpid()), "children").read_text().split()
assert len(children) == 1
os.kill(int(children[0]), signal.SIGKILL)
assert wait() == alone
print("same")
"""


def test_two_processes_decode_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.stdout == "same\n", done.stderr

"""Run an arm64 program under qemu and note every pass through some addresses, over qemu's gdb stub.

Speaks as much of gdb's remote protocol as that needs.
"""

import os
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from funcrec.target.arm64 import targets

QEMU = "qemu-aarch64"
_TRAP = 5
_RETURN = 0xD65F03C0  # ret
_LOWER_OR_SAME = 0x54000009  # b.ls
_CARRY, _ZERO = 1 << 29, 1 << 30


class Hit(NamedTuple):
    """Registers at a pass; `g` is R28, `back` R30."""

    pc: int
    sp: int
    g: int
    back: int
    flags: int

    @property
    def lower_or_same(self) -> bool:
        """The outcome of b.ls."""
        return not self.flags & _CARRY or bool(self.flags & _ZERO)


class _Stub:
    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        for _ in range(1000):
            try:
                self._socket.connect(path)
                break
            except OSError:
                time.sleep(0.01)
        self._pending = b""

    def close(self) -> None:
        self._socket.close()

    def ask(self, command: str) -> str:
        """Send a packet and return the answer to it, "" when the program is gone."""
        self._socket.sendall(f"${command}#{sum(command.encode()) % 256:02x}".encode())
        while b"#" not in self._pending[:-2]:
            more = self._socket.recv(1 << 16)
            if not more:
                return ""
            self._pending += more
        packet, _, rest = self._pending.partition(b"#")
        self._pending = rest[2:]
        self._socket.sendall(b"+")
        return packet.partition(b"$")[2].decode()


def passes(
    command: Sequence[str | Path], addresses: Sequence[int], env: Mapping[str, str], each: Callable[[Hit], None]
) -> None:
    """Run a program to its end; `each` is called for every pass.

    Args:
        command: executable (not position-independent) and arguments.
        addresses: of instructions.
        env: additions to its environment. One thread at a time should run the code with the addresses (GOMAXPROCS=1).
        each: gets the registers before the instruction.

    Raises:
        RuntimeError: it did not end with status 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "stub")
        program = subprocess.Popen(
            [QEMU, "-g", path, *command], env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        stub = _Stub(path)
        try:
            stub.ask("qXfer:features:read:target.xml:0,ffb")  # who does not ask may not write registers
            for address in addresses:
                stub.ask(f"Z0,{address:x},4")
            answer = stub.ask("c")
            while answer[:1] in ("T", "S"):
                number = int(answer[1:3], 16)
                answer = (
                    stub.ask("c" if number == _TRAP else f"C{number:02x}") if number != _TRAP else _step(stub, each)
                )
            _, said = program.communicate()
        finally:
            stub.close()
            program.kill()
            program.wait()
    if program.returncode or answer != "W00":
        raise RuntimeError(f"{command[0]}: {answer or program.returncode}: {said.decode()[-500:]}")


def _step(stub: _Stub, each: Callable[[Hit], None]) -> str:
    """Report the pass at hand, get past its instruction, and go on to the next stop."""
    registers = bytes.fromhex(stub.ask("g")[: 2 * (33 * 8 + 4)])
    words = struct.unpack_from("<33QI", registers)
    hit = Hit(words[32], words[31], words[28], words[30], words[33])
    each(hit)
    after = _after(hit, int.from_bytes(bytes.fromhex(stub.ask(f"m{hit.pc:x},4")), "little"))
    if after is not None:  # nothing can come in between, as it can when the breakpoint is taken away for a step
        stub.ask(f"P20={after.to_bytes(8, 'little').hex()}")
        return stub.ask("c")
    stub.ask(f"z0,{hit.pc:x},4")
    answer = stub.ask("s")
    stub.ask(f"Z0,{hit.pc:x},4")
    return stub.ask("c") if answer[1:3] == f"{_TRAP:02x}" else answer


def _after(hit: Hit, word: int) -> int | None:
    """Where the instructions at most sites lead: ret and b.ls; None for others."""
    if word == _RETURN:
        return hit.back
    if word & 0xFF00001F != _LOWER_OR_SAME:
        return None
    target: int = targets(np.array([word], np.uint32), np.array([hit.pc], np.int64))[0]
    return int(target) if hit.lower_or_same else hit.pc + 4

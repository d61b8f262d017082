"""C text to loaded programs and maps, through a child process that runs BCC.

Knows nothing of what the program does. The descriptors it returns belong to the caller.
"""

import contextlib
import errno
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from funcrec.errors import FuncrecError, HostError
from funcrec.record.machine import machine
from funcrec.resources import data_path

_CHILD = Path(__file__).with_name("bcc_child.py")
_MAX_DESCRIPTORS = 253  # SCM_MAX_FD


@dataclass(frozen=True, slots=True)
class Program:
    """What to compile: plain data, equal for equal plans.

    Attributes:
        text: C source.
        flags: compiler flags.
        programs: names of the BPF functions to load.
        maps: names of the maps to hand back.
        multi: load for uprobe_multi links (Linux 6.6).
        variants: macros of which the first set is taken that the kernel accepts; SLEEPABLE=1 among them: the programs
            may sleep, MAY_GOTO=1: they have loops that the verifier need not count (Linux 6.9).
    """

    text: str
    flags: tuple[str, ...]
    programs: tuple[str, ...]
    maps: tuple[str, ...]
    multi: bool = True
    variants: tuple[dict[str, int], ...] = ({},)


class Compiler:
    """A child that is started early, so that BCC loads while the target is still being read."""

    def __init__(self) -> None:
        self._channel, inherited = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._child = subprocess.Popen(
            # -I: neither the caller's environment nor the current folder may change which bcc is loaded.
            [sys.executable, "-I", str(_CHILD), str(inherited.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[inherited.fileno()],
            # A Ctrl-C while we start is ours to answer.
            start_new_session=True,
        )
        inherited.close()

    def submit(self, program: Program) -> None:
        """Send the program; the child works on it while the caller goes on."""
        request = json.dumps(
            {
                "text": program.text,
                "flags": program.flags,
                "programs": program.programs,
                "maps": program.maps,
                "multi": program.multi,
                "variants": program.variants,
                "sys_bpf": machine().sys_bpf,
                "kernel_source": str(data_path("bpf/stubs")),
            }
        ).encode()
        with contextlib.suppress(OSError):  # a dead child is explained by result()
            self._channel.sendall(struct.pack("<I", len(request)) + request)

    def result(self) -> dict[str, int]:
        """Wait for the child and return name -> descriptor for every program and map.

        Raises:
            HostError: BCC is missing, or the kernel refuses the program.
            FuncrecError: the program does not compile (a fault of funcrec).
        """
        message, descriptors = self._receive()
        self._channel.close()
        self._child.wait()  # its log is complete then
        try:
            answer = json.loads(message) if message else {"failed": "child", "detail": "the compiler child died"}
            if "failed" in answer:
                raise self._explain(answer["failed"], answer["detail"])
            return dict(zip(answer["descriptors"], descriptors, strict=True))
        finally:
            self.close()

    def _receive(self) -> tuple[bytes, list[int]]:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, 1 << 20, _MAX_DESCRIPTORS)
            if len(data) < 4:
                return b"", []
            size = struct.unpack("<I", data[:4])[0]
            while len(data) < 4 + size:
                more = self._channel.recv(4 + size - len(data))
                if not more:
                    return b"", []
                data += more
        except OSError:
            return b"", []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return data[4:], descriptors

    def _explain(self, stage: str, detail: str) -> FuncrecError:
        self._log.seek(0)
        log = self._log.read().decode(errors="replace")
        error: FuncrecError
        if stage == "import":
            error = HostError(
                f"BCC's Python module cannot be loaded: {detail}",
                remedy="apt install python3-bpfcc (or your system's package of BCC)",
            )
        elif stage == "load" and ("not permitted" in detail or "not permitted" in log):
            error = HostError(
                "the kernel does not let this process load BPF programs",
                remedy="run as root, or with CAP_BPF and CAP_PERFMON (a container: and a seccomp profile with bpf)",
            )
        elif stage == "load" and ("too large" in log or "too complex" in log):
            error = HostError(
                f"the program is more than this kernel's verifier looks through: {_last_line(log)}",
                remedy="ask for less at once: a shorter --if, no ROOT or --min; or test it with --where on the trace",
            )
        elif stage == "load":
            error = HostError(
                f"the kernel refuses the BPF program: {_last_line(log) or detail}",
                remedy="funcrec doctor says what this kernel lacks; --debug shows the verifier's log",
            )
        elif "could not open bpf map" in log and os.strerror(errno.ENOMEM) in log:
            error = HostError(
                f"the kernel does not give the buffers: {os.strerror(errno.ENOMEM)}",
                remedy="choose a smaller --buffer",
            )
        else:
            error = HostError(
                f"BCC cannot compile the BPF program: {_first_error(log) or detail}",
                remedy="run again with --debug and report what it prints",
            )
        error.add_note(log)
        return error

    def close(self) -> None:
        """End the child; safe to call twice."""
        self._channel.close()
        self._child.wait()
        self._log.close()


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith("processed ")]
    return lines[-1].strip() if lines else ""


def _first_error(log: str) -> str:
    return next((line.strip() for line in log.splitlines() if "error:" in line), "")

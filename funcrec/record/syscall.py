"""System calls that Python and BCC have no function for, bpf() above all."""

import ctypes
from typing import Any

from funcrec.record.machine import machine

LINK_CREATE = 28  # enum bpf_cmd
_libc = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: Any) -> tuple[int, int]:
    """Return the call's result and the error number (0 when it did not fail)."""
    result = int(_libc.syscall(number, *arguments))
    return result, ctypes.get_errno() if result < 0 else 0


def bpf(command: int, attr: "ctypes.Structure | ctypes.Array[ctypes.c_char]") -> tuple[int, int]:
    """The same for a bpf() command, whose `union bpf_attr` is as long as that member of it."""
    return syscall(machine().sys_bpf, command, ctypes.byref(attr), ctypes.sizeof(attr))

"""The bpf() system call, for what BCC has no function for."""

import ctypes

_SYS_BPF = 321  # x86-64
_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attr: ctypes.Structure) -> tuple[int, int]:
    """Return the call's result and the error number (0 when it did not fail)."""
    result = int(_libc.syscall(_SYS_BPF, command, ctypes.byref(attr), ctypes.sizeof(attr)))
    return result, ctypes.get_errno() if result < 0 else 0

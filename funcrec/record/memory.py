"""What a recorder gives back once it is set up: it stays for hours beside the program that the machine is for."""

import ctypes
import gc


def give_back() -> None:
    """Return free memory to the system; the C library keeps what many small objects leave behind in its heap."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl keeps nothing
    if trim is not None:
        trim(0)

"""What a recorder gives back once it is set up: it stays for hours beside the program that the machine is for."""

import ctypes
import gc


def settle() -> None:
    """Say that what is there now stays: looking for garbage goes by it, which would keep the drain waiting."""
    gc.freeze()


def give_back() -> None:
    """Return free memory to the system: what the interpreter keeps for new objects, and the C library of freed ones."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl keeps nothing
    if trim is not None:
        trim(0)

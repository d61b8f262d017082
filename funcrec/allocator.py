"""The interpreter's memory in the hands of the C library: what it frees there goes back to the system page by page.

Python keeps small objects in arenas of 1 MiB (3.10, Objects/obmalloc.c), and one that is left holds all of an arena. A
recorder makes hundreds of thousands while it plans, and stays for hours.
"""

import os
import sys
from contextlib import suppress

_WHICH = "PYTHONMALLOC"
_MARK = "FUNCREC_ALLOCATOR"  # ours: the target must not inherit it, nor what goes with it


def use_plain() -> None:
    """Begin the process again with the C library's allocator, once; it can only be chosen before Python starts."""
    if os.environ.pop(_MARK, None):
        os.environ.pop(_WHICH, None)
    elif _WHICH not in os.environ and not sys.flags.ignore_environment and sys.executable:
        with suppress(OSError):
            os.execve(sys.executable, sys.orig_argv, {**os.environ, _WHICH: "malloc", _MARK: "1"})

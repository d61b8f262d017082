"""The CPUs of this machine, as far as rings have to know them."""

import os
from pathlib import Path

_PRESENT = Path("/sys/devices/system/cpu/present")


def slots(present: str | None = None) -> int:
    """One more than the highest number of a CPU that is there, online or not.

    A ring belongs to the number of a CPU: one that goes offline and comes back, or leaves a gap among the numbers, has
    a ring of its own all the same. Those that may be plugged in later share the rings of others.

    Args:
        present: ranges such as `0-3,8-11` (Linux Documentation/admin-guide/cputopology.rst); None: the kernel's.
    """
    try:
        ranges = _PRESENT.read_text() if present is None else present
        return int(ranges.strip().rpartition(",")[2].rpartition("-")[2]) + 1
    except (OSError, ValueError):
        return os.cpu_count() or 1

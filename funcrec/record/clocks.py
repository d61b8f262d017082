"""The clocks: read together, so that a trace can be joined with logs and with other traces; waited for.

Events have the kernel's own time (bpf_ktime_get_ns). In a time namespace (time_namespaces(7)) ours differs from it by
an offset that stays the same as long as we live.
"""

import time
from pathlib import Path

from funcrec.trace.records import ClockReading

_TRIES = 200
_AHEAD_NS = 20_000_000  # however memory of a map travels from CPU to CPU


def _shifts() -> dict[str, int]:
    """By how many ns our clocks are ahead of the kernel's; before Linux 5.6 there are no time namespaces."""
    shifts = {"monotonic": 0, "boottime": 0}
    try:
        lines = Path("/proc/self/timens_offsets").read_text().splitlines()
    except OSError:
        return shifts
    for clock, seconds, nanoseconds in map(str.split, lines):
        shifts[clock] = int(seconds) * 1_000_000_000 + int(nanoseconds)
    return shifts


_SHIFTS = _shifts()


def monotonic_ns() -> int:
    """The monotonic clock as events have it."""
    return time.monotonic_ns() - _SHIFTS["monotonic"]


def _read_once() -> tuple[int, ClockReading]:
    before = monotonic_ns()
    realtime = time.time_ns()
    boottime = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - _SHIFTS["boottime"]
    after = monotonic_ns()
    return after - before, ClockReading((before + after) // 2, boottime, realtime)


def moment() -> int:
    """A time (monotonic ns) a little ahead: a CPU that reads its clock later sees what is written into a map now."""
    return monotonic_ns() + _AHEAD_NS


def wait_until(time_ns: int) -> None:
    """Sleep until a time of the monotonic clock."""
    time.sleep(max(time_ns - monotonic_ns(), 0) / 1e9)


def read_clocks() -> ClockReading:
    """Return the three clocks as close together as can be: the tightest of many tries (below a microsecond)."""
    return min((_read_once() for _ in range(_TRIES)), key=lambda reading: reading[0])[1]

"""The clocks: read together, so that a trace can be joined with logs and with other traces; waited for."""

import time

from funcrec.trace.records import ClockReading

_TRIES = 200
_AHEAD_NS = 20_000_000  # however memory of a map travels from CPU to CPU


def _read_once() -> tuple[int, ClockReading]:
    before = time.monotonic_ns()
    realtime = time.time_ns()
    boottime = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    after = time.monotonic_ns()
    return after - before, ClockReading((before + after) // 2, boottime, realtime)


def moment() -> int:
    """A time (monotonic ns) a little ahead: a CPU that reads its clock later sees what is written into a map now."""
    return time.monotonic_ns() + _AHEAD_NS


def wait_until(time_ns: int) -> None:
    """Sleep until a time of the monotonic clock."""
    time.sleep(max(time_ns - time.monotonic_ns(), 0) / 1e9)


def read_clocks() -> ClockReading:
    """Return the three clocks as close together as can be: the tightest of many tries (below a microsecond)."""
    return min((_read_once() for _ in range(_TRIES)), key=lambda reading: reading[0])[1]

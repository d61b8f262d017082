"""Numbers as text, many at once: fixed-width byte columns made by numpy, one row per line."""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]

# The marks of the kernel's function_graph tracer.
MARKS = ((10**4, "+"), (10**5, "!"), (10**6, "#"), (10**7, "*"), (10**8, "@"), (10**9, "$"))
_LIMITS = np.array([limit for limit, _ in MARKS])
_UNITS = np.frombuffer(b"nsusmss ", dtype=np.uint8).reshape(4, 2)
_BLANK, _ZERO, _POINT = 32, 48, 46


def put_integers(field: Bytes, values: Numbers, *, zeros: bool = False) -> None:
    """Write non-negative integers right-aligned into a field of k rows; what does not fit loses its upper digits.

    Args:
        field: (k, width) bytes to fill.
        values: k numbers.
        zeros: fill with zeros instead of blanks.
    """
    rest = values
    width = field.shape[1]
    for column in range(width - 1, -1, -1):
        rest, digit = np.divmod(rest, 10) if column else (rest, rest % 10)
        field[:, column] = digit + _ZERO
    if not zeros:
        for column in range(width - 1):
            field[values < 10 ** (width - 1 - column), column] = _BLANK


def seconds_width(longest_ns: int) -> int:
    """Bytes that `put_seconds` needs for times up to `longest_ns`."""
    return max(len(str(longest_ns // 10**9)), 3) + 7


def put_seconds(field: Bytes, times_ns: Numbers) -> None:
    """Write times as seconds with six decimals, `  0.012004`."""
    micros = times_ns // 1000
    whole = micros // 10**6
    put_integers(field[:, :-7], whole)
    field[:, -7] = _POINT
    put_integers(field[:, -6:], micros - whole * 10**6, zeros=True)


def duration_width(longest_ns: int) -> int:
    """Bytes that `put_durations` needs for durations up to `longest_ns`."""
    rounded = (longest_ns + 500_000) // 10**9  # rounding can add a digit
    return max(len(str(rounded)), 3) + 7


def put_durations(field: Bytes, durations_ns: Numbers) -> None:
    """Write durations as `  1.900 us`; three decimals above 1 us, whole nanoseconds below."""
    # The unit is chosen after rounding, so that 999.9996 us is 1.000 ms.
    micros = (durations_ns + 500) // 1000
    unit = (durations_ns >= 1000).astype(np.int64)
    unit += durations_ns >= 10**6
    unit += micros >= 10**6
    # Thousandths of the unit.
    scaled = np.where(unit == 2, micros, durations_ns)
    scaled = np.where(unit == 3, (durations_ns + 500_000) // 10**6, scaled)
    whole = scaled // 1000
    put_integers(field[:, :-7], whole)
    field[:, -7] = _POINT
    put_integers(field[:, -6:-3], scaled - whole * 1000, zeros=True)
    small = np.flatnonzero(unit == 0)
    if len(small):
        digits = np.empty((len(small), field.shape[1] - 3), dtype=np.uint8)
        put_integers(digits, durations_ns[small])
        field[small, :-3] = digits
    field[:, -3] = _BLANK
    field[:, -2:] = _UNITS[unit]


def mark_of(durations_ns: Numbers) -> NDArray[np.intp]:
    """Number of the mark of each duration: 0 for none, else 1 + its place in MARKS."""
    return np.searchsorted(_LIMITS, durations_ns, side="right")

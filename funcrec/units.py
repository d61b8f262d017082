"""Durations, sizes and addresses: parse what people type, print what people read."""

import math
import re

from funcrec.errors import UsageError

_DURATION_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_SIZE_BYTES = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", start=1):
    for _suffix in (_letter, _letter + "b", _letter + "ib"):
        _SIZE_BYTES[_suffix] = 1024**_power

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµμ]*)")


def _split(text: str, what: str, example: str) -> tuple[str, str]:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"'{text}' is not a {what}", remedy=f"write a number and a unit, such as {example}")
    return match.group(1), match.group(2)


def _scale(number: str, factor: int) -> int:
    """number x factor in exact integer arithmetic, rounded half up; number is decimal text."""
    whole, _, fraction = number.partition(".")
    scaled = int(whole + fraction) * factor
    divisor: int = 10 ** len(fraction)
    return (2 * scaled + divisor) // (2 * divisor)


def parse_duration_ns(text: str) -> int:
    """Parse `1ms`, `2.5us`, `10s`, `1m` into nanoseconds; a bare number only when it is 0.

    Raises:
        UsageError: no number, no unit or an unknown one.
    """
    number, unit = _split(text, "duration", "1ms, 2.5us or 10s")
    if unit == "" and float(number) == 0:
        return 0
    factor = _DURATION_NS.get(unit.lower())
    if factor is None:
        raise UsageError(
            f"'{text}' has {'no unit' if unit == '' else f'an unknown unit {unit!r}'}",
            remedy="use ns, us, ms, s, m or h, such as 1ms",
        )
    return _scale(number, factor)


def parse_size_bytes(text: str) -> int:
    """Parse `64M`, `4KB`, `1GiB` or plain bytes; K is 1024.

    Raises:
        UsageError: no number or an unknown unit.
    """
    number, unit = _split(text, "size", "64M or 4KB")
    factor = _SIZE_BYTES.get(unit.lower())
    if factor is None:
        raise UsageError(
            f"'{text}' has an unknown unit {unit!r}", remedy="use B, KB, MB, GB or TB (1 KB is 1024 bytes)"
        )
    return _scale(number, factor)


def parse_percent(text: str) -> float:
    """Parse `25%` or `25`; more than 100 is allowed.

    Raises:
        UsageError: no number above 0.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%?", text.strip())
    if match is None or not 0 < float(match.group(1)) < math.inf:
        raise UsageError(f"'{text}' is not a percentage", remedy="write a number such as 25%")
    return float(match.group(1))


def format_duration(ns: int | float) -> str:
    """`1.234 ms`: three decimals above 1 us, whole nanoseconds below; always 'NUMBER UNIT'."""
    if ns < 1000:
        return f"{int(ns)} ns"
    for unit, factor in (("us", 10**3), ("ms", 10**6)):
        if ns < factor * 1000:
            return f"{ns / factor:.3f} {unit}"
    return f"{ns / 10**9:.3f} s"


def format_size(size: int | float) -> str:
    """`12.4 MB` with K = 1024; whole bytes below 1 KB."""
    if size < 1024:
        return f"{int(size)} B"
    power = min(int(math.log(size, 1024)), 4)
    return f"{size / 1024**power:.1f} {' KMGT'[power]}B"


def format_count(n: int) -> str:
    """`1 234 567`: digits grouped by three with a plain blank."""
    return f"{n:,}".replace(",", " ")

"""JSON forms of single values, as the machine contract has them: texts, numbers, addresses, times."""

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

Json = Any
SIGN = 1 << 63


def signed(word: int) -> int:
    """The word as a signed 64-bit integer."""
    return word - (1 << 64) if word & SIGN else word


def address_form(pointer: int) -> Json:
    """JSON form of what is known by its address alone."""
    return {"$ptr": f"{pointer:#x}"}


def characters_form(data: bytes, *, cut: bool = False) -> Json:
    """Text, or its bytes when they are not UTF-8; a character that the cap cut in half is left out."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if cut and error.start >= len(data) - 3 and error.reason == "unexpected end of data":
            return data[: error.start].decode()
        return {"$hex": data.hex()}


def text_form(data: bytes, length: int) -> Json:
    """JSON form of text of `length` bytes of which `data` was captured."""
    if len(data) == length:
        return characters_form(data)
    return {"$truncated": length, "value": characters_form(data, cut=True)}


def float_form(data: bytes) -> Json:
    """JSON form of a float of 4 or 8 bytes; a float32 has the shortest digits that give it back."""
    value = struct.unpack("<f" if len(data) == 4 else "<d", data)[0]
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return float(str(np.float32(value))) if len(data) == 4 else value


RAW_FORMS: dict[str, Callable[[bytes], Json]] = {
    "u": lambda data: int.from_bytes(data, "little"),
    "s": lambda data: int.from_bytes(data, "little", signed=True),
    "x": lambda data: f"{int.from_bytes(data, 'little'):#x}",
    "f": float_form,
    "c": lambda data: characters_form(data.split(b"\0", 1)[0], cut=b"\0" not in data),
    "bool": lambda data: data != b"\0",
}

# Seconds from year 1 to 1970 and to 1885, where the compact form of time.Time counts from (Go src/time/time.go).
_UNIX_FROM_YEAR_1 = 62_135_596_800
_UNIX_FROM_1885 = 2_682_288_000


def time_form(wall: int, ext: int) -> str:
    """RFC 3339 with nanoseconds, in UTC, of the two words of a time.Time."""
    nanoseconds = wall & ((1 << 30) - 1)
    seconds = ((wall & (SIGN - 1)) >> 30) - _UNIX_FROM_1885 if wall & SIGN else ext - _UNIX_FROM_YEAR_1
    days, rest = divmod(seconds, 86_400)
    year, month, day = _civil(days)
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}{fraction}Z"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month, day of a day number from 1970, in the Gregorian calendar of any year: years begin in March here, so
    that the leap day is the last one."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1

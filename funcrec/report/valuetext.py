"""Values as one line of text for people: Go-like, short, and harmless to a terminal."""

import json
from typing import Any

from funcrec.report.text import printable

Json = Any

_MAX_CHARACTERS = 200  # of one call's arguments or results
_MAX_TEXT = 60  # of one text inside
_MAX_PARTS = 8  # fields or elements shown of one value


def format_values(values: dict[str, Json], *, limit: int = _MAX_CHARACTERS) -> str:
    """`id=42, name="zhang", err=nil`: the values of one side of a call, cut to about `limit` characters."""
    parts: list[str] = []
    used = 0
    for name, value in values.items():
        text = f"{printable(name)}={format_value(value)}"
        if parts and used + len(text) > limit:
            parts.append("…")
            break
        parts.append(text)
        used += len(text) + 2
    return ", ".join(parts)


def format_value(value: Json, depth: int = 0) -> str:
    """One value in the JSON forms of the machine contract, as text without control characters."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return "[" + _some([format_value(item, depth + 1) for item in value[: _MAX_PARTS + 1]]) + "]"
    return _special(value, depth) or _fields(value, depth)


def _special(value: dict[str, Json], depth: int) -> str:
    if "$error" in value:
        return f"<{printable(str(value['$error']))}>"
    if "$ptr" in value:
        return printable(str(value.get("$func", value["$ptr"])))
    if "$len" in value:
        return f"map({value['$len']})"
    if "$hex" in value:
        return _bytes(str(value["$hex"]))
    if "$truncated" in value:
        length = value["$truncated"]
        return f"{format_value(value.get('value'), depth)}…({'?' if length is None else length})"
    if "$type" in value:
        return f"{printable(str(value['$type']))}({format_value(value.get('value'), depth + 1)})"
    return ""


def _bytes(digits: str) -> str:
    """Bytes as text where they are printable, else in hexadecimal."""
    try:
        text = bytes.fromhex(digits).decode("ascii")
    except (ValueError, UnicodeDecodeError):
        text = ""
    if text.isprintable() and (text or not digits):
        return "b" + _quoted(text)
    return "0x" + printable(digits if len(digits) <= _MAX_TEXT else digits[:_MAX_TEXT] + "…")


def _quoted(text: str) -> str:
    cut = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT]
    quoted = json.dumps(cut, ensure_ascii=False)
    return printable(quoted) + ("…" if cut is not text else "")


def _fields(value: dict[str, Json], depth: int) -> str:
    if depth > 3:
        return "{…}"
    shown = [
        f"{printable(name)}:{format_value(part, depth + 1)}" for name, part in list(value.items())[: _MAX_PARTS + 1]
    ]
    return "{" + _some(shown) + "}"


def _some(parts: list[str]) -> str:
    return ", ".join([*parts[:_MAX_PARTS], "…"] if len(parts) > _MAX_PARTS else parts)

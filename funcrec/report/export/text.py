"""JSON for viewers: compact, strict, with texts that cannot act on whoever shows them."""

import json
from typing import Any

from funcrec.report.text import json_safe, printable


def printable_tree(value: Any) -> Any:
    """`printable` for every text and key in a JSON value."""
    match value:
        case str():
            return printable(value)
        case dict():
            return {printable(key): printable_tree(item) for key, item in value.items()}
        case list():
            return [printable_tree(item) for item in value]
        case _:
            return value


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def to_json(value: Any) -> str:
    """Compact JSON that a terminal can take too; NaN and infinities are an error, since no consumer takes them."""
    return json_safe(_ENCODER.encode(value))

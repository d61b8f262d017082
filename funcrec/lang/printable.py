"""Text that a terminal can take: names, paths and values come from programs and files that nobody vouches for."""

import json
import re

# C0 and C1 controls, line separators, bidirectional overrides, invisible characters and tags, and lone surrogates: what
# can move a cursor, hide text or break a line. Names, paths and values come from the traced program: not trusted.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape_json(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1]


def printable(text: str) -> str:
    """Return text that stays on its line and moves no cursor: unsafe characters become `\\x1b` or `\\u202e`."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escape, text)


def json_safe(text: str) -> str:
    """Return JSON text that a terminal can take too: unsafe characters as `\\u` escapes, the meaning unchanged."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape_json, text)

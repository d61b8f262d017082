"""Text that does harm where it is not escaped: one corpus for every view and export, and what must not come out."""

import unicodedata

CONTROLS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
STRINGS = (
    "",
    " ",
    "plain",
    # Terminals: colours, titles, cursor, clipboard, hyperlinks, 8-bit controls, bell and backspace, a faked prompt.
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]52;c;ZWNobyBoaQ==\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[1;1H",
    "\x9b31mC1",
    "\x9d0;x\x9c",
    "a\x08\x08\x08b\x7f",
    "x\rfuncrec: 0 lost",
    "line\nfake line 1 ms main.main",
    "next\x85line\u2028para\u2029",
    "tab\tand\x0b\x0c",
    CONTROLS,
    # Direction overrides, invisible characters, combining marks, width.
    "\u202egnp.exe",
    "\u2066abc\u2069\u2067",
    "zero\u200bwidth\u200d\ufeff\u2060",
    "\u061calm",
    "Z" + "\u0300" * 100,
    "\U000e0041\U000e0042 tags",
    "漢字🙂\U0010ffff",
    "\ufffe\uffff",
    # Bytes that are not UTF-8 arrive as lone surrogates.
    "\udcff\udc80",
    "\ud800",
    # HTML, SVG, JSON inside a script element.
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "-->",
    "]]>",
    "<img src=x onerror=alert(1)>",
    "\"><svg/onload=alert(1)>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "&lt;b&gt;&amp;&#0;",
    "`${alert(1)}`",
    "\\u003cscript\\u003e",
    # Spreadsheets.
    "=cmd|'/C calc'!A0",
    "+1+1",
    "-2+3+cmd",
    "@SUM(1+1)",
    "\t=1+1",
    "\r=1+1",
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    'quote " comma , semi ; "" end',
    # JSON, SQL, shells, format strings, paths, folded stacks.
    '{"$error":"x"}',
    '"}],"traceEvents":[{"ph":"X"',
    "\\",
    '\\"',
    "'; DROP TABLE calls; --",
    '" OR 1=1 --',
    "calls",
    "$(reboot)`reboot`;reboot|reboot&",
    "%s%n%d%%{0}{x.__class__}",
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\boot.ini",
    "a/b\0c",
    "CON",
    "-rf",
    "--output=/etc/passwd",
    "main.a;main.b 100",
    "name 12345",
    "[bold]rich[/bold] :smile:",
    "__proto__",
    "constructor",
    "x" * 70_000,
)  # fmt: skip

_BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_INVISIBLE = set("\u061c\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u3164")


def harmful(text: str) -> set[str]:
    """Characters that must not reach a terminal: they move the cursor, turn the direction, hide text or end a line.

    Line feeds are let through: whoever knows how many lines there must be compares that.
    """
    return {
        character
        for character in set(text) - {"\n"}
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in _BIDI
        or character in _INVISIBLE
        or 0xE0000 <= ord(character) < 0xE0080
    }

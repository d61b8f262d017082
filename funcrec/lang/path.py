"""Paths to a value inside another, as Go source writes them: `req.URL.Path`, `s.items[0].id`, `*p`, `len(b)`.

Only the words: types are checked where they are known. Record resolves paths against debug information, report
against the types in the trace.
"""

import re
from dataclasses import dataclass

from funcrec.errors import UsageError

_TOKEN = re.compile(r"\s*(?:(?P<name>[^\W\d][\w$~·]*|~[rp]\d+|\.dict)|(?P<index>\[\s*\d+\s*\])|(?P<dot>\.))")
_FUNCTION = re.compile(r"\s*(len|cap)\s*\(")


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path.

    Attributes:
        root: name of the parameter, result or captured variable.
        steps: field names and indexes, in order.
        dereferences: number of leading `*`, applied last.
        function: "", "len" or "cap", applied after everything else.
    """

    root: str
    steps: tuple[str | int, ...] = ()
    dereferences: int = 0
    function: str = ""

    def __str__(self) -> str:
        inner = "*" * self.dereferences + self.root
        inner += "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)
        return f"{self.function}({inner})" if self.function else inner


def _malformed(text: str, why: str) -> UsageError:
    return UsageError(
        f"'{text}' is not a value: {why}", remedy="write a path such as req.URL.Path, s.items[0].id, *p or len(b)"
    )


def parse_path(text: str) -> Path:
    """Parse one path; blanks are allowed between its words.

    Raises:
        UsageError: it is not of that form.
    """
    rest, function = text.strip(), ""
    call = _FUNCTION.match(rest)
    if call:
        if not rest.endswith(")"):
            raise _malformed(text, "')' is missing")
        function, rest = call.group(1), rest[call.end() : -1].strip()
    stars = 0
    while rest.startswith("*"):
        stars, rest = stars + 1, rest[1:].lstrip()
    if stars and rest.startswith("(") and rest.endswith(")"):
        rest = rest[1:-1].strip()
    root, steps = _walk(text, rest)
    return Path(root, steps, stars, function)


def _walk(text: str, rest: str) -> tuple[str, tuple[str | int, ...]]:
    words: list[str | int] = []
    position, wants_name = 0, True
    while position < len(rest):
        match = _TOKEN.match(rest, position)
        if match is None:
            raise _malformed(text, f"unexpected '{rest[position:].strip()[:1]}'")
        position = match.end()
        if match["name"]:
            if not wants_name:
                raise _malformed(text, f"a '.' is missing before '{match['name']}'")
            words.append(match["name"])
            wants_name = False
        elif wants_name:
            raise _malformed(text, "a name is missing")
        elif match["dot"]:
            wants_name = True
        else:
            words.append(int(match["index"].strip("[] \t")))
    if wants_name:
        raise _malformed(text, "a name is missing" if words else "it is empty")
    return str(words[0]), tuple(words[1:])

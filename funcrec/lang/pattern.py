"""Function patterns: which names a user means, and which values were asked for along with them.

Go names hold `*`, `[`, `(` and `/`, so this is neither fnmatch nor a shell glob: only `*` and `?` are special, `*`
crosses slashes, and the star of a receiver, `(*T)`, is itself. Values asked for are kept as text; who fetches them
parses it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from funcrec.errors import UsageError
from funcrec.lang.names import unescape, without_type_arguments

KINDS = ("glob", "regex")
_RECEIVER = re.compile(r"\(\*(?=\w)")
_EXAMPLE = "write it like 'main.(*Student).String(s.name) -> (r0)'"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed PATTERN: `[!]GLOB[(FETCH, ...)][ -> (FETCH, ...)]`.

    Attributes:
        text: as written.
        glob: the part that names functions.
        kind: `glob` or `regex`.
        exclude: True for `!`.
        arguments, results: the text between the parentheses; None where there are none.
    """

    text: str
    glob: str
    kind: str = "glob"
    exclude: bool = False
    arguments: str | None = None
    results: str | None = None
    _match: Callable[[str], bool] = field(default=lambda _: False, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, kind: str = "glob") -> "Pattern":
        """Parse what was given to -u or as ROOT.

        With kind `regex` parentheses are part of the expression: a blank must stand before a list of values.

        Raises:
            UsageError: empty, unbalanced, an exclusion with values, or not a regular expression.
        """
        if kind not in KINDS:
            raise UsageError(f"unknown kind of pattern {kind!r}", remedy="use --match glob or --match regex")
        rest = text.strip()
        exclude = rest.startswith("!")
        rest = rest[1:].strip() if exclude else rest
        rest, results = _split_results(rest, text)
        glob, arguments = _split_arguments(rest, text, needs_blank=kind == "regex")
        if not glob:
            raise UsageError(f"pattern {text!r} names no function", remedy=_EXAMPLE)
        if exclude and (arguments is not None or results is not None):
            raise UsageError(
                f"pattern {text!r} excludes functions and asks for their values", remedy=f"write '!{glob}' alone"
            )
        match = compile_glob(glob) if kind == "glob" else _compile_regex(glob)
        return cls(text, glob, kind, exclude, arguments, results, match)

    @property
    def exact_name(self) -> str | None:
        """The display name that it stands for when it has no wildcard; None when it has one or is an expression."""
        if self.kind != "glob" or _has_wildcard(self.glob):
            return None
        return _plain(self.glob)

    def matches(self, name: str) -> bool:
        """True when it names this function; escapes and type arguments may be written or left out."""
        return self._match(name)

    def select(self, names: Sequence[str]) -> list[int]:
        """Positions of the matching names, in order. Fast enough for 100,000 names."""
        piece = _longest_literal(self.glob) if self.kind == "glob" else ""
        match = self._match
        return [
            index
            for index, name in enumerate(names)
            # A name without the longest literal piece cannot match, unless its other forms are to be tried.
            if (piece in name or "[" in name or "%" in name) and match(name)
        ]


def compile_glob(glob: str) -> Callable[[str], bool]:
    """A function that tells whether a name matches a glob.

    `*` is any run of characters, `?` any single one; everything else stands for itself. `(*T)` is literal. A glob that
    ends in `/*` takes the package before it and all packages below. `%2e` and `.` are the same on both sides, `·` is a
    dot, and a generic name also matches without its type arguments or with `[...]` in their place.

    Args:
        glob: the pattern, without `!` and without values.
    """
    glob = _plain(glob)
    if not _has_wildcard(glob):
        return lambda name: glob == name or any(glob == form for form in _other_forms(name))
    match = re.compile(_translate(glob), re.DOTALL).fullmatch
    return lambda name: match(name) is not None or any(match(form) for form in _other_forms(name))


def _plain(text: str) -> str:
    return unescape(text).replace("·", ".")


def _has_wildcard(glob: str) -> bool:
    rest = _RECEIVER.sub("(", glob)
    return "*" in rest or "?" in rest


def _translate(glob: str) -> str:
    tail = ""
    if glob.endswith("/*"):
        glob, tail = glob[:-2], "[./].*"
    parts = []
    at = 0
    while at < len(glob):
        if _RECEIVER.match(glob, at):
            parts.append(r"\(\*")
            at += 2
            continue
        letter = glob[at]
        if letter == "*":
            parts.append("" if parts and parts[-1] == ".*" else ".*")
        else:
            parts.append("." if letter == "?" else re.escape(letter))
        at += 1
    return "".join(parts) + tail


def _compile_regex(text: str) -> Callable[[str], bool]:
    try:
        search = re.compile(text).search
    except re.error as error:
        raise UsageError(
            f"pattern {text!r} is not a regular expression: {error}", remedy="correct it, or use --match glob"
        ) from error
    return lambda name: search(name) is not None or any(search(form) for form in _other_forms(name))


def _other_forms(name: str) -> list[str]:
    """What else a name may be called: unescaped, and without its type arguments."""
    forms = []
    if "%" in name or "·" in name:
        name = _plain(name)
        forms.append(name)
    if "[" in name:
        forms += [without_type_arguments(name), without_type_arguments(name, "[...]")]
    return forms


def _longest_literal(glob: str) -> str:
    glob = _plain(glob)
    if glob.endswith("/*"):
        glob = glob[:-2]
    return max(re.split(r"[*?]", glob), key=len)


def _split_results(rest: str, text: str) -> tuple[str, str | None]:
    """Cut ` -> (...)` off the end."""
    head, arrow, tail = rest.rpartition("->")
    if not arrow or tail.count("]") > tail.count("["):  # an arrow inside brackets belongs to a type argument
        return rest, None
    tail = tail.strip()
    if not (tail.startswith("(") and tail.endswith(")") and _opening(tail) == 0):
        raise UsageError(f"pattern {text!r}: what follows -> is not a list in parentheses", remedy=_EXAMPLE)
    return head.strip(), tail[1:-1].strip()


def _split_arguments(rest: str, text: str, *, needs_blank: bool) -> tuple[str, str | None]:
    """Cut `(...)` off the end, unless it is the receiver of a method or part of a regular expression."""
    if not rest.endswith(")"):
        if not needs_blank and rest.count("(") != rest.count(")"):
            raise UsageError(f"pattern {text!r} has unbalanced parentheses", remedy=_EXAMPLE)
        return rest, None
    start = _opening(rest)
    if needs_blank and (start is None or rest[:start].rstrip() == rest[:start]):
        return rest, None
    if start is None:
        raise UsageError(f"pattern {text!r} has unbalanced parentheses", remedy=_EXAMPLE)
    glob = rest[:start].rstrip()
    if glob.endswith("."):  # `main.(*T)`: the receiver of a method that was not named
        return rest, None
    return glob, rest[start + 1 : -1].strip()


def _opening(text: str) -> int | None:
    """Position of the parenthesis that the last one closes, None when there is none."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return None

"""Texts among the values of calls: compared and matched as far as they were recorded.

Names of functions have rules of their own (`funcrec.lang.pattern`); any other text is just characters.
"""

import re
from collections.abc import Callable

HOLDS, FAILS, UNKNOWN = 1, 2, 0
MARK = "…"


class CutText(str):
    """The beginning of a text whose rest was not recorded, with a mark behind it. It equals no whole text."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CutText) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((CutText, str(self)))

    @property
    def beginning(self) -> str:
        """What is known of it."""
        return self[: -len(MARK)]


def matcher(glob: str) -> Callable[[str], int]:
    """A function that tells whether a text matches a glob: HOLDS, FAILS, or UNKNOWN when that depends on what was cut.

    `*` is any run of characters, `?` any single one; everything else stands for itself, as `record --if` has it.

    Args:
        glob: the pattern.
    """
    parts = re.split(r"([*?])", glob)
    fits = re.compile("".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts), re.DOTALL).fullmatch

    def match(text: str) -> int:
        if not isinstance(text, CutText):
            return HOLDS if fits(text) else FAILS
        known, first = text.beginning, parts[0]
        if not known.startswith(first) and not first.startswith(known):
            return FAILS
        return HOLDS if glob.endswith("*") and fits(known) else UNKNOWN

    return match


def undecided(one: str, other: str) -> bool:
    """Whether the order of two texts depends on what was cut off one of them."""
    if not isinstance(one, CutText) and not isinstance(other, CutText):
        return False
    a, b = (text.beginning if isinstance(text, CutText) else text for text in (one, other))
    return (isinstance(one, CutText) and b.startswith(a)) or (isinstance(other, CutText) and a.startswith(b))

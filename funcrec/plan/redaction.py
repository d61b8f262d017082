"""--redact: values that are never written into a trace, by name. Pure.

A name stands for parameters, results, captured variables, fields at any depth, and whole values as they are written in
a pattern. Types are seen through `RedactedTypes`, where such a field has a type of no content: whoever plans reads from
it sees nothing to follow, whoever decodes sees that it was redacted. Letters are compared whatever their case.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from funcrec.errors import UsageError
from funcrec.lang.path import Path
from funcrec.lang.pattern import compile_glob
from funcrec.lang.types import REDACTED, GoType, Kind, TypeTable, to_row

MAX_MASKED_WORDS = 64  # of one value; what lies behind more is not read at all

Span = tuple[int, int]  # offset, bytes


class Redaction:
    """Which names are redacted.

    Args:
        names: as typed: names, paths or globs.

    Raises:
        UsageError: one of them is empty.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        for name in names:
            if not name.strip("* \t"):
                raise UsageError(f"--redact '{name}' names nothing", remedy="name a value, or use --no-values")
        # Of a path, the field at its end is hidden wherever it is: rather too much than what came along with the whole.
        words = [word for name in names for word in (name, name.rpartition(".")[2]) if word.strip("* \t")]
        self._tests: list[Callable[[str], bool]] = [compile_glob(word.strip().lower()) for word in words]

    def __bool__(self) -> bool:
        return bool(self._tests)

    def hides(self, *names: str) -> bool:
        """Whether any of these names is to be redacted."""
        return any(test(name.lower()) for name in names for test in self._tests)

    def hides_path(self, written: str, path: Path) -> bool:
        """Whether a path leads to or through a redacted name."""
        words = [word for word in (path.root, *path.steps) if isinstance(word, str)]
        whole = str(replace(path, dereferences=0, function=""))
        prefixes = [str(Path(path.root, path.steps[:count])) for count in range(len(path.steps) + 1)]
        return self.hides(written, whole, *prefixes, *words)


class RedactedTypes(TypeTable):
    """A table of types as a redaction leaves it: numbers stay what they are."""

    def __init__(self, types: TypeTable, redaction: Redaction) -> None:
        super().__init__()
        self._types = types
        self._redaction = redaction
        self._seen: dict[int, GoType] = {}
        self._blanks: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._types)

    def __getitem__(self, number: int) -> GoType:
        seen = self._seen.get(number)
        if seen is None:
            seen = self._types[number]
            # A time is decoded from its words, whatever they are called.
            if (
                seen.kind is Kind.STRUCT
                and seen.name != "time.Time"
                and any(self._redaction.hides(field.name) for field in seen.fields)
            ):
                fields = [
                    replace(field, type=self.blank(self._types[field.type].size))
                    if self._redaction.hides(field.name)
                    else field
                    for field in seen.fields
                ]
                seen = replace(seen, fields=tuple(fields))
            self._seen[number] = seen
        return seen

    def blank(self, size: int) -> int:
        """The number of the type that shows nothing of a value of some bytes."""
        if size not in self._blanks:
            self._blanks[size] = self._types.add(replace(REDACTED, size=size))
        return self._blanks[size]

    def add(self, row: GoType) -> int:
        """Append a type to the table behind this one."""
        return self._types.add(row)

    def export(self) -> list[dict[str, Any]]:
        """Rows for a trace, as they may be seen."""
        rows = self._types.export()
        for number, type_ in self._seen.items():
            rows[number] = to_row(type_)
        return rows


def redacted_spans(types: TypeTable, number: int) -> tuple[list[Span], int]:
    """What of a value must not be stored.

    Returns:
        (spans, size): spans of inline bytes, and how many bytes of the value may be read when they are erased.
    """
    spans: list[Span] = []
    size = _collect(types, types[number], 0, spans, [MAX_MASKED_WORDS])
    return spans, types[number].size if size is None else size


def _collect(types: TypeTable, type_: GoType, base: int, spans: list[Span], left: list[int]) -> int | None:
    """Add the spans of a part; returns where reading must end when they become too many."""
    if is_redacted(type_):
        left[0] -= -(-type_.size // 8)
        if left[0] < 0:
            return base
        if type_.size:
            spans.append((base, type_.size))
    elif type_.kind is Kind.STRUCT:
        for part in type_.fields:
            end = _collect(types, types[part.type], base + part.offset, spans, left)
            if end is not None:
                return end
    elif type_.kind is Kind.ARRAY and _holds_redacted(types, types[type_.elem]):
        elem = types[type_.elem]
        for index in range(type_.count):
            end = _collect(types, elem, base + index * elem.size, spans, left)
            if end is not None:
                return end
    return None


def _holds_redacted(types: TypeTable, type_: GoType) -> bool:
    if type_.kind is Kind.STRUCT:
        return any(_holds_redacted(types, types[part.type]) for part in type_.fields)
    return _holds_redacted(types, types[type_.elem]) if type_.kind is Kind.ARRAY else is_redacted(type_)


def is_redacted(type_: GoType) -> bool:
    """Whether a type stands for a redacted value."""
    return type_.kind is Kind.OPAQUE and type_.name == REDACTED.name


def masks(spans: list[Span], base: int = 0) -> list[tuple[int, int]]:
    """(offset, mask) of the 8-byte words that erase spans: what is kept of each word."""
    found = []
    for offset, size in spans:
        for at in range(0, size, 8):
            part = min(size - at, 8)
            found.append((base + offset + at, ~((1 << 8 * part) - 1) % (1 << 64)))
    return found

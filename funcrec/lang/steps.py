"""A path through a value, checked against types: the steps that both the recorder and the reader walk."""

import difflib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from funcrec.errors import UsageError
from funcrec.lang.path import Path
from funcrec.lang.types import GoType, Kind, TypeTable

MAX_STEPS = 64


class StepKind(StrEnum):
    """What a step does; the letters are written into traces."""

    FIELD = "f"  # a part at a fixed offset: a field, or an element of an array
    DEREFERENCE = "d"  # what the pointer points to
    INDEX = "i"  # an element of a slice
    LENGTH = "l"
    CAPACITY = "c"


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        kind: see StepKind.
        type: number of the type arrived at; -1 for lengths and capacities, which are integers.
        offset: bytes, of a FIELD; of the element inside the slice's array for an INDEX.
        index: of an INDEX.
    """

    kind: StepKind
    type: int = -1
    offset: int = 0
    index: int = 0

    def row(self) -> list[Any]:
        """As msgpack-able data."""
        return [str(self.kind), self.type, self.offset, self.index]


def step_from_row(row: Any, types: int) -> Step:
    """Read a step back.

    Raises:
        ValueError: malformed, or a type outside the table.
    """
    if not (isinstance(row, list) and len(row) == 4 and all(type(number) is int for number in row[1:])):
        raise ValueError("a step is malformed")
    kind, type_, offset, index = StepKind(row[0]), row[1], row[2], row[3]
    ends = kind in (StepKind.LENGTH, StepKind.CAPACITY)
    if not (-1 if ends else 0) <= type_ < types or not 0 <= offset < 1 << 62 or not 0 <= index < 1 << 31:
        raise ValueError("a step is out of range")
    return Step(kind, type_, offset, index)


def resolve(types: TypeTable, number: int, path: Path) -> list[Step]:
    """Check the steps of a path that starts at a value of a type.

    Raises:
        UsageError: a field does not exist (with near matches), or the type has no such operation.
    """
    steps: list[Step] = []
    for word in path.steps:
        number = (
            _index(types, number, word, path, steps)
            if isinstance(word, int)
            else _field(types, number, word, path, steps)
        )
        if number < 0:
            if word is not path.steps[-1] or path.dereferences or path.function:
                raise _wrong(path, "nothing follows a length")
            return steps
    for _ in range(path.dereferences):
        if types[number].kind is not Kind.POINTER:
            raise _wrong(path, f"'{types[number].name}' is not a pointer")
        number = types[number].elem
        steps.append(Step(StepKind.DEREFERENCE, number))
    if path.function:
        _length(types, number, path.function, path, steps)
    return steps


def _wrong(path: Path, why: str) -> UsageError:
    return UsageError(f"'{path}': {why}", remedy="funcrec list shows the types of a function's values")


def _through_pointers(types: TypeTable, number: int, steps: list[Step]) -> int:
    while types[number].kind is Kind.POINTER and len(steps) < MAX_STEPS:
        number = types[number].elem
        steps.append(Step(StepKind.DEREFERENCE, number))
    return number


_LENGTHS = {"len": StepKind.LENGTH, "cap": StepKind.CAPACITY}
_MEASURED = {
    "len": (Kind.STRING, Kind.SLICE, Kind.MAP, Kind.CHAN),
    "cap": (Kind.SLICE, Kind.CHAN),
}


def _length(types: TypeTable, number: int, function: str, path: Path, steps: list[Step]) -> None:
    if types[number].kind not in _MEASURED[function]:
        raise _wrong(path, f"'{types[number].name}' has no {function}")
    steps.append(Step(_LENGTHS[function]))


def _field(types: TypeTable, number: int, name: str, path: Path, steps: list[Step]) -> int:
    number = _through_pointers(types, number, steps)
    type_ = types[number]
    if name in _LENGTHS and type_.kind in _MEASURED[name]:
        steps.append(Step(_LENGTHS[name]))
        return -1
    if type_.kind in (Kind.IFACE, Kind.EFACE):
        raise _wrong(
            path, f"what is inside the interface '{type_.name}' is known only at run time; fetch it as a whole"
        )
    found = _promoted(types, number, name)
    if found is None:
        known = [field.name for field in type_.fields]
        near = difflib.get_close_matches(name, known, 3, 0.5) or known[:8]
        hint = f"; it has {', '.join(near)}" if near else ""
        raise _wrong(path, f"'{type_.name}' has no field '{name}'{hint}")
    steps.extend(found)
    return found[-1].type


def _promoted(types: TypeTable, number: int, name: str) -> list[Step] | None:
    """Steps to a field, its own or one promoted from an embedded field: the shallowest wins, as in Go."""
    level: list[tuple[GoType, list[Step]]] = [(types[number], [])]
    seen = {number}
    while level:
        deeper: list[tuple[GoType, list[Step]]] = []
        for type_, steps in level:
            for field in type_.fields:
                reached = [*steps, Step(StepKind.FIELD, field.type, field.offset)]
                if field.name == name:
                    return reached
                if not field.embedded or field.type in seen:
                    continue
                seen.add(field.type)
                inner = types[field.type]
                if inner.kind is Kind.POINTER:
                    reached.append(Step(StepKind.DEREFERENCE, inner.elem))
                    inner = types[inner.elem]
                deeper.append((inner, reached))
        level = deeper
    return None


def _index(types: TypeTable, number: int, index: int, path: Path, steps: list[Step]) -> int:
    type_ = types[number]
    if type_.kind is Kind.POINTER and types[type_.elem].kind is Kind.ARRAY:
        number = _through_pointers(types, number, steps)
        type_ = types[number]
    if type_.kind not in (Kind.ARRAY, Kind.SLICE):
        raise _wrong(path, f"'{type_.name}' cannot be indexed here")
    offset = index * types[type_.elem].size
    if type_.kind is Kind.ARRAY:
        if index >= type_.count:
            raise _wrong(path, f"index {index} is outside '{type_.name}'")
        steps.append(Step(StepKind.FIELD, type_.elem, offset))
    elif index > 0xFFFF:
        raise _wrong(path, f"index {index} is above 65535")
    else:
        steps.append(Step(StepKind.INDEX, type_.elem, offset, index))
    return type_.elem

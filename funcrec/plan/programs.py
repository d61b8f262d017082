"""Types to the tables of the machine in bpf/values.h: which words of a value are pointers, and what they point to.

Pure: rows of numbers, no kernel. A program reads one element of a type; its references say which words to follow.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from funcrec.errors import UsageError
from funcrec.lang.steps import Step, StepKind
from funcrec.lang.types import GoType, Kind, TypeTable, pointer_shaped, stands_for_another
from funcrec.plan.redaction import masks, redacted_spans

MAX_PROGRAMS = 1 << 15
MAX_REFERENCES = 1 << 18
MAX_TEXT_BYTES = 2048
MAX_ELEMENTS = 1024
MAX_DEPTH = 8
MIN_CAPTURE_BYTES = 4096  # twice what a stack span may have
MAX_CAPTURE_BYTES = 16384
MAP_COUNT_BYTES = 8  # a map's count is its first word: runtime.hmap.count, internal/runtime/maps.Map.used
ITAB_TYPE_OFFSET = 8  # abi.ITab.Type
CHANNEL_BYTES = 16  # runtime.hchan: qcount, dataqsiz
CODE_BYTES = 8  # the code of a function value is its first word: runtime.funcval.fn


class RefKind(IntEnum):
    """REF_* of bpf/values.h."""

    POINTER = 0
    BYTES = 1
    SLICE = 2
    INDEX = 3
    IFACE = 4
    EFACE = 5
    TEXT = 6
    ABSOLUTE = 7
    SHAPE = 8
    MASK = 9


@dataclass(frozen=True, slots=True)
class Reference:
    """struct value_ref of bpf/values.h."""

    kind: RefKind
    offset: int = 0
    program: int = 0
    displacement: int = 0
    cap: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class ValueLimits:
    """What is captured of one value and of one call.

    Attributes:
        text_bytes: of a string or []byte.
        elements: of a slice or array.
        depth: pointers followed in a row.
        total_bytes: of one capture, a power of two.
        redacted: some of what is read is erased again.
    """

    text_bytes: int = 256
    elements: int = 16
    depth: int = 3
    total_bytes: int = 4096
    redacted: bool = False

    def __post_init__(self) -> None:
        for option, value, low, high in (
            ("--max-text", self.text_bytes, 1, MAX_TEXT_BYTES),
            ("--max-elements", self.elements, 0, MAX_ELEMENTS),
            ("--max-depth", self.depth, 0, MAX_DEPTH),
            ("--max-capture", self.total_bytes, MIN_CAPTURE_BYTES, MAX_CAPTURE_BYTES),
        ):
            if not low <= value <= high:
                raise UsageError(f"{option} {value} is out of range", remedy=f"use {low} to {high}")
        if self.total_bytes & (self.total_bytes - 1):
            raise UsageError(f"--max-capture {self.total_bytes} is no power of two", remedy="use 4096, 8192 or 16384")


def target_of(reference: Reference) -> int:
    """The program that a reference leads to; -1: that of an interface's dynamic type."""
    return -1 if reference.kind in (RefKind.IFACE, RefKind.EFACE, RefKind.SHAPE) else reference.program


def mask_reference(offset: int, kept: int) -> Reference:
    """Erase a word but for some bits."""
    return Reference(RefKind.MASK, offset, displacement=kept - (1 << 64) if kept >> 63 else kept)


@dataclass(slots=True)
class Programs:
    """The tables, growing as types are asked for.

    Attributes:
        programs: (first reference, number of references, bytes); 0 is "nothing", 1 reads bytes, 2 a map's count.
        references: of all programs, those of one side by side.
        interfaces: whether any program meets an interface, whose dynamic types must then be known.
    """

    types: TypeTable
    limits: ValueLimits
    programs: list[tuple[int, int, int]] = field(
        default_factory=lambda: [(0, 0, 0), (0, 0, 1), (0, 0, MAP_COUNT_BYTES), (0, 0, CODE_BYTES)]
    )
    references: list[Reference] = field(default_factory=list)
    interfaces: bool = False
    full: bool = False
    _by_type: dict[int, int] = field(default_factory=dict)
    _pending: deque[tuple[int, int, int]] = field(default_factory=deque)

    BYTES = 1
    COUNT = 2
    CODE = 3

    @property
    def largest(self) -> int:
        """The most bytes of one element that are read."""
        return self.limits.total_bytes // 2

    def add_references(self, references: list[Reference]) -> tuple[int, int]:
        """Append references side by side; return (first, number)."""
        if len(self.references) + len(references) > MAX_REFERENCES:
            self.full = True
            return 0, 0
        first = len(self.references)
        self.references.extend(references)
        return first, len(references)

    def custom(self, size: int, references: list[Reference]) -> int:
        """A program of its own, not shared by type."""
        if len(self.programs) >= MAX_PROGRAMS:
            self.full = True
            return 0
        size = min(size, self.largest)
        references = [ref for ref in references if ref.kind is not RefKind.MASK or ref.offset < size]
        self.programs.append((*self.add_references(references), size))
        return len(self.programs) - 1

    def of_type(self, number: int, level: int) -> int:
        """The program that reads a value of a type; `level` pointers lie between it and the value asked for."""
        program = self._by_type.get(number)
        if program is not None:
            return program
        if len(self.programs) >= MAX_PROGRAMS:
            self.full = True
            return 0
        size = self.types[number].size
        if size == 0:
            return 0
        program = self._by_type[number] = len(self.programs)
        self.programs.append((0, 0, min(redacted_spans(self.types, number)[1], self.largest)))
        self._pending.append((program, number, level))
        return program

    def finish(self) -> None:
        """Work off the types that others refer to, nearest first."""
        while self._pending:
            program, number, level = self._pending.popleft()
            size = self.programs[program][2]
            references = [
                ref
                for ref in self.references_of(number, level)
                if ref.offset + (1 if ref.kind is RefKind.MASK else 8) <= size
            ]
            self.programs[program] = (*self.add_references(references), size)

    def references_of(self, number: int, level: int, base: int = 0, text_bytes: int = 0) -> list[Reference]:
        """References inside a value of a type that lies at offset `base`; what erases comes first."""
        found = [mask_reference(at, kept) for at, kept in masks(redacted_spans(self.types, number)[0], base)]
        self._collect(self.types[number], level, base, text_bytes or self.limits.text_bytes, found)
        return found

    def _collect(self, type_: GoType, level: int, base: int, text_bytes: int, found: list[Reference]) -> None:
        kind = type_.kind
        if base > 0xFFFF - 16:
            return
        if kind is Kind.STRING:
            found.append(Reference(RefKind.BYTES, base, self.BYTES, cap=text_bytes))
        elif kind is Kind.SLICE:
            self._slice(type_, level, base, text_bytes, found)
        elif kind is Kind.POINTER:
            if level < self.limits.depth and type_.elem >= 0 and not stands_for_another(type_):
                program = self.of_type(type_.elem, level + 1)
                if program:
                    found.append(Reference(RefKind.POINTER, base, program, cost=1))
        elif kind is Kind.MAP:
            found.append(Reference(RefKind.POINTER, base, self.COUNT))
        elif kind is Kind.FUNC:
            found.append(Reference(RefKind.POINTER, base, self.CODE))
        elif kind in (Kind.IFACE, Kind.EFACE):
            self.interfaces = True
            word = ITAB_TYPE_OFFSET if kind is Kind.IFACE else 0
            found.append(Reference(RefKind.IFACE if kind is Kind.IFACE else RefKind.EFACE, base, 0, word))
        elif kind is Kind.STRUCT and type_.name != "time.Time":
            for part in type_.fields:
                self._collect(self.types[part.type], level, base + part.offset, text_bytes, found)
        elif kind is Kind.ARRAY:
            elem = self.types[type_.elem]
            for index in range(min(type_.count, self.limits.elements) if elem.size else 0):
                self._collect(elem, level, base + index * elem.size, text_bytes, found)

    def _slice(self, type_: GoType, level: int, base: int, text_bytes: int, found: list[Reference]) -> None:
        elem = self.types[type_.elem]
        if elem.kind is Kind.UINT and elem.size == 1:
            found.append(Reference(RefKind.BYTES, base, self.BYTES, cap=text_bytes))
            return
        program = self.of_type(type_.elem, level)
        if program:
            # An element larger than what is read of one: the next would not be where the machine expects it.
            cap = self.limits.elements if elem.size <= self.largest else 1
            found.append(Reference(RefKind.SLICE, base, program, cap=cap))

    def after(self, number: int, steps: list[Step], text_bytes: int = 0) -> tuple[int, int]:
        """The program for the rest of a path that starts at a value of a type in memory.

        Returns:
            (displacement, program): what to add to the value's address, and what to read there.
        """
        displacement = 0
        for position, step in enumerate(steps):
            if step.kind is StepKind.FIELD:
                displacement += step.offset
                number = step.type
            else:
                size, reference = self.follow(number, step, steps[position + 1 :], text_bytes, 0)
                return displacement, self.custom(size, [reference] if reference else [])
        if text_bytes or self.types[number].kind is not Kind.STRUCT:
            size = redacted_spans(self.types, number)[1]
            return displacement, self.custom(size, self.references_of(number, 0, 0, text_bytes))
        return displacement, self.of_type(number, 0)

    def follow(
        self, number: int, step: Step, rest: list[Step], text_bytes: int, offset: int
    ) -> tuple[int, Reference | None]:
        """The reference for a step out of a value at `offset`; with it the bytes of that value that it needs."""
        kind = self.types[number].kind
        if step.kind in (StepKind.LENGTH, StepKind.CAPACITY):
            if kind is Kind.MAP:
                return 8, Reference(RefKind.POINTER, offset, self.COUNT)
            if kind is Kind.CHAN:
                return 8, Reference(RefKind.POINTER, offset, self.custom(CHANNEL_BYTES, []))
            return self.types[number].size, None
        displacement, program = self.after(step.type, rest, text_bytes)
        if step.kind is StepKind.INDEX:
            return 16, Reference(RefKind.INDEX, offset, program, step.offset + displacement, step.index)
        return 8, Reference(RefKind.POINTER, offset, program, displacement)

    def dynamic(self, number: int) -> tuple[int, int]:
        """What the data word of an interface of this dynamic type points at: (program, cost); program 0: nothing."""
        inner = pointer_shaped(self.types, number)
        if inner is None:
            return self.of_type(number, 1), 0
        if inner.kind is Kind.POINTER and inner.elem >= 0:
            return self.of_type(inner.elem, 1), 1
        return {Kind.MAP: self.COUNT, Kind.FUNC: self.CODE}.get(inner.kind, 0), 0

    def leading_to(self, program: int, dynamic: Iterable[int]) -> set[int]:
        """Programs from which references lead to a program, itself included; -1 among them: interfaces do.

        Args:
            program: where to.
            dynamic: programs that the interfaces may lead to.
        """
        before: dict[int, list[int]] = {number: [-1] for number in dynamic}
        for number, (first, count, _) in enumerate(self.programs):
            for reference in self.references[first : first + count]:
                before.setdefault(target_of(reference), []).append(number)
        found, fresh = {program}, [program]
        while fresh:
            added = {number for reached in fresh for number in before.get(reached, ())} - found
            found |= added
            fresh = list(added)
        return found

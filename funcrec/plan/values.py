"""The value plan: which words to read at which site, and how to read them back.

Turns parsed FETCH lists into tables for the kernel (`funcrec.plan.programs`) and rows for the trace. Pure.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from funcrec.lang.steps import StepKind
from funcrec.lang.types import TypeTable
from funcrec.plan.fetch import Fetch, RawFetch, Special
from funcrec.plan.programs import Programs, Reference, RefKind, ValueLimits, mask_reference, target_of
from funcrec.plan.rawregisters import raw_registers
from funcrec.plan.redaction import RedactedTypes, Redaction, Span, masks, redacted_spans
from funcrec.plan.rootarea import AREA_HEAD_BYTES, RootArea
from funcrec.plan.wanted import Wanted, all_values, find_value
from funcrec.target.abi import AMD64_ABI, Abi, Piece, Place, Signature, whole_words
from funcrec.target.results import Reads

MAX_DYNAMIC_TYPES = 1 << 14


@dataclass(frozen=True, slots=True)
class SiteValues:
    """What is read at a site; several sites may share it (struct value_site of bpf/values.h).

    Attributes:
        registers: in the order of the root area.
        stack_offset: of the span, from SP at function entry.
        stack_bytes: of the span, 0 none.
        first_reference, references: into the table of references.
    """

    registers: tuple[IntEnum, ...]
    stack_offset: int
    stack_bytes: int
    first_reference: int
    references: int


@dataclass(frozen=True, slots=True)
class ValuePlans:
    """Everything `record` needs to read values, and the trace to decode them.

    Attributes:
        sites: site number -> index in `reads`.
        reads: distinct captures.
        rows: plans of the trace, one for each of `reads`.
        types: type rows of the trace.
        programs: (first reference, references, bytes).
        references: see Programs.
        dynamic: address of a runtime type as linked -> (program, cost).
        limits: that the programs were made for.
        functions: indexes in `reads` of those that may meet function values.
        notes: lines for the user.
    """

    sites: dict[int, int]
    reads: tuple[SiteValues, ...]
    rows: tuple[dict[str, Any], ...]
    types: list[dict[str, Any]]
    programs: list[tuple[int, int, int]]
    references: list[Reference]
    dynamic: dict[int, tuple[int, int]]
    limits: ValueLimits
    functions: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class ValuePlanner:
    """Collects the values of function after function.

    Args:
        types: of the binary; an empty table when it has no debug information.
        limits: caps.
        redaction: what is not to be read.
        abi: of the processor.
    """

    types: TypeTable
    limits: ValueLimits = field(default_factory=ValueLimits)
    redaction: Redaction = field(default_factory=Redaction)
    abi: Abi = AMD64_ABI
    _programs: Programs = field(init=False)
    _seen: TypeTable = field(init=False)
    _reads: list[SiteValues] = field(default_factory=list)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _sites: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # How values travel depends on what their types are, what is read of them on what may be seen.
        self._seen = RedactedTypes(self.types, self.redaction) if self.redaction else self.types
        self._programs = Programs(self._seen, self.limits)

    def add(
        self,
        function: str,
        signature: Signature | None,
        arguments: Sequence[Fetch],
        results: Sequence[Fetch],
        sites: Sequence[int],
        *,
        ends: bool = False,
    ) -> None:
        """Plan what one function's sites of one kind read.

        Args:
            function: for messages.
            signature: None when debug information lacks the function: only raw rules can be read.
            arguments: what to read where the call begins.
            results: what to read where it ends; both at a site that is both.
            sites: numbers of the sites.
            ends: the call ends there, and has not just begun.

        Raises:
            UsageError: a name does not exist there, or cannot be read by name.
        """
        wanted, raw = self._resolved(function, signature, arguments, results)
        if not wanted and not raw:
            return
        area = RootArea(wanted, [rule for rule, _ in raw], self.abi)
        references = self._references(wanted, raw, area)
        first, count = self._programs.add_references(references)
        values = [_named_row(value, area) for value in wanted] + [_raw_row(rule, result, area) for rule, result in raw]
        # Of a call that ends the registers are worked out too, from memory where need be: they are read or not with it.
        read_with = 0 if ends else 8 * len(area.registers)
        self._rows.append(
            {
                "sites": list(sites),
                "area": area.stack_slot + area.stack_bytes,
                "stack": AREA_HEAD_BYTES + read_with,
                "text_bytes": self.limits.text_bytes,
                "elements": self.limits.elements,
                "depth": self.limits.depth,
                "values": values,
            }
        )
        self._sites.update(dict.fromkeys(sites, len(self._reads)))
        self._reads.append(SiteValues(tuple(area.registers), area.low, area.stack_bytes, first, count))

    def reads(self, function: str, signature: Signature | None, results: Sequence[Fetch]) -> Reads:
        """What `add` would read of a function's results.

        Raises:
            UsageError: as for `add`.
        """
        wanted, raw = self._resolved(function, signature, (), results)
        area = RootArea(wanted, [rule for rule, _ in raw], self.abi)
        registers = dict.fromkeys((int(register) for register in area.registers), 0)
        words = []
        for value in wanted:
            for piece in value.place.pieces:
                if piece.register is not None:
                    registers[piece.register] = max(registers[piece.register], piece.size)
            words += whole_words(self.types, value.place)
        for rule, _ in raw:
            for register in raw_registers(rule, self.abi):
                registers[register] = 8
        memory = area.stack_bytes > 0 or bool(self._references(wanted, raw, area))
        return Reads(registers, tuple(words), memory)

    def _resolved(
        self, function: str, signature: Signature | None, arguments: Sequence[Fetch], results: Sequence[Fetch]
    ) -> tuple[list[Wanted], list[tuple[RawFetch, bool]]]:
        """The values by name and by rule, without what is redacted."""
        wanted: list[Wanted] = []
        raw: list[tuple[RawFetch, bool]] = []
        for fetches, result in ((arguments, False), (results, True)):
            for fetch in fetches:
                if isinstance(fetch, RawFetch):
                    if self.redaction.hides(fetch.name):
                        wanted.append(self._hidden(fetch.name, result))
                    else:
                        raw.append((fetch, result))
                elif isinstance(fetch, Special):
                    found = all_values(self.types, fetch, signature, results=result)
                    wanted.extend(
                        self._hidden(one.name, result) if self.redaction.hides(one.name) else one for one in found
                    )
                else:
                    one = find_value(self.types, function, signature, fetch, results=result)
                    hidden = self.redaction.hides_path(fetch.name, fetch.path)
                    wanted.append(self._hidden(fetch.name, result) if hidden else one)
        return [self._without_redacted(value) for value in wanted], raw

    def _references(self, wanted: list[Wanted], raw: list[tuple[RawFetch, bool]], area: RootArea) -> list[Reference]:
        references = [ref for value in wanted for ref in self._masks(value, area)]
        references += [ref for value in wanted for ref in self._named_references(value, area)]
        return references + [ref for rule, _ in raw for ref in self._raw_references(rule, area)]

    def finish(self, runtime_types: Callable[[], dict[int, int]], types_base: int) -> ValuePlans:
        """Close the tables.

        Args:
            runtime_types: type numbers by the place of their descriptor; called when some value holds an interface.
            types_base: address of moduledata.types as linked, from where those places count.
        """
        self._programs.finish()
        dynamic: dict[int, tuple[int, int]] = {}
        notes = []
        if self._programs.interfaces:
            for place, number in list(runtime_types().items())[:MAX_DYNAMIC_TYPES]:
                dynamic[types_base + place] = self._programs.dynamic(number)
            self._programs.finish()
        if self._programs.full:
            notes.append("so many types are involved that some values are shown as addresses only")
        return ValuePlans(
            self._sites,
            tuple(self._reads),
            tuple(self._rows),
            _with_addresses(self._seen.export(), types_base),
            self._programs.programs,
            self._programs.references,
            dynamic,
            self.limits,
            self._meeting_functions(program for program, _ in dynamic.values()),
            tuple(notes),
        )

    def _meeting_functions(self, dynamic: Iterable[int]) -> frozenset[int]:
        leading = self._programs.leading_to(Programs.CODE, dynamic)
        references = self._programs.references
        return frozenset(
            number
            for number, read in enumerate(self._reads)
            if any(
                target_of(reference) in leading
                for reference in references[read.first_reference : read.first_reference + read.references]
            )
        )

    def _hidden(self, name: str, result: bool) -> Wanted:
        """In place of a value that is redacted as a whole: nothing is read."""
        blank = self._seen.blank(0) if isinstance(self._seen, RedactedTypes) else 0
        return Wanted(name, Place(name, blank, ()), (), result)

    def _without_redacted(self, value: Wanted) -> Wanted:
        """Leave out registers that hold something redacted."""
        spans = redacted_spans(self._seen, value.place.type)[0]
        pieces = [piece for piece in value.place.pieces if piece.register is None or not _meets(piece, spans)]
        return replace(value, place=replace(value.place, pieces=tuple(pieces)))

    def _masks(self, value: Wanted, area: RootArea) -> list[Reference]:
        """Erase what is redacted from the span of the stack."""
        erased: list[Span] = []
        for piece in value.place.pieces:
            for at, size in redacted_spans(self._seen, value.place.type)[0] if piece.stack is not None else []:
                low, high = max(at, piece.offset), min(at + size, piece.offset + piece.size)
                slot = area.piece_slot(piece, low - piece.offset) if low < high else -1
                if slot >= 0:
                    erased.append((slot, high - low))
        return [mask_reference(at, kept) for at, kept in masks(erased)]

    def _named_references(self, value: Wanted, area: RootArea) -> list[Reference]:
        number, offset = value.place.type, 0
        for position, step in enumerate(value.steps):
            if step.kind is StepKind.FIELD:
                number, offset = step.type, offset + step.offset
                continue
            slot = area.slot(value.place, offset)
            rest = list(value.steps[position + 1 :])
            reference = self._programs.follow(number, step, rest, value.text_bytes, slot)[1] if slot >= 0 else None
            return [reference] if reference else []
        return self._root_references(value, number, offset, area)

    def _root_references(self, value: Wanted, number: int, offset: int, area: RootArea) -> list[Reference]:
        """References of a value that lies in the root area: the same as in memory, at the words that hold it."""
        found = []
        if value.dictionary is not None and offset == 0 and not value.steps:
            # What this pointer points to is said by the generic dictionary.
            self._programs.interfaces = True
            word, slot = 8 * self.types[number].shape, area.register_slot(value.dictionary)
            return [Reference(RefKind.SHAPE, slot, 0, word, area.slot(value.place, 0))]
        for reference in self._programs.references_of(number, 0, 0, value.text_bytes):
            if reference.kind is RefKind.MASK:
                continue
            slot = area.slot(value.place, offset + reference.offset)
            if slot >= 0:
                found.append(
                    Reference(
                        reference.kind,
                        slot,
                        reference.program,
                        reference.displacement,
                        reference.cap,
                        reference.cost,
                    )
                )
        return found

    def _raw_references(self, rule: RawFetch, area: RootArea) -> list[Reference]:
        kind, size = rule.type.kind, rule.type.size * max(rule.type.count, 1)
        text = self.limits.text_bytes
        offsets = list(rule.offsets)
        if kind == "string" and not offsets:
            offsets = [0]
        if kind == "gostring" and not offsets:
            slot = area.raw_slot(rule)
            return [Reference(RefKind.BYTES, slot, self._programs.BYTES, cap=text)]
        if not offsets:
            return []
        last = offsets.pop()
        if kind == "string":
            reference = Reference(RefKind.TEXT, 0, self._programs.BYTES, last, text)
        else:
            inner = [Reference(RefKind.BYTES, 0, self._programs.BYTES, cap=text)] if kind == "gostring" else []
            reference = Reference(RefKind.POINTER, 0, self._programs.custom(size, inner), last)
        while offsets:
            reference = Reference(RefKind.POINTER, 0, self._programs.custom(8, [reference]), offsets.pop())
        if rule.register:
            slot = area.raw_slot(rule)
            return [Reference(reference.kind, slot, reference.program, reference.displacement, reference.cap)]
        if reference.kind is RefKind.TEXT:  # text at an absolute address
            return []
        return [Reference(RefKind.ABSOLUTE, 0, reference.program, rule.number + reference.displacement)]


def _meets(piece: Piece, spans: list[Span]) -> bool:
    return any(piece.offset < at + size and at < piece.offset + piece.size for at, size in spans)


def _with_addresses(rows: list[dict[str, Any]], types_base: int) -> list[dict[str, Any]]:
    """Debug information counts descriptors from the start of the runtime's type data; a trace has their addresses."""
    for row in rows:
        if "runtime" in row:
            row["runtime"] += types_base
    return rows


def _named_row(value: Wanted, area: RootArea) -> dict[str, Any]:
    pieces = [[piece.offset, piece.size, area.piece_slot(piece)] for piece in value.place.pieces]
    row: dict[str, Any] = {"name": value.name, "result": value.result, "type": value.place.type, "pieces": pieces}
    if value.dictionary is not None:
        row["dictionary"] = area.register_slot(value.dictionary)
    if value.steps:
        row["steps"] = [step.row() for step in value.steps]
    return row


def _raw_row(rule: RawFetch, result: bool, area: RootArea) -> dict[str, Any]:
    slot = area.raw_slot(rule) if rule.register else -1
    return {
        "name": rule.name,
        "result": result,
        "raw": str(rule.type),
        "slot": slot,
        "number": rule.number if not rule.constant else rule.number & ((1 << 64) - 1),
        "constant": rule.constant,
        "offsets": list(rule.offsets),
    }

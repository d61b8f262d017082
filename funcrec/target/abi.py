"""Where a function's parameters and results are: registers and stack slots by Go's internal calling convention.

Computed from the types (Go 1.17+, src/cmd/compile/abi-internal.md), not taken from debug information, whose locations
of results are empty and whose locations of parameters are sometimes those of another variable.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from funcrec.lang.types import Field, GoType, Kind, TypeTable
from funcrec.target.dwarf import uleb
from funcrec.target.gotypes import GoTypes
from funcrec.target.subprograms import Subprogram, Variable, entry_location


class Register(IntEnum):
    """Registers a probe can read, numbered as in value plans; the first nine are the integer sequence of the ABI."""

    AX = 0
    BX = 1
    CX = 2
    DI = 3
    SI = 4
    R8 = 5
    R9 = 6
    R10 = 7
    R11 = 8
    DX = 9  # the closure at entry
    BP = 10
    SP = 11  # as at function entry: points at the return address
    R12 = 12
    R13 = 13
    R14 = 14  # g
    R15 = 15


class Arm64Register(IntEnum):
    """The same for arm64; the first sixteen are the integer sequence."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5
    R6 = 6
    R7 = 7
    R8 = 8
    R9 = 9
    R10 = 10
    R11 = 11
    R12 = 12
    R13 = 13
    R14 = 14
    R15 = 15
    R26 = 16  # the closure at entry
    SP = 17  # as at function entry: what the caller's frame ends at
    R28 = 18  # g
    R29 = 19  # frame pointer
    R30 = 20  # the return address at entry


RETURN_ADDRESS_BYTES = 8  # between SP and the first stack slot; the word is free on arm64


@dataclass(frozen=True, slots=True)
class Abi:
    """Go's calling convention on a processor.

    Attributes:
        registers: those a probe can read.
        integers, floats: how many of each sequence.
        closure: register of the closure object at entry.
        dwarf: DWARF numbers of the integer sequence -> places in it.
        float_name: what registers of the float sequence are called.
    """

    registers: type[IntEnum]
    integers: int
    floats: int
    closure: IntEnum
    dwarf: Mapping[int, int]
    float_name: str


# DWARF numbers: System V ABI figure 3.36; DWARF for the Arm 64-bit Architecture, section 4.1.
AMD64_ABI = Abi(Register, 9, 15, Register.DX, {0: 0, 3: 1, 2: 2, 5: 3, 4: 4, 8: 5, 9: 6, 10: 7, 11: 8}, "xmm")
ARM64_ABI = Abi(Arm64Register, 16, 16, Arm64Register.R26, {number: number for number in range(16)}, "f")

_WORDS = {
    Kind.STRING: 2,
    Kind.SLICE: 3,
    Kind.IFACE: 2,
    Kind.EFACE: 2,
    Kind.POINTER: 1,
    Kind.UNSAFE: 1,
    Kind.FUNC: 1,
    Kind.CHAN: 1,
    Kind.MAP: 1,
}


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes `offset`..`offset + size` of a value and where they are.

    Exactly one of register (an integer register), floating (name of a float register, which no probe can read) and
    stack (bytes from SP at entry) is set.
    """

    offset: int
    size: int
    register: IntEnum | None = None
    floating: str | None = None
    stack: int | None = None

    def __str__(self) -> str:
        if self.register is not None:
            return "%" + self.register.name.lower()
        return f"%{self.floating}" if self.floating is not None else f"+{self.stack}(%sp)"


@dataclass(frozen=True, slots=True)
class Place:
    """A parameter, result or captured variable with its pieces (none for a value of no size)."""

    name: str
    type: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's values in order of declaration; unnamed ones are called r0, r1 ... and ~p0, ~p1 ...

    Attributes:
        parameters: receiver first; without the hidden dictionary.
        results: as at a return instruction.
        captures: pseudo-parameter: pointer to the closure object (type number, -1 when nothing is captured).
        dictionary: register of the generic dictionary, if the function has one.
        closure: register of the closure object.
    """

    parameters: tuple[Place, ...]
    results: tuple[Place, ...]
    captures: int = -1
    dictionary: IntEnum | None = None
    closure: IntEnum = Register.DX


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar part of a value, which takes a register of its own."""

    offset: int
    size: int
    floating: bool


def leaves(types: TypeTable, number: int) -> list[Leaf] | None:
    """Scalar parts of a type in the order they take registers; None when it can only be passed on the stack."""
    found: list[Leaf] = []
    return found if _collect(types, types[number], 0, found) else None


def _collect(types: TypeTable, type_: GoType, base: int, found: list[Leaf]) -> bool:
    words = _WORDS.get(type_.kind)
    if words is not None:
        found.extend(Leaf(base + 8 * i, 8, False) for i in range(words))
        return True
    if type_.kind in (Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT):
        found.append(Leaf(base, type_.size, type_.kind is Kind.FLOAT))
        return True
    if type_.kind is Kind.COMPLEX:
        half = type_.size // 2
        found.extend((Leaf(base, half, True), Leaf(base + half, half, True)))
        return True
    if type_.kind is Kind.ARRAY:
        return type_.count == 0 or (type_.count == 1 and _collect(types, types[type_.elem], base, found))
    if type_.kind is Kind.STRUCT:
        # More leaves than registers cannot fit: no need to look further.
        return len(found) <= 64 and all(
            _collect(types, types[field.type], base + field.offset, found) for field in type_.fields
        )
    return False


def whole_words(types: TypeTable, place: Place) -> list[tuple[int, ...]]:
    """Registers that hold the words of one string, slice or interface each, in their order there."""
    words = {piece.offset: int(piece.register) for piece in place.pieces if piece.register is not None}
    found: list[tuple[int, ...]] = []

    def collect(type_: GoType, base: int) -> None:
        if _WORDS.get(type_.kind, 1) > 1:
            registers = tuple(words.get(base + 8 * at, -1) for at in range(_WORDS[type_.kind]))
            found.append(registers)
        elif type_.kind is Kind.ARRAY and type_.count == 1:
            collect(types[type_.elem], base)
        elif type_.kind is Kind.STRUCT:
            for field in type_.fields:
                collect(types[field.type], base + field.offset)

    if words:
        collect(types[place.type], 0)
    return found


def _align(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


class _Assignment:
    """The state of the walk over one sequence of values."""

    def __init__(self, types: TypeTable, stack: int, registers: bool, abi: Abi = AMD64_ABI) -> None:
        self.types, self.stack, self._abi = types, stack, abi
        self.integers = 0
        self.floats = 0
        self._limits = (abi.integers, abi.floats) if registers else (0, 0)

    def take(self, number: int) -> tuple[Piece, ...]:
        """Assign the next value, as a whole to registers or as a whole to the stack."""
        type_ = self.types[number]
        parts = leaves(self.types, number) if type_.size else None
        if parts is not None:
            floats = sum(leaf.floating for leaf in parts)
            integers = len(parts) - floats
            if self.integers + integers <= self._limits[0] and self.floats + floats <= self._limits[1]:
                return tuple(self._register(leaf) for leaf in parts)
        self.stack = _align(self.stack, type_.align)
        piece = Piece(0, type_.size, stack=self.stack + RETURN_ADDRESS_BYTES)
        self.stack += type_.size
        return (piece,) if type_.size else ()

    def _register(self, leaf: Leaf) -> Piece:
        if leaf.floating:
            self.floats += 1
            return Piece(leaf.offset, leaf.size, floating=f"{self._abi.float_name}{self.floats - 1}")
        return Piece(leaf.offset, leaf.size, register=self.next_register())

    def next_register(self) -> IntEnum:
        """Take the next integer register."""
        self.integers += 1
        return self._abi.registers(self.integers - 1)

    def skip_omitted(self, parts: list[Leaf] | None, entry: bytes) -> None:
        """Go up to 1.21 leaves blank parameters out of debug information: follow the entry location past them.

        Only an entry location that names a later register of the integer sequence is believed; everything else keeps
        the computed place.
        """
        if not parts or parts[0].floating or not entry:
            return
        register = self._abi.dwarf.get(_first_register(entry))
        if register is not None and register > self.integers:
            self.integers = register


def has_dictionary(symbol: str) -> bool:
    """Whether the code takes a hidden dictionary: shape code itself, not the closures and wrappers inside it."""
    at = symbol.find("[")
    if at < 0 or not symbol.startswith("[go.shape.", at) or symbol.startswith(("type:.eq", "type..eq", "type:.hash")):
        return False
    depth, end = 0, at
    while end < len(symbol):
        depth += (symbol[end] == "[") - (symbol[end] == "]")
        end += 1
        if depth == 0:
            break
    rest = symbol[end:]
    if rest.startswith(")"):
        rest = rest[1:]
    return not re.search(r"\.func\d|\.gowrap\d|\.deferwrap\d|-range\d|\.\d+$", rest)


def signature(
    types: GoTypes, function: Subprogram, go_version: tuple[int, int], *, abi0: bool = False, abi: Abi = AMD64_ABI
) -> Signature:
    """Assign every value of a function.

    Args:
        types: loader of the same debug information.
        function: as found there.
        go_version: (1, 24).
        abi0: True for assembly functions, which take everything on the stack.
        abi: of the processor.
    """
    table = types.table
    listed = [v for v in function.parameters if not v.result and v.name != ".dict"]
    method = ")." in function.name or _is_method(function.name)
    inputs = _Assignment(table, 0, not abi0, abi)
    dictionary: IntEnum | None = None
    parameters: list[Place] = []
    shaped = has_dictionary(function.name)
    for position, variable in enumerate(listed):
        if shaped and dictionary is None and position == (1 if method and go_version >= (1, 20) else 0):
            dictionary = inputs.next_register()
        number = types.number(variable.type)
        if go_version <= (1, 21):
            entry = entry_location(types.debug, variable, function.low_pc)
            inputs.skip_omitted(leaves(table, number), entry)
        parameters.append(Place(variable.name, number, inputs.take(number)))
    if shaped and dictionary is None:
        dictionary = abi.registers(inputs.integers)
    outputs = _Assignment(table, _align(inputs.stack, 8), not abi0, abi)
    results = []
    for variable in _distinct(v for v in function.parameters if v.result):
        number = types.number(variable.type)
        results.append(Place(_result_name(variable.name), number, outputs.take(number)))
    return Signature(tuple(parameters), tuple(results), _closure(types, function), dictionary, abi.closure)


def _is_method(symbol: str) -> bool:
    """`pkg.T[go.shape.int].M`: a name after the brackets is a method's."""
    at = symbol.rfind("].")
    return at >= 0 and "." not in symbol[at + 2 :]


def _distinct(variables: Iterable[Variable]) -> list[Variable]:
    """Named results may be listed twice up to Go 1.26: keep the first of each name."""
    seen: dict[str, Variable] = {}
    for variable in variables:
        seen.setdefault(variable.name, variable)
    return list(seen.values())


def _result_name(name: str) -> str:
    """`~r0` of the compiler, and `~b0` of Go 1.21 for a result that is named `_`."""
    return "r" + name[2:] if name.startswith(("~r", "~b")) else name


def _closure(types: GoTypes, function: Subprogram) -> int:
    """Type of the pointer to the closure object, which has its captured variables as fields."""
    if not function.captures:
        return -1
    fields = [Field("F", 0, types.table.add(GoType(Kind.UINT, "uintptr", 8, 8)))]
    end = 8
    for variable in function.captures:
        number = types.number(variable.type)
        fields.append(Field(variable.name, variable.closure_offset, number))
        end = max(end, variable.closure_offset + types.table[number].size)
    return types.pointer_to_fields("closure", tuple(fields), end)


def _first_register(expression: bytes) -> int:
    """DWARF number of the register that an expression begins with (DW_OP_reg0..31, DW_OP_regx), -1 for none."""
    if 0x50 <= expression[0] <= 0x6F:
        return expression[0] - 0x50
    if expression[0] == 0x90 and len(expression) > 1:
        return uleb(expression, 1)[0]
    return -1

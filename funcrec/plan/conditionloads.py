"""How a condition in the kernel gets at a value: the way from registers and stack through memory. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag, StrEnum

from funcrec.lang.steps import Step, StepKind
from funcrec.lang.types import Kind as TypeKind
from funcrec.lang.types import TypeTable, stands_for_another
from funcrec.plan.fetch import RawFetch
from funcrec.plan.rawregisters import length_register, register_of
from funcrec.target.abi import Abi, Piece, Place
from funcrec.target.results import Reads

MAX_HOPS = 8
MAX_ENDED = 254  # bytes of a text that a NUL ends: CONDITION_ENDED of bpf/condition.h
_FOLLOWED = 4  # pointers that a comparison follows by itself


class Kind(StrEnum):
    """As what a value is compared."""

    NUMBER = "a whole number"
    TEXT = "text"
    BOOL = "true or false"
    NIL = "nil"  # the word that is 0 then


class Start(IntEnum):
    """LOAD_* of bpf/condition.h: where the way begins."""

    ABSENT = 0
    REGISTER = 1
    STACK = 2
    LINKED = 3
    NUMBER = 4


class LoadFlag(IntFlag):
    """LOAD_* of bpf/condition.h: what lies at its end."""

    SIGNED = 1
    NIL_IS_0 = 2
    TEXT = 4
    ENDED = 8
    MEMORY = 16


_NO_FLAGS = LoadFlag(0)


@dataclass(frozen=True, slots=True)
class Load:
    """struct condition_load of bpf/condition.h; hops are (offset, index or -1)."""

    start: Start = Start.ABSENT
    number: int = 0
    register: int = 0
    second: int = 0
    index: int = -1
    hops: tuple[tuple[int, int], ...] = ()
    last: int = 0
    size: int = 8
    shift: int = 0
    flags: LoadFlag = _NO_FLAGS


class UnreadableError(Exception):
    """A value that no condition in the kernel can look at; the text says why."""


@dataclass(frozen=True, slots=True)
class _At:
    """`offset` bytes inside a value in registers and stack, or behind the address that `load` leads to."""

    place: Place | None
    load: Load
    offset: int

    def find(self, at: int = 0) -> Load:
        """The way to the word at some offset; it reads memory unless the word is in a register."""
        offset = self.offset + at
        if self.place is None:
            return replace(self.load, last=offset, flags=LoadFlag.MEMORY)
        piece = _piece(self.place, offset)
        within = offset - piece.offset
        if piece.stack is not None:
            return Load(Start.STACK, piece.stack + within, flags=LoadFlag.MEMORY)
        if piece.register is None:
            raise UnreadableError("it is in a float register")
        return Load(Start.REGISTER, register=int(piece.register), shift=8 * within)

    def number(self, size: int, *, signed: bool = False, at: int = 0) -> Load:
        load = self.find(at)
        return replace(load, size=size, flags=load.flags | (LoadFlag.SIGNED if signed else _NO_FLAGS))

    def pair(self) -> Load:
        """The way to two words, such as those of a string."""
        first, second = self.find(), self.find(8)
        if first.start is Start.REGISTER and not first.flags & LoadFlag.MEMORY:
            first = replace(first, second=second.register)
        return replace(first, flags=first.flags | LoadFlag.TEXT)

    def behind(self, index: int = -1) -> "_At":
        """Where the pointer here leads, if `index` is less than the length beside it."""
        load = self.find()
        if not load.flags & LoadFlag.MEMORY:
            beside = self.find(8).register if index >= 0 else 0
            return _At(None, replace(load, index=index, second=beside), 0)
        if len(load.hops) == MAX_HOPS:
            raise UnreadableError(f"more than {MAX_HOPS} pointers lie on the way")
        return _At(None, replace(load, hops=(*load.hops, (load.last, index)), last=0, flags=_NO_FLAGS), 0)


def _piece(place: Place, offset: int) -> Piece:
    for piece in place.pieces:
        if piece.offset <= offset < piece.offset + piece.size:
            return piece
    raise UnreadableError("it is not there")


def load_value(types: TypeTable, place: Place, steps: tuple[Step, ...], kind: Kind) -> Load:
    """The way to a value by name.

    Raises:
        UnreadableError: it is not of that kind, or cannot be read.
    """
    number, at = place.type, _At(place, Load(), 0)
    for step in steps:
        if step.kind in (StepKind.LENGTH, StepKind.CAPACITY):
            if kind is not Kind.NUMBER:
                raise UnreadableError("a length is a number")
            return _measure(types, number, at, step.kind)
        if step.kind is StepKind.FIELD:
            at = _At(at.place, at.load, at.offset + step.offset)
        elif step.kind is StepKind.DEREFERENCE:
            at = at.behind()
        else:
            at = _At(None, at.behind(step.index).load, step.offset)
        number = step.type
    return _scalar(types, number, at, kind)


def _measure(types: TypeTable, number: int, at: _At, kind: StepKind) -> Load:
    capacity = kind is StepKind.CAPACITY
    if types[number].kind in (TypeKind.STRING, TypeKind.SLICE):
        return at.number(8, signed=True, at=16 if capacity else 8)
    # The count of a map and the two of a channel are the first words of what they point to; nil has none.
    load = at.behind().number(8, signed=True, at=8 if capacity else 0)
    return replace(load, flags=load.flags | LoadFlag.NIL_IS_0)


_NILABLE = {
    TypeKind.POINTER,
    TypeKind.UNSAFE,
    TypeKind.FUNC,
    TypeKind.CHAN,
    TypeKind.MAP,
    TypeKind.SLICE,
    TypeKind.IFACE,
    TypeKind.EFACE,
}
_WHY = {
    TypeKind.IFACE: "what is inside an interface is looked at later",
    TypeKind.EFACE: "what is inside an interface is looked at later",
    TypeKind.FLOAT: "the kernel does not calculate with floats",
    TypeKind.COMPLEX: "the kernel does not calculate with floats",
}


def _scalar(types: TypeTable, number: int, at: _At, kind: Kind) -> Load:
    """A value of a type, or what it points to."""
    if kind is Kind.NIL:
        if types[number].kind not in _NILABLE:
            raise UnreadableError(f"a {types[number].kind} is never nil")
        return at.number(8)
    for _ in range(_FOLLOWED):
        type_ = types[number]
        if type_.kind is not TypeKind.POINTER or type_.elem < 0 or stands_for_another(type_):
            break
        number, at = type_.elem, at.behind()
    type_ = types[number]
    if kind is Kind.NUMBER and type_.kind in (TypeKind.INT, TypeKind.UINT):
        return at.number(type_.size, signed=type_.kind is TypeKind.INT)
    if kind is Kind.BOOL and type_.kind is TypeKind.BOOL:
        return at.number(1)
    if kind is Kind.TEXT and (
        type_.kind is TypeKind.STRING or (type_.kind is TypeKind.SLICE and _is_byte(types, type_.elem))
    ):
        return at.pair()
    raise UnreadableError(_WHY.get(type_.kind, f"it is not {kind}"))


def _is_byte(types: TypeTable, elem: int) -> bool:
    return types[elem].kind is TypeKind.UINT and types[elem].size == 1


def load_raw(rule: RawFetch, kind: Kind, abi: Abi) -> Load:
    """The way to a value by raw rule.

    Raises:
        UnreadableError: it is not of that kind, or cannot be read.
    """
    raw, offsets = rule.type, list(rule.offsets)
    if raw.kind == "string" and not offsets:
        offsets = [0]
    is_ = {"c": Kind.TEXT, "string": Kind.TEXT, "gostring": Kind.TEXT, "bool": Kind.BOOL}.get(raw.kind, Kind.NUMBER)
    if kind is not is_ or raw.count or raw.kind == "f":
        raise UnreadableError(f"it is not {kind}")
    if rule.constant:
        return Load(Start.NUMBER, rule.number, flags=LoadFlag.SIGNED if rule.number < 0 else _NO_FLAGS)
    start = (
        Load(Start.REGISTER, register=int(register_of(rule, abi))) if rule.register else Load(Start.LINKED, rule.number)
    )
    if len(offsets) > MAX_HOPS or any(not -(1 << 31) <= offset < 1 << 31 for offset in offsets):
        raise UnreadableError(f"more than {MAX_HOPS} pointers, or too far ones, lie on the way")
    flags = LoadFlag.SIGNED if raw.kind == "s" else _NO_FLAGS
    size = raw.size
    if raw.kind == "gostring":
        flags, size = LoadFlag.TEXT, 8
        if not offsets:
            return replace(start, second=int(length_register(rule, abi)), flags=flags)
    elif raw.kind in ("c", "string"):
        flags, size = LoadFlag.ENDED, raw.size or MAX_ENDED
        if raw.size >= MAX_ENDED or not offsets:
            raise UnreadableError(f"it is text of {MAX_ENDED} bytes or more, or in a register")
    if not offsets:
        return replace(start, size=size, flags=flags)
    hops = tuple((offset, -1) for offset in offsets[:-1])
    return replace(start, hops=hops, last=offsets[-1], size=size, flags=flags | LoadFlag.MEMORY)


def reads_of(loads: Iterable[Load]) -> Reads:
    """Where the ways to values begin."""
    registers: dict[int, int] = {}
    memory = False
    for load in loads:
        through = bool(load.flags & LoadFlag.MEMORY)
        memory |= through or bool(load.flags & LoadFlag.TEXT)
        if load.start is Start.REGISTER:
            pair = load.index >= 0 or bool(load.flags & LoadFlag.TEXT and not through)
            size = 8 if through or pair else load.shift // 8 + load.size
            registers[load.register] = max(registers.get(load.register, 0), size)
            if pair:
                registers[load.second] = 8
    return Reads(registers, memory=memory)

"""The root area of a capture: which registers and which part of the stack are read, and where each value lies. Pure."""

from enum import IntEnum

from funcrec.errors import UsageError
from funcrec.plan.fetch import RawFetch
from funcrec.plan.rawregisters import raw_registers, register_of
from funcrec.plan.wanted import Wanted
from funcrec.target.abi import Abi, Piece, Place

AREA_HEAD_BYTES = 8  # load bias and status, before the registers
MAX_STACK_BYTES = 2048
MAX_REGISTERS = 16  # of one capture: value_site.register_of of bpf/values.h


class RootArea:
    """The words that a capture starts with: registers in ascending order, then one span of the stack.

    The ABI assigns registers in ascending order too, so that the words of a string or slice stay side by side.

    Attributes:
        registers: in the order of their words.
        low: where the span of the stack begins, from SP at function entry.
        stack_bytes: its length, 0 for none.

    Raises:
        UsageError: the values lie in more than MAX_REGISTERS registers.
    """

    def __init__(self, wanted: list[Wanted], raw: list[RawFetch], abi: Abi) -> None:
        self._abi = abi
        pieces = [piece for value in wanted for piece in value.place.pieces]
        registers = {piece.register for piece in pieces if piece.register is not None}
        registers |= {value.dictionary for value in wanted if value.dictionary is not None}
        for rule in raw:
            registers |= raw_registers(rule, abi)
        self.registers = sorted(registers)
        if len(self.registers) > MAX_REGISTERS:
            raise UsageError(
                f"values of one function lie in {len(self.registers)} registers", remedy="ask for fewer of them"
            )
        spans = [(piece.stack, piece.stack + piece.size) for piece in pieces if piece.stack is not None]
        self.low = min((low for low, _ in spans), default=0)
        high = max((high for _, high in spans), default=0)
        self.stack_bytes = min(high - self.low, MAX_STACK_BYTES)

    @property
    def stack_slot(self) -> int:
        """Offset in the root area of the span of the stack."""
        return AREA_HEAD_BYTES + 8 * len(self.registers)

    def raw_slot(self, rule: RawFetch) -> int:
        """Offset in the root area of the register that a raw rule starts from."""
        return self.register_slot(register_of(rule, self._abi))

    def register_slot(self, register: IntEnum) -> int:
        """Offset of a register in the root area."""
        return AREA_HEAD_BYTES + 8 * self.registers.index(register)

    def slot(self, place: Place, offset: int) -> int:
        """Offset in the root area of byte `offset` of a value, -1 when it is not there (a float in a register)."""
        for piece in place.pieces:
            if piece.offset <= offset < piece.offset + piece.size:
                return self.piece_slot(piece, offset - piece.offset)
        return -1

    def piece_slot(self, piece: Piece, within: int = 0) -> int:
        """Offset in the root area of a piece, -1 when it cannot be read."""
        if piece.register is not None:
            return AREA_HEAD_BYTES + 8 * self.registers.index(piece.register) + within
        if piece.stack is None or piece.stack - self.low + within >= self.stack_bytes:
            return -1
        return self.stack_slot + piece.stack - self.low + within

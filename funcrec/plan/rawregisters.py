"""The registers that raw rules name, on the processor at hand. Pure."""

from enum import IntEnum

from funcrec.errors import UsageError
from funcrec.plan.fetch import FIRST_RESULT, RawFetch
from funcrec.target.abi import Abi


def register_of(rule: RawFetch, abi: Abi) -> IntEnum:
    """The register that a rule starts from.

    Raises:
        UsageError: the processor that the program is built for has none of that name.
    """
    if rule.register == FIRST_RESULT:
        return abi.registers(0)
    if rule.register not in abi.registers.__members__:
        raise UsageError(
            f"'{rule.name}': the program's processor has no register {rule.register.lower()} that can be read",
            remedy=f"name one of {' '.join(register.name.lower() for register in abi.registers)}",
        )
    return abi.registers[rule.register]


def length_register(rule: RawFetch, abi: Abi) -> IntEnum:
    """The register that follows, which has the length of a string.

    Raises:
        UsageError: none does.
    """
    number = register_of(rule, abi) + 1
    if number >= abi.integers:
        raise UsageError(
            f"'{rule.name}': no register follows {rule.register.lower()} for a string's length",
            remedy="use +0(%reg):gostring for a string in memory",
        )
    return abi.registers(number)


def raw_registers(rule: RawFetch, abi: Abi) -> set[IntEnum]:
    """All registers that a rule reads.

    Raises:
        UsageError: the processor has not all of them.
    """
    if not rule.register:
        return set()
    found = {register_of(rule, abi)}
    return found | {length_register(rule, abi)} if rule.type.kind == "gostring" and not rule.offsets else found

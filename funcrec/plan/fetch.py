"""FETCH lists of a pattern: text to values, by name or by raw rule.

By name: paths through the function's own parameters and results (`req.URL.Path`, `len(b)`), `$params`, `$results`.
Raw: the kernel's uprobe-event grammar (Documentation/trace/uprobetracer.rst) with the liberties that gofuncgraph and
go-ftrace allow. Only the words: `funcrec.plan.values` looks at types and makes read programs.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from funcrec.errors import UsageError
from funcrec.lang.path import Path, parse_path

MAX_VALUES = 64  # in one list
MAX_HOPS = 16  # dereferences in one raw rule
MAX_TEXT_BYTES = 2048  # of one value


class Special(StrEnum):
    """Whole lists by name."""

    PARAMETERS = "$params"
    RESULTS = "$results"


@dataclass(frozen=True, slots=True)
class NamedFetch:
    """A value by its name in the source.

    Attributes:
        name: key in every output, as it was written.
        path: what to show.
        text_bytes: own cap for text and bytes, 0 for the default.
    """

    name: str
    path: Path
    text_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RawType:
    """What the bytes of a raw rule are: letter u s x f, `bool`, `c`, `string` or `gostring`; array length 0 for one."""

    kind: str
    size: int
    count: int = 0

    def __str__(self) -> str:
        base = self.kind if self.kind in ("bool", "string", "gostring") else f"{self.kind}{self.size * 8}"
        return f"{base}[{self.count}]" if self.count else base


@dataclass(frozen=True, slots=True)
class RawFetch:
    """A value by rule.

    Attributes:
        name: key in every output; the rule itself when none was given.
        register: name as in abi.Register or Arm64Register or FIRST_RESULT, "" when the rule starts from a number.
        number: absolute address or constant.
        constant: True when the number itself is the value.
        offsets: of each dereference, innermost first; [] means the register itself.
        type: of the bytes found.
    """

    name: str
    register: str
    number: int
    constant: bool
    offsets: tuple[int, ...]
    type: RawType


Fetch = NamedFetch | RawFetch | Special

FIRST_RESULT = "$RETVAL"  # the register of the first result, whatever it is called
_REGISTERS = {name: name.upper() for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")}
_REGISTERS |= {"r" + name: upper for name, upper in list(_REGISTERS.items())}
_REGISTERS |= {f"r{n}": f"R{n}" for n in range(31)} | {f"x{n}": f"R{n}" for n in range(31)}
_RAW_TYPE = re.compile(r"(?:([usx])(8|16|32|64)|(f)(32|64)|(c)(\d+)|(bool|string|ustring|gostring))(?:\[(\d+)\])?")
_OFFSET = re.compile(r"(\*?)([+-]?(?:0[xX][0-9a-fA-F]+|\d+))?$")
_STACK = re.compile(r"\$stack(\d+)$")


def _bad(text: str, why: str) -> UsageError:
    return UsageError(
        f"'{text}' is not a value to fetch: {why}",
        remedy="write a path such as req.URL.Path, or a rule such as name=+16(%ax):u64",
    )


def parse_list(text: str) -> list[Fetch]:
    """Parse the inside of the parentheses of a pattern; blanks are allowed anywhere.

    Raises:
        UsageError: an item is malformed, a name appears twice or there are too many.
    """
    items = [item.strip() for item in _split(text)]
    if items == [""]:
        return []
    if len(items) > MAX_VALUES:
        raise UsageError(f"{len(items)} values for one function", remedy=f"ask for at most {MAX_VALUES}")
    found = [_parse(item) for item in items]
    names = [item.name for item in found if not isinstance(item, Special)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"the value '{name}' appears twice", remedy="give one of them another name: other=...")
    return found


def _split(text: str) -> list[str]:
    """Split at commas outside parentheses and brackets."""
    items, depth, start = [], 0, 0
    for at, character in enumerate(text):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
            if depth < 0:
                raise _bad(text, f"unexpected '{character}'")
        elif character == "," and depth == 0:
            items.append(text[start:at])
            start = at + 1
    if depth:
        raise _bad(text, "a ')' is missing")
    items.append(text[start:])
    return items


def _parse(item: str) -> Fetch:
    if not item:
        raise _bad(item, "it is empty")
    if item in tuple(Special):
        return Special(item)
    name, equals, rule = item.partition("=")
    if not equals:
        name, rule = "", item
    rule, name = rule.strip(), name.strip()
    if equals and not name:
        raise _bad(item, "the name before '=' is missing")
    if _is_raw(rule):
        return _raw(item, name, "".join(rule.split()))
    return _named(item, name, rule)


def _is_raw(rule: str) -> bool:
    return "%" in rule or rule[:1] in ("@", "\\", "+", "-", "$") or rule[:1].isdigit()


def _named(item: str, name: str, rule: str) -> NamedFetch:
    text_bytes = 0
    path, colon, cap = rule.rpartition(":")
    if colon:
        match = re.fullmatch(r"\s*c(\d+)\s*", cap)
        if match is None:
            raise _bad(item, f"'{cap.strip()}' is not a cap such as c256; its type is known")
        text_bytes = _text_bytes(item, int(match.group(1)))
        rule = path
    parsed = parse_path(rule)
    return NamedFetch(name or "".join(rule.split()), parsed, text_bytes)


def _text_bytes(item: str, bits: int) -> int:
    if bits == 0 or bits % 8 or bits // 8 > MAX_TEXT_BYTES:
        raise _bad(item, f"c{bits} is not a number of bits from c8 to c{MAX_TEXT_BYTES * 8} in whole bytes")
    return bits // 8


def _raw(item: str, name: str, rule: str) -> RawFetch:
    expression, colon, type_text = rule.rpartition(":")
    if not colon:
        expression, type_text = rule, "x64"
    type_ = _raw_type(item, type_text)
    levels, operand = _levels(item, expression)
    register, number, constant, offsets = _operand(item, operand)
    offsets += _dereferences(item, levels)
    if len(offsets) > MAX_HOPS:
        raise _bad(item, f"more than {MAX_HOPS} dereferences")
    if constant and offsets:
        raise _bad(item, "a constant cannot be dereferenced; write @ADDRESS")
    if type_.kind in ("string", "c") and not register and constant:
        raise _bad(item, "a constant is no text")
    return RawFetch(name or rule, register, number, constant, tuple(offsets), type_)


def _raw_type(item: str, text: str) -> RawType:
    match = _RAW_TYPE.fullmatch(text)
    if match is None:
        raise _bad(
            item, f"'{text}' is not one of u8..u64 s8..s64 x8..x64 f32 f64 bool cN string gostring, with [n] for arrays"
        )
    letter, bits, float_, float_bits, characters, character_bits, word, count = match.groups()
    length = int(count) if count is not None else 0
    if count is not None and length == 0:
        raise _bad(item, "an array of no elements")
    if characters:
        found = RawType("c", _text_bytes(item, int(character_bits)), length)
    elif word:
        found = RawType(word.removeprefix("u"), {"bool": 1, "gostring": 16}.get(word, 0), length)
    else:
        found = RawType(letter or float_, int(bits or float_bits) // 8, length)
    if length and found.kind in ("string", "gostring"):
        raise _bad(item, f"arrays of {found.kind} are not supported")
    if found.size * max(length, 1) > MAX_TEXT_BYTES:
        raise _bad(item, f"more than {MAX_TEXT_BYTES} bytes")
    return found


def _levels(item: str, expression: str) -> tuple[list[tuple[bool, int | None]], str]:
    """The offsets written around the operand, outermost first, each with whether it has a `*`; and the operand."""
    levels: list[tuple[bool, int | None]] = []
    while expression.endswith(")"):
        opening = expression.index("(") if "(" in expression else -1
        if opening < 0:
            raise _bad(item, "'(' is missing")
        match = _OFFSET.fullmatch(expression[:opening])
        if match is None:
            raise _bad(item, f"'{expression[:opening]}' is not an offset")
        number = match.group(2)
        levels.append((bool(match.group(1)), None if number is None else int(number, 0)))
        expression = expression[opening + 1 : -1]
    star = expression.startswith("*")
    if star:  # `*%ax`
        levels.append((True, 0))
        expression = expression[1:]
    # `*+0%ax` never occurs; a bare number outside parentheses is no operand
    return levels, expression


def _dereferences(item: str, levels: list[tuple[bool, int | None]]) -> list[int]:
    """Offsets of the dereferences, innermost first.

    Without a `*`, every OFF(...) reads memory at its operand + OFF, as in the kernel; plain parentheses only group.
    With one, as in go-ftrace, OFF(...) only adds, `*OFF(...)` reads an address, and the value lies at the address that
    results.
    """
    starred = any(star for star, _ in levels)
    offsets: list[int] = []
    pending = 0
    for star, number in reversed(levels):
        if number is None and not star:
            continue
        if not starred:
            offsets.append(number or 0)
        elif star:
            offsets.append(pending + (number or 0))
            pending = 0
        else:
            pending += number or 0
    if starred:
        offsets.append(pending)
    if any(not -(1 << 62) < offset < 1 << 62 for offset in offsets):
        raise _bad(item, "an offset is too large")
    return offsets


def _operand(item: str, operand: str) -> tuple[str, int, bool, list[int]]:
    if operand.startswith("%"):
        register = _REGISTERS.get(operand[1:])
        if register is None:
            raise _bad(item, f"'{operand}' is not a register (ax bx cx dx si di bp sp r8..r15; on arm64 r0..r30 sp)")
        return register, 0, False, []
    stack = _STACK.match(operand)
    if stack:
        return "SP", 0, False, [8 * int(stack.group(1))]
    if operand == "$stack":
        return "SP", 0, False, []
    if operand == "$retval":
        return FIRST_RESULT, 0, False, []
    if operand[:1] in ("@", "\\"):
        try:
            number = int(operand[1:], 0)
        except ValueError:
            raise _bad(item, f"'{operand[1:]}' is not a number") from None
        if not -(1 << 63) <= number < 1 << 64:
            raise _bad(item, "the number has more than 64 bits")
        return "", number, operand[0] == "\\", [] if operand[0] == "\\" else [0]
    raise _bad(item, f"'{operand}' is not a register, an @address or a \\constant")

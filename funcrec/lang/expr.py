"""The expression grammar of --where, --by and --if: text to a tree of our own. What names mean is not known here.

    or:       and ("or" and)*
    and:      not ("and" not)*
    not:      "not" not | comparison
    compare:  sum [("==" | "!=" | "<" | "<=" | ">" | ">=" | "=~") sum]
    sum:      term (("+" | "-") term)*
    term:     unary (("*" | "/" | "//" | "%") unary)*
    unary:    ("-" | "*") unary | primary
    primary:  number[unit] | "text" | true | false | nil | name | ("len" | "cap") "(" or ")" | "(" or ")"
    name:     word ("." word | "[" digits "]")*

`&&`, `||` and `!` are read as `and`, `or` and `not`. `=~` matches a glob, the pattern stands on its right.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from funcrec.errors import UsageError
from funcrec.lang.tree import (
    COMPARISONS,
    Binary,
    Literal,
    Name,
    Node,
    Size,
    Unary,
    children,
    height,
    quote,
    type_name,
    walk,
)
from funcrec.units import parse_duration_ns, parse_size_bytes

__all__ = ["Binary", "Literal", "Name", "Node", "Size", "Unary", "children", "parse", "quote", "type_name", "walk"]

MAX_LENGTH = 4096  # characters of an expression
MAX_NESTING = 40  # levels of parentheses and prefixes
MAX_HEIGHT = 200  # levels of the tree, so that walking it by recursion is safe

_KEYWORDS = {"and", "or", "not", "true", "false", "nil"}
_ALIASES = {"&&": "and", "||": "or", "!": "not"}
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "nil": None}
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+(?![A-Za-z]))?)(?P<unit>[A-Za-zµμ]*)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<name>(?:[^\W\d]|[$~])[\w$~·]*)
    | (?P<operator>&&|\|\||==|!=|<=|>=|=~|//|[-+*/%<>()!.\[\]])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)


def parse(text: str) -> Node:
    """Parse an expression.

    Raises:
        UsageError: with the column where it stops making sense.
    """
    return _Parser(text).parse()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    unit: str = ""


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_LENGTH:
            raise UsageError(
                f"the expression has {len(text)} characters", remedy=f"use at most {MAX_LENGTH}; split it with and"
            )
        self.tokens = self._tokens()
        self.at = 0
        self.depth = 0

    def parse(self) -> Node:
        node = self._or()
        token = self._peek()
        if token.kind != "end":
            if token.text in COMPARISONS:
                self._fail("comparisons do not chain", token, "join two comparisons with and")
            self._fail(f"'{token.text}' does not fit here", token)
        if height(node) > MAX_HEIGHT:
            self._fail("it is too long", self.tokens[0], f"join at most {MAX_HEIGHT} parts")
        return node

    def _fail(self, why: str, token: _Token, remedy: str = "write it like 'dur > 1ms and len(b) >= 4KB'") -> NoReturn:
        raise UsageError(f"in the expression {quote(self.text)}, column {token.start + 1}: {why}", remedy=remedy)

    def _tokens(self) -> list[_Token]:
        tokens, at = [], 0
        end = len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None:
                start = at + len(self.text[at:]) - len(self.text[at:].lstrip())
                char = self.text[start]
                token = _Token("bad", char, start)
                if char in "\"'":
                    self._fail("the text is not closed", token, f"close it with {char}")
                self._fail(
                    f"{quote(char)} means nothing here", token, "compare with ==" if char == "=" else "remove it"
                )
            kind = "number" if match.lastgroup == "unit" else str(match.lastgroup)
            word, start = match[kind], match.start(kind)
            if kind == "operator" and word in _ALIASES:
                kind, word = "name", _ALIASES[word]
            tokens.append(_Token(kind, word, start, match["unit"] or ""))
            at = match.end()
        tokens.append(_Token("end", "the end", end))
        return tokens

    def _peek(self) -> _Token:
        return self.tokens[self.at]

    def _next(self) -> _Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def _accept(self, *texts: str) -> str | None:
        token = self._peek()
        if token.kind in ("operator", "name") and token.text in texts:
            self.at += 1
            return token.text
        return None

    def _expect(self, text: str) -> None:
        if self._accept(text) is None:
            self._fail(f"'{text}' is missing before '{self._peek().text}'", self._peek(), f"add '{text}'")

    def _descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            self._fail("it is nested too deeply", self._peek(), f"use at most {MAX_NESTING} levels")

    def _or(self) -> Node:
        self._descend()
        node = self._and()
        while self._accept("or"):
            node = Binary("or", node, self._and())
        self.depth -= 1
        return node

    def _and(self) -> Node:
        node = self._not()
        while self._accept("and"):
            node = Binary("and", node, self._not())
        return node

    def _not(self) -> Node:
        if self._accept("not"):
            self._descend()
            node = Unary("not", self._not())
            self.depth -= 1
            return node
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._sum()
        start = self._peek()
        operator = self._accept(*COMPARISONS)
        if operator is None:
            return left
        right = self._sum()
        if operator == "=~" and not (isinstance(right, Literal) and isinstance(right.value, str)):
            self._fail("=~ wants a glob on its right", start, 'write it like func =~ "main.*"')
        self._check_constants(left, right, start)
        return Binary(operator, left, right)

    def _check_constants(self, left: Node, right: Node, token: _Token) -> None:
        kinds = [type_name(node) for node in (left, right)]
        if None not in kinds and kinds[0] != kinds[1]:
            self._fail(f"{kinds[0]} cannot be compared with {kinds[1]}", token, "compare like with like")

    def _sum(self) -> Node:
        node = self._term()
        while operator := self._accept("+", "-"):
            node = Binary(operator, node, self._term())
        return node

    def _term(self) -> Node:
        node = self._unary()
        while operator := self._accept("*", "/", "//", "%"):
            node = Binary(operator, node, self._unary())
        return node

    def _unary(self) -> Node:
        operator = self._accept("-", "*")
        if operator is None:
            return self._primary()
        self._descend()
        node = Unary(operator, self._unary())
        self.depth -= 1
        return node

    def _primary(self) -> Node:
        token = self._next()
        if token.kind == "number":
            return self._number(token)
        if token.kind == "text":
            return Literal(self._unquote(token))
        if token.kind == "operator" and token.text == "(":
            node = self._or()
            self._expect(")")
            return node
        if token.kind != "name" or token.text in ("and", "or", "not"):
            self.at -= 1
            self._fail(f"a value is missing before '{token.text}'", token)
        if token.text in _CONSTANTS:
            return Literal(_CONSTANTS[token.text])
        if token.text in ("len", "cap") and self._accept("("):
            node = Size(token.text, self._or())
            self._expect(")")
            return node
        return self._name(token)

    def _name(self, token: _Token) -> Node:
        path: list[str | int] = [token.text]
        while step := self._accept(".", "["):
            word = self._next()
            if step == ".":
                if word.kind != "name" or word.text in _KEYWORDS:
                    self._fail("a field name is missing after '.'", word)
                path.append(word.text)
                continue
            if word.kind != "number" or not word.text.isdecimal() or word.unit:
                self._fail("an index is a plain number", word, "write it like items[3]")
            path.append(int(word.text))
            self._expect("]")
        return Name(tuple(path))

    def _number(self, token: _Token) -> Literal:
        source = token.text + token.unit
        digits = token.text.replace("_", "")
        value: int | float
        if not token.unit:
            is_hex = digits[:2].lower() == "0x"
            value = int(digits, 16) if is_hex else float(digits) if set(digits) & set(".eE") else int(digits)
        elif token.unit == "M":
            self._fail(f"{source} could be minutes or megabytes", token, f"write {digits}m or {digits}MB")
        elif token.unit.lower().endswith(("b", "k", "g", "t")):
            value = self._with_unit(parse_size_bytes, digits, token)
        else:
            value = self._with_unit(parse_duration_ns, digits, token)
        if not -(1 << 63) <= value < 1 << 64:
            self._fail(f"{source} does not fit in 64 bits", token, "use a smaller number")
        return Literal(value, source)

    def _with_unit(self, parse_unit: Callable[[str], int], digits: str, token: _Token) -> int:
        try:
            return parse_unit(digits + token.unit)
        except UsageError as error:
            self._fail(error.cause, token, error.remedy)

    def _unquote(self, token: _Token) -> str:
        def replace(match: re.Match[str]) -> str:
            code = match[1]
            if len(code) > 1:
                number = int(code[1:], 16)
                if number > 0x10FFFF:
                    self._fail(f"\\{code} is no character", token)
                return chr(number)
            if code not in _ESCAPES:
                self._fail(f"\\{code} is an unknown escape", token, "write a backslash as \\\\")
            return _ESCAPES[code]

        return _ESCAPE.sub(replace, token.text[1:-1])

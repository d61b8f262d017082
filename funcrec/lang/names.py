"""Go symbol names: how to show them, and what their parts say.

Sources: Go 1.18-1.27 `cmd/internal/objabi.PathToPrefix` (escapes), and what the compiler calls what it generates.
"""

import re

_GENERATED = re.compile(r"(?:type|go)(?::|\.\.)|go\.[^a-zA-Z_]|type\.[^a-zA-Z_]")
_SYNTHETIC = re.compile(r"-fm$|\.(?:gowrap|deferwrap)\d+$|(?:^|\.)map\.init\.\d+$")


def package_end(symbol: str) -> int:
    """Where the package path of a raw symbol ends (index of its dot), 0 when the name has none.

    The part in brackets of a generic name holds other package paths, and dots after the last slash of a path are
    escaped: the first dot behind the last slash before any bracket is the one.
    """
    bracket = symbol.find("[")
    head = symbol if bracket < 0 else symbol[:bracket]
    return max(head.find(".", head.rfind("/") + 1), 0)


def unescape(text: str) -> str:
    """Undo the `%xx` escapes of a package path (UTF-8 bytes); text without valid escapes is returned as it is."""
    if "%" not in text:
        return text
    raw = text.encode("utf-8", "surrogateescape")
    data = re.sub(rb"%([0-9a-fA-F]{2})", lambda match: bytes([int(match[1], 16)]), raw)
    return data.decode("utf-8", "replace")


def display_name(symbol: str) -> str:
    """The name shown for a raw symbol: package path unescaped, `·` written as a dot."""
    name = symbol.replace("·", ".")
    if "%" not in name:
        return name
    end = package_end(name)
    return unescape(name[:end]) + name[end:]


def package_path(symbol: str) -> str:
    """Import path of the package of a raw symbol, unescaped; "" for names without one."""
    return unescape(symbol[: package_end(symbol)])


def without_type_arguments(name: str, replacement: str = "") -> str:
    """`main.(*GT[go.shape.string]).Get` -> `main.(*GT).Get`; brackets may nest.

    Args:
        name: a symbol.
        replacement: what to put in place of each bracket group, such as `[...]`.
    """
    if "[" not in name:
        return name
    parts = []
    depth = start = 0
    for at, letter in enumerate(name):
        if letter == "[":
            if depth == 0:
                parts.append(name[start:at] + replacement)
            depth += 1
        elif letter == "]" and depth:
            depth -= 1
            start = at + 1
    if depth:  # an unbalanced bracket is part of the name
        return name
    parts.append(name[start:])
    return "".join(parts)


def is_generated(symbol: str) -> bool:
    """True for what the compiler made up: type algorithms, `-fm`, gowrap, deferwrap, `pkg.init`, `map.init.N`.

    User functions `init.0`, closures and bodies of range-over-func loops are not generated.
    """
    if _GENERATED.match(symbol) or _SYNTHETIC.search(symbol):
        return True
    end = package_end(symbol)
    return end > 0 and symbol[end:] == ".init"


def is_go_name(symbol: str) -> bool:
    """True for names of the form `pkg.Func`; C functions linked into a Go program have no dot."""
    return package_end(symbol) > 0


def is_vendored(package: str) -> bool:
    """True for packages below a vendor directory, as the standard library and cmd have them."""
    return package.startswith("vendor/") or "/vendor/" in package

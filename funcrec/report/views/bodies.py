"""The right part of a call graph's line: indentation, name, values, state, call site. Made once per kind of line."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.filters import Selection
from funcrec.report.labels import function_names
from funcrec.report.request import OutputRequest
from funcrec.report.text import Palette, printable
from funcrec.report.views.lines import LineKind

INDENT = 2  # columns per level
MAX_INDENT = 40  # deeper levels are numbered instead
CALLER_COLUMN = 48  # where the call site stands when there is room
MAX_LEVEL = (1 << 12) - 1
_MAX_SITE = (1 << 23) - 1
_STATES = [state.label for state in State]

Keys = NDArray[np.int64]


def line_keys(
    function: NDArray[np.uint32],
    site: NDArray[np.uint32],
    level: NDArray[np.uint32],
    kind: NDArray[np.uint8],
    state: NDArray[np.uint8],
) -> Keys:
    """Pack what a line looks like into one number; `Bodies` unpacks it."""
    key = function.astype(np.int64)
    # The end of a call shows no call site, so that all its ends look the same.
    shown = (kind != LineKind.END) & (site <= _MAX_SITE)
    key = (key << 23) | np.where(shown, site, 0)
    key = (key << 12) | np.minimum(level, MAX_LEVEL)
    return (key << 5) | (kind.astype(np.int64) << 3) | state


class Bodies(dict[int, bytes]):
    """Text of a line by its key, in UTF-8 with the line end."""

    def __init__(self, selection: Selection, output: OutputRequest, palette: Palette, *, callers: bool = True) -> None:
        super().__init__()
        trace = selection.trace
        self._names = [printable(name) for name in function_names(trace, output.names)]
        self._palette = palette
        self._callers = callers
        self._trace = trace
        self._srcline = output.srcline

    def __missing__(self, key: int) -> bytes:
        text = self.text(key)
        if len(self) < 1 << 18:  # deep recursion from ever new call sites must not fill the memory
            self[key] = text
        return text

    def text(self, key: int, arguments: str = "", results: str = "") -> bytes:
        """Make the line of a key, with values when it has any."""
        state, kind = key & 7, LineKind((key >> 3) & 3)
        level, site, function = (key >> 5) & MAX_LEVEL, (key >> 17) & _MAX_SITE, key >> 40
        name, palette = self._names[function], self._palette
        indent = " " * (INDENT * min(level, MAX_INDENT)) + (f"({level}) " if level > MAX_INDENT else "")
        returned = f" = {results}" if results else ""
        if kind == LineKind.END:
            plain = f"{indent}}}{returned}"
            comment = f"  /* {name} */"
            text = plain + palette.paint(comment, palette.dim)
            width = len(plain) + len(comment)
        else:
            after = " {" if kind == LineKind.BEGIN else returned
            text = f"{indent}{palette.paint(name, palette.bold)}({arguments}){after}"
            width = len(indent) + len(name) + len(arguments) + len(after) + 2
        if state != State.RETURNED and (kind != LineKind.BEGIN or state == State.OPEN):
            text += "  " + palette.paint(_STATES[state], palette.magenta if state == State.OPEN else palette.red)
            width += 2 + len(_STATES[state])
        caller = self._site(site, function) if kind != LineKind.END else ""
        if caller:
            text += " " * max(CALLER_COLUMN - width, 2) + palette.paint(caller, palette.dim)
        return (text + "\n").encode("utf-8", "backslashreplace")

    def _site(self, number: int, function: int) -> str:
        if not self._callers:
            return ""
        parts = []
        if 0 < number <= len(self._trace.call_sites):
            site = self._trace.call_sites[number - 1]
            file = site.file if self._srcline else site.file.rpartition("/")[2]
            parts.append(f"{file}:{site.line}" if site.file else site.name and f"{site.name}+{site.offset:#x}")
        if self._srcline:
            facts = self._trace.functions[function]
            parts.append(f"defined at {facts.file}:{facts.line}" if facts.file else "")
        return printable(", ".join(part for part in parts if part))


def results_text(results: dict[str, Any]) -> str:
    """`3` for a single result, `(n=3, err=nil)` for several, "" for none."""
    from funcrec.report.valuetext import format_value, format_values

    if len(results) == 1:
        return format_value(next(iter(results.values())))
    return f"({format_values(results)})" if results else ""

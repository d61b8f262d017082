"""The call graph in time order: one line for a leaf call, `{ }` around what a call called.

The left part of a line (time, duration, goroutine) is made of numpy columns, the right part looked up by what the line
looks like, so that a line costs little more than joining two pieces.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import UsageError
from funcrec.report.calls import State
from funcrec.report.export.rows import call_values
from funcrec.report.filters import Selection
from funcrec.report.grouping import encode
from funcrec.report.passing import Passing
from funcrec.report.request import FilterRequest, OutputRequest
from funcrec.report.text import Output
from funcrec.report.trace import Trace
from funcrec.report.views import digits
from funcrec.report.views.bodies import CALLER_COLUMN, Bodies, line_keys, results_text
from funcrec.report.views.heading import heading, heading_before
from funcrec.report.views.lines import Index, LineKind, Lines, Reached, Rows, call_lines, open_until, window_lines
from funcrec.report.views.notes import Stack, add_notes
from funcrec.report.views.table import Column, choose_columns

FIELDS = (Column("seconds"), Column("duration"), Column("goid"), Column("caller"))
CHUNK = 16_384  # lines made at once, so that the first ones appear early
_SYSTEM = ("", " g0", " sig")
Bytes = NDArray[np.uint8]


def write_callgraph(output: Output, selection: Selection, request: OutputRequest) -> None:
    """Write heading and lines.

    Raises:
        UsageError: an unknown field, or an order other than that of time.
        TraceError: values cannot be read.
    """
    fields = _fields(request)
    _write_heading(output, heading(selection))
    writer = _Writer(output, selection, request, fields)
    writer.write_title()
    writer.write()


def write_passing(output: Output, trace: Trace, passing: Passing, request: OutputRequest) -> int:
    """Write the same of all calls of a large trace, window by window, and return how many there were.

    What is not known before the first line is decided by the first window: whether blank lines stand where another
    goroutine goes on. How much of the time in calls is cost of the probes is not said.

    Raises:
        UsageError: an unknown field, or an order other than that of time.
        TraceError: the trace cannot be read.
    """
    fields = _fields(request)
    _write_heading(output, heading_before(trace, passing.hits))
    way: _Way | None = None
    shown = 0
    for window in passing.windows:
        every = np.ones(len(window.calls), dtype=bool)
        selection = Selection(trace, window.calls, every, FilterRequest(), window)
        is_first = way is None
        way = way or _Way(passing, Bodies(selection, request, output.palette, callers="caller" in fields))
        writer = _Writer(output, selection, request, fields, way)
        if is_first:
            writer.write_title()
        writer.write()
        shown += len(selection)
    return shown


def _fields(request: OutputRequest) -> set[str]:
    if request.sort is not None:
        raise UsageError(
            "the call graph is in time order", remedy="sort rows with --format csv, or functions with stat"
        )
    return {column.key for column in choose_columns(request.fields, FIELDS, [column.key for column in FIELDS])}


def _write_heading(output: Output, lines: list[str]) -> None:
    palette = output.palette
    legend = "  ".join(f"{mark} {_limit(limit)}" for limit, mark in digits.MARKS)
    for line in [*lines, f"marks: {legend}  > still running", ""]:
        output.line(palette.paint(f"# {line}".rstrip(), palette.dim))


def _limit(ns: int) -> str:
    return f">{ns // 1000}us" if ns < 10**6 else f">{ns // 10**6}ms" if ns < 10**9 else ">1s"


@dataclass
class _Way:
    """What goes on from one window to the next.

    Attributes:
        passing: known before.
        bodies: texts of lines.
        reached: of calls that outlive windows. seen: goroutines that had lines.
        spaced: blank lines stand where another goroutine goes on; None until the first window has said so.
        last: process and goroutine of the last line, None when it had none or there was no line.
    """

    passing: Passing
    bodies: Bodies
    reached: Reached = field(default_factory=Reached)
    seen: set[Stack] = field(default_factory=set)
    spaced: bool | None = None
    last: Stack | None = None
    begun: bool = False


class _Writer:
    def __init__(
        self,
        output: Output,
        selection: Selection,
        request: OutputRequest,
        fields: set[str],
        way: _Way | None = None,
    ) -> None:
        self.output, self.selection, self.calls, self.way = output, selection, selection.calls, way
        window = selection.window
        if way is None or window is None:
            self.bodies = Bodies(selection, request, output.palette, callers="caller" in fields)
            lines = call_lines(selection)
            self.labels, self.label_of = _goroutine_labels(selection, selection.rows)
            self.lines, self.notes, self.note_rows = add_notes(selection, lines, request)
        else:
            self.bodies = way.bodies
            lines = window_lines(selection, window, way.reached)
            self.labels, self.label_of = _goroutine_labels(selection, np.arange(len(selection.calls)), way.passing)
            self.lines, self.notes, self.note_rows = add_notes(selection, lines, request, way.seen)
        self.columns = _Columns(self.lines, selection, fields, output.palette.enabled, passing=way is not None)
        if "goid" not in fields:
            self.labels = self.labels[:, :0]

    def write_title(self) -> None:
        title = self.columns.title() + ("goid".ljust(width) if (width := self.labels.shape[1]) else "")
        title += "function".ljust(CALLER_COLUMN) + "called at"
        self.output.line(self.output.palette.paint("#" + title[1:], self.output.palette.dim))

    def write(self) -> None:
        switches = self._switches()
        if self.way is not None and len(self.lines):
            self._join(self.way)
        for first in range(0, len(self.lines), CHUNK):
            at = slice(first, first + CHUNK)
            pieces = self._bodies(at)
            for line in np.flatnonzero(switches[at]).tolist():
                pieces[line] += b"\n"  # a blank line where another goroutine goes on
            joined: list[bytes] = [b""] * (2 * len(pieces))
            joined[::2] = self._prefixes(at)
            joined[1::2] = pieces
            self.output.write_bytes(b"".join(joined))
            if first == 0:
                self.output.flush()

    def _goroutines(self, at: slice) -> Rows:
        """Number of the goroutine label of each line, 0 for none."""
        row = self.lines.row[at]
        notes = self.lines.kind[at] == LineKind.NOTE
        if notes.any():
            row = np.where(notes, self.note_rows[np.where(notes, row, 0)], row)
        return np.where(row >= 0, self.label_of[row], 0)

    def _switches(self) -> NDArray[np.bool_]:
        """Lines after which another goroutine goes on; none at all where that is nearly everywhere."""
        label = self._goroutines(slice(None))
        switches = np.zeros(len(label), dtype=bool)
        switches[:-1] = label[1:] // len(_SYSTEM) != label[:-1] // len(_SYSTEM)
        spaced = None if self.way is None else self.way.spaced
        if spaced is None:
            spaced = not np.count_nonzero(switches) * 2 > len(label) > 64
        if self.way is not None:
            self.way.spaced = spaced
        if not spaced:
            switches[:] = False
        return switches

    def _join(self, way: _Way) -> None:
        """Go on where the last window ended: a blank line when that was another goroutine."""
        first, last = (self._stack_of(at) for at in (0, len(self.lines) - 1))
        if way.begun and way.spaced and first != way.last:
            self.output.write_bytes(b"\n")
        way.begun, way.last = True, last

    def _stack_of(self, line: int) -> Stack | None:
        row = int(self.lines.row[line])
        if self.lines.kind[line] == LineKind.NOTE:
            row = int(self.note_rows[row])
        return (int(self.calls.pid[row]), int(self.calls.goid[row])) if row >= 0 else None

    def _prefixes(self, at: slice) -> list[bytes]:
        fields = self.columns.make(at)
        label = self.labels[self._goroutines(at)]
        matrix = np.concatenate((fields, label), axis=1)
        if matrix.shape[1] == 0:
            return [b""] * len(matrix)
        prefixes: list[bytes] = matrix.view(f"S{matrix.shape[1]}")[:, 0].tolist()
        return prefixes

    def _bodies(self, at: slice) -> list[bytes]:
        row, kind = self.lines.row[at], self.lines.kind[at]
        notes = np.flatnonzero(kind == LineKind.NOTE)
        calls = self.calls
        if len(calls) == 0:
            return [self._note(number) for number in row.tolist()]
        of = np.where(kind == LineKind.NOTE, 0, row)
        keys = line_keys(calls.function[of], calls.caller[of], self.lines.level[of], kind, calls.state[of]).tolist()
        if len(notes):
            skip = set(notes.tolist())
            pieces = [b"" if line in skip else self.bodies[key] for line, key in enumerate(keys)]
            for line in notes.tolist():
                pieces[line] = self._note(int(row[line]))
        else:
            pieces = list(map(self.bodies.__getitem__, keys))
        if self.selection.trace.reader.plans:
            self._add_values(pieces, keys, row, kind)
        return pieces

    def _note(self, number: int) -> bytes:
        palette = self.output.palette
        style = palette.red if self.note_rows[number] < 0 else palette.dim
        return (palette.paint(self.notes[number], style) + "\n").encode("utf-8", "backslashreplace")

    def _add_values(self, pieces: list[bytes], keys: list[int], row: Rows, kind: NDArray[np.uint8]) -> None:
        """Replace the lines of calls with values."""
        from funcrec.report.valuetext import format_values

        at = np.flatnonzero(kind != LineKind.NOTE)
        values = call_values(self.selection, row[at]) or []
        for line, (arguments, results) in zip(at.tolist(), values, strict=True):
            if arguments or results:
                pieces[line] = self.bodies.text(keys[line], format_values(arguments), results_text(results))


class _Columns:
    """Elapsed time and duration of lines as bytes."""

    def __init__(
        self, lines: Lines, selection: Selection, fields: set[str], color: bool, *, passing: bool = False
    ) -> None:
        self.fields = fields
        self.lines, self.selection, self.calls = lines, selection, selection.calls
        self.start_ns = selection.trace.start_ns
        longest = int(lines.time_ns.max(initial=self.start_ns)) - self.start_ns
        if passing:  # as wide as those of all windows
            ends_ns = [process.end_ns for process in selection.trace.processes]
            longest = max([selection.trace.end_ns, *ends_ns]) - self.start_ns
        self.elapsed, self.duration = digits.seconds_width(longest), digits.duration_width(longest)
        self.color = color
        marks = [" ", *(mark for _, mark in digits.MARKS), ">"]
        self.marks = np.frombuffer("".join(marks).encode(), dtype=np.uint8)
        styles = [39, 39, 39, 33, 31, 31, 31, 35]  # default, yellow, red, magenta
        table = "".join(f"\x1b[{style}m" for style in styles).encode()
        self.styles = np.frombuffer(table, dtype=np.uint8).reshape(len(styles), -1)

    def make(self, at: slice) -> Bytes:
        """Return the columns of some lines: (k, width) bytes."""
        lines, calls = self.lines, self.calls
        kind, time_ns = lines.kind[at], lines.time_ns[at]
        row = np.where(kind == LineKind.NOTE, 0, lines.row[at])
        duration, known = self._durations(row, kind)
        running = known & (calls.state[row] == State.OPEN) if len(calls) else known
        mark = np.where(running, len(self.marks) - 1, digits.mark_of(duration))
        parts = [np.empty((len(row), 0), dtype=np.uint8)]
        if "seconds" in self.fields:
            elapsed = np.empty((len(row), self.elapsed), dtype=np.uint8)
            digits.put_seconds(elapsed, np.maximum(time_ns - self.start_ns, 0))
            parts += self._styled(_constant(b"\x1b[2m", len(row)), elapsed)
        if "duration" in self.fields:
            field = np.empty((len(row), self.duration + 2), dtype=np.uint8)
            field[:, 0], field[:, 1] = self.marks[mark], 32
            digits.put_durations(field[:, 2:], duration)
            field[~known] = 32
            parts += self._styled(self.styles[mark], field)
        return np.concatenate(parts, axis=1)

    def title(self) -> str:
        """Return the heading of the columns."""
        title = f"{'seconds':>{self.elapsed}}  " if "seconds" in self.fields else ""
        return title + (f"{'duration':>{self.duration + 2}}  " if "duration" in self.fields else "")

    def _styled(self, style: Bytes, field: Bytes) -> list[Bytes]:
        gap = _constant(b"  ", len(field))
        return [style, field, _constant(b"\x1b[0m", len(field)), gap] if self.color else [field, gap]

    def _durations(self, row: Rows, kind: NDArray[np.uint8]) -> tuple[Index, NDArray[np.bool_]]:
        calls = self.calls
        if len(calls) == 0:
            return np.zeros(len(row), dtype=np.int64), np.zeros(len(row), dtype=bool)
        end_ns = calls.end_ns[row]
        still = np.flatnonzero(calls.state[row] == State.OPEN)
        end_ns[still] = open_until(self.selection, row[still])
        known = (end_ns >= 0) & ((kind == LineKind.LEAF) | (kind == LineKind.END))
        return np.where(known, np.maximum(end_ns - calls.start_ns[row], 0), 0), known


def _constant(text: bytes, count: int) -> Bytes:
    return np.broadcast_to(np.frombuffer(text, dtype=np.uint8), (count, len(text)))


def _goroutine_labels(
    selection: Selection, rows: Index, passing: Passing | None = None
) -> tuple[Bytes, NDArray[np.int32]]:
    """Texts `[  7]`, one for each goroutine and stack shown (label 0 is blank), and the label of each call.

    Labels of one goroutine follow each other in a group of len(_SYSTEM).
    """
    calls = selection.calls
    process, pids = encode(calls.pid[rows])
    goroutine, goids = encode(calls.goid[rows])
    both, pairs = encode(process * max(len(goids), 1) + goroutine)
    kinds = len(_SYSTEM)
    label_of = np.zeros(len(calls) + 1, dtype=np.int32)  # the last is what -1 reads
    label_of[rows] = (both + 1) * kinds + np.minimum(calls.stack[rows] & np.uint64(3), kinds - 1).astype(np.int64)
    several = (len(pids) if passing is None else passing.processes) > 1
    digits_goid = len(str(max(goids.tolist(), default=0) if passing is None else passing.last_goid))
    has_system = bool((calls.stack[rows] != 0).any())
    texts = [""] * kinds
    for pair in pairs.tolist():
        pid, goid = int(pids[pair // len(goids)]), int(goids[pair % len(goids)])
        process_text = f"{pid:>7} " if several else ""
        name = str(goid) if goid else "-"
        texts += [f"{process_text}[{name:>{digits_goid}}{suffix if has_system else ''}]" for suffix in _SYSTEM]
    least = "goid" if passing is None else " " * (digits_goid + 2 + 8 * several)
    width = max(len(text) for text in (*texts, least, "goid")) + 2
    table = np.frombuffer("".join(text.ljust(width) for text in texts).encode(), dtype=np.uint8)
    return table.reshape(len(texts), width), label_of

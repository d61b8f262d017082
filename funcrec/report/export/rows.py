"""One record per call, for programs: JSON lines, a JSON list, csv. The keys are a contract, `KEYS` lists them.

`id` is the call's number in the whole trace, whatever the filters; `parent` is the nearest caller that is shown.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.calls import State
from funcrec.report.filters import Selection
from funcrec.report.labels import caller_names, function_names
from funcrec.report.request import Format, Names, OutputRequest
from funcrec.report.sheet import Lexicon
from funcrec.report.text import Output
from funcrec.report.valuecells import Cell, Cells, Parts, united
from funcrec.report.valuecolumns import Column as ValueColumn
from funcrec.report.valuecolumns import Named, Numbers, Optional
from funcrec.report.views.table import Column, Row, choose_columns, csv_text, json_text, sort_rows, write_rows

_SITE_KEYS = ("caller", "caller_offset", "file", "line")
KEYS = (
    *("id", "parent", "pid", "goid", "tid", "func", "start_ns", "dur_ns", "self_ns", "depth", "state"),
    *_SITE_KEYS,
    *("args", "results"),
)
CHUNK = 20_000
# Places in the numbers of a row.
_OPTIONAL = (1, 7, 8)  # parent, duration, own time
_FUNCTION, _STATE, _CALLER = 5, 10, 11

Rows = NDArray[np.int64]
Values = list[tuple[dict[str, Any], dict[str, Any]]]


def write_calls(
    output: Output, pieces: Iterable[Selection], form: Format, names: Names = Names.FULL, top: int | None = None
) -> None:
    """Write the calls of selections, one after the other, each in start order.

    Args:
        output: where to.
        pieces: of one trace; `[selection]` for a whole one.
        form: of the file.
        names: how functions are called.
        top: at most so many calls.

    Raises:
        TraceError: values cannot be read.
    """
    if form == Format.CSV:
        output.write(csv_text(KEYS, ()))
    end = b",\n" if form == Format.JSON else b"\n"
    texts = _texts(pieces, form, names, top, end)
    if form != Format.JSON:
        for text in texts:
            output.write_bytes(text)
        return
    before = b"[\n"
    for text in texts:
        output.write_bytes(before + text.removesuffix(end))  # nothing stands behind the last
        before = end
    output.write("\n]\n" if before == end else "[]\n")


def _texts(pieces: Iterable[Selection], form: Format, names: Names, top: int | None, end: bytes) -> Iterator[bytes]:
    """Yield text of some calls at a time, with something behind each."""
    writer: CallRows | None = None
    written = 0
    for piece in pieces:
        selection = piece if top is None else piece.first(top - written)
        writer = CallRows(selection, names) if writer is None else writer.of(selection)
        for rows in _chunks(selection.rows):
            lines = writer.csv_lines(rows) if form == Format.CSV else writer.json_lines(rows)
            yield from lines.written(len(rows), end)
        written += len(selection)
        if top is not None and written >= top:
            return


def write_chosen(output: Output, selection: Selection, request: OutputRequest) -> None:
    """Write the calls with the columns, order and number that were asked for.

    Raises:
        UsageError: an unknown column.
        TraceError: values cannot be read.
    """
    available = [Column(key) for key in KEYS]
    columns = choose_columns(request.fields, available, KEYS)
    rows: Iterable[Row] = CallRows(selection, request.names).dicts(selection.rows)
    if request.sort is not None:
        rows = sort_rows(rows, request.sort, available)
    write_rows(output, columns, list(islice(rows, request.top)), request.format)


def call_values(selection: Selection, rows: Rows) -> Values | None:
    """Arguments and results of calls in the JSON forms of the contract; None when the trace has none."""
    if not selection.trace.reader.plans:
        return None
    # Decoding values is loaded only for traces that have some.
    from funcrec.report import arguments

    return arguments.call_values(selection.trace, selection.calls, rows)


def _value_cells(selection: Selection, rows: Rows) -> tuple[Cells, Cells]:
    """What `call_values` does, as JSON."""
    if not selection.trace.reader.plans:
        return Cells("{}"), Cells("{}")
    from funcrec.report import arguments

    arguments_, results = arguments.value_cells(selection.trace, selection.calls, rows)
    return united(arguments_, len(rows), "{}"), united(results, len(rows), "{}")


def _chunks(rows: Rows) -> Iterator[Rows]:
    for first in range(0, len(rows), CHUNK):
        yield rows[first : first + CHUNK]


class CallRows:
    """Makes records of calls; what functions and call sites look like is worked out once."""

    def __init__(self, selection: Selection, names: Names = Names.FULL) -> None:
        self.selection = selection
        self.functions = function_names(selection.trace, names)
        self.states = [state.label for state in State]
        self.sites = _sites(selection, names)

    def of(self, selection: Selection) -> "CallRows":
        """Go on with another part of the same trace."""
        self.selection = selection
        return self

    def dicts(self, rows: Rows) -> Iterator[dict[str, Any]]:
        """Yield each row as a dict with the keys of the contract."""
        for values in self.tuples(rows):
            yield dict(zip(KEYS, values, strict=True))

    def tuples(self, rows: Rows) -> Iterator[tuple[Any, ...]]:
        """Yield each row as a tuple in the order of KEYS, with None for null."""
        values = call_values(self.selection, rows) or [({}, {}) for _ in range(len(rows))]
        columns: list[list[Any]] = [numbers.tolist() for numbers in self._numbers(rows)]
        for column in _OPTIONAL:
            columns[column] = [None if number < 0 else number for number in columns[column]]
        for (*head, function, start, duration, own, depth, state, caller), (args, results) in zip(
            zip(*columns, strict=True), values, strict=True
        ):
            name, label = self.functions[function], self.states[state]
            yield (*head, name, start, duration, own, depth, label, *self.sites[caller], args, results)

    def json_lines(self, rows: Rows) -> Cells:
        """Return a JSON object for each row."""
        head = ",".join(f'"{key}":%s' for key in KEYS if key not in (*_SITE_KEYS, "args", "results"))
        inner = [
            cells.within(f',"{key}":', "")
            for key, cells in zip(("args", "results"), _value_cells(self.selection, rows), strict=True)
        ]
        template = "{" + head + ",%s" + "".join(cells.template for cells in inner) + "}"
        columns = self._columns(rows, "null", *self._json)
        return Cells(template, (*columns, *(column for cells in inner for column in cells.columns)))

    def csv_lines(self, rows: Rows) -> Cells:
        """Return a line of csv for each row."""
        inner = [_csv_cells(cells) for cells in _value_cells(self.selection, rows)]
        template = ",".join(["%s"] * 12 + [cells.template for cells in inner])
        columns = self._columns(rows, "", *self._csv)
        return Cells(template, (*columns, *(column for cells in inner for column in cells.columns)))

    @cached_property
    def _json(self) -> tuple[Lexicon, Lexicon, Lexicon]:
        sites = [json_text(dict(zip(_SITE_KEYS, site, strict=True)))[1:-1] for site in self.sites]
        return Lexicon(map(json_text, self.functions)), Lexicon(map(json_text, self.states)), Lexicon(sites)

    @cached_property
    def _csv(self) -> tuple[Lexicon, Lexicon, Lexicon]:
        functions = [_csv_line((name,)) for name in self.functions]
        return Lexicon(functions), Lexicon(self.states), Lexicon(map(_csv_line, self.sites))

    def _columns(self, rows: Rows, null: str, functions: Lexicon, states: Lexicon, sites: Lexicon) -> list[ValueColumn]:
        """What stands before the values of each row; `null` stands for what is unknown."""
        lexicons = {_FUNCTION: functions, _STATE: states, _CALLER: sites}
        return [
            Named(lexicons[at], numbers)
            if at in lexicons
            else (Optional(numbers, null) if at in _OPTIONAL else Numbers(numbers))
            for at, numbers in enumerate(self._numbers(rows))
        ]

    def _numbers(self, rows: Rows) -> list[NDArray[Any]]:
        """Of each row all but the values, as numbers: negative where it is unknown, those of names by table."""
        calls = self.selection.calls
        start_ns, end_ns = calls.start_ns[rows], calls.end_ns[rows]
        return [
            self.selection.numbers(rows),
            self.selection.numbers(self.selection.parents[rows]),
            calls.pid[rows],
            calls.goid[rows],
            calls.tid[rows],
            calls.function[rows],
            start_ns - self.selection.trace.start_ns,
            np.where(end_ns >= 0, end_ns - start_ns, -1),
            calls.self_ns[rows],
            calls.depth[rows],
            calls.state[rows],
            calls.caller[rows],
        ]


def _csv_cells(cells: Cells) -> Cells:
    """JSON objects as csv cells: all but the empty one have quotation marks."""
    if len(cells.columns) == 1 and isinstance(cells.columns[0], Parts) and cells.template == "%s":
        return Cells("%s", (Parts(tuple((at, _csv_cells(part)) for at, part in cells.columns[0].parts)),))
    return cells if cells.template == "{}" else Cells("%s", (Cell(cells),))


def _csv_line(cells: Sequence[Any]) -> str:
    return csv_text((), (cells,)).removesuffix("\n")


def _sites(selection: Selection, names: Names) -> list[tuple[str | None, int | None, str | None, int | None]]:
    """Caller, offset, file and line by call site id + 1; None where unknown."""
    callers = caller_names(selection.trace, names)
    sites: list[tuple[str | None, int | None, str | None, int | None]] = [(None, None, None, None)]
    for site, caller in zip(selection.trace.call_sites, callers[1:], strict=True):
        offset = None if caller is None else site.offset
        sites.append((caller, offset, site.file or None, site.line if site.file else None))
    return sites

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
from funcrec.report.text import Output
from funcrec.report.views.table import Column, Row, choose_columns, csv_text, json_text, sort_rows, write_rows

_SITE_KEYS = ("caller", "caller_offset", "file", "line")
KEYS = (
    *("id", "parent", "pid", "goid", "tid", "func", "start_ns", "dur_ns", "self_ns", "depth", "state"),
    *_SITE_KEYS,
    *("args", "results"),
)
CHUNK = 20_000

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
    separator, before, end = (",\n", "[\n", "\n]\n") if form == Format.JSON else ("\n", "", "\n")
    writer: CallRows | None = None
    written = 0
    for piece in pieces:
        selection = piece if top is None else piece.first(top - written)
        writer = CallRows(selection, names) if writer is None else writer.of(selection)
        for rows in _chunks(selection.rows):
            lines = writer.csv_lines(rows) if form == Format.CSV else writer.json_lines(rows)
            output.write(before + separator.join(lines))
            before = separator
        written += len(selection)
        if top is not None and written >= top:
            break
    if written:
        output.write(end)
    elif form == Format.JSON:
        output.write("[]\n")


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


def _value_texts(selection: Selection, rows: Rows) -> tuple[list[str], list[str]] | None:
    """What `call_values` does, as JSON text."""
    if not selection.trace.reader.plans:
        return None
    from funcrec.report import arguments

    return arguments.value_texts(selection.trace, selection.calls, rows)


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
        for (*head, function, start, duration, own, depth, state, caller), (args, results) in zip(
            self._columns(rows, None), values, strict=True
        ):
            name, label = self.functions[function], self.states[state]
            yield (*head, name, start, duration, own, depth, label, *self.sites[caller], args, results)

    def json_lines(self, rows: Rows) -> list[str]:
        """Return a JSON object for each row, without a line end."""
        functions, sites = self._json
        states = [f'"{label}"' for label in self.states]
        values = _value_texts(self.selection, rows)
        tails = ['"args":{},"results":{}'] * len(rows)
        if values is not None:
            tails = [f'"args":{args},"results":{results}' for args, results in zip(*values, strict=True)]
        return [
            f'{{"id":{row},"parent":{parent},"pid":{pid},"goid":{goid},"tid":{tid},"func":{functions[function]},'
            f'"start_ns":{start},"dur_ns":{duration},"self_ns":{own},"depth":{depth},"state":{states[state]},'
            f"{sites[caller]},{tail}}}"
            for (row, parent, pid, goid, tid, function, start, duration, own, depth, state, caller), tail in zip(
                self._columns(rows, "null"), tails, strict=True
            )
        ]

    def csv_lines(self, rows: Rows) -> list[str]:
        """Return a line of csv for each row, without a line end."""
        functions, sites = self._csv
        values = _value_texts(self.selection, rows)
        tails = ["{},{}"] * len(rows)
        if values is not None:
            tails = [f"{args},{results}" for args, results in zip(*map(_quoted, values), strict=True)]
        return [
            f"{row},{parent},{pid},{goid},{tid},{functions[function]},{start},{duration},{own},{depth},"
            f"{self.states[state]},{sites[caller]},{tail}"
            for (row, parent, pid, goid, tid, function, start, duration, own, depth, state, caller), tail in zip(
                self._columns(rows, ""), tails, strict=True
            )
        ]

    @cached_property
    def _json(self) -> tuple[list[str], list[str]]:
        sites = [json_text(dict(zip(_SITE_KEYS, site, strict=True)))[1:-1] for site in self.sites]
        return [json_text(name) for name in self.functions], sites

    @cached_property
    def _csv(self) -> tuple[list[str], list[str]]:
        return [_csv_line((name,)) for name in self.functions], [_csv_line(site) for site in self.sites]

    def _columns(self, rows: Rows, null: str | None) -> Iterator[tuple[Any, ...]]:
        """Yield the plain numbers of each row; `null` stands for what is unknown."""
        calls = self.selection.calls
        start_ns, end_ns = calls.start_ns[rows], calls.end_ns[rows]
        columns = (
            self.selection.numbers(rows).tolist(),
            _or_null(self.selection.numbers(self.selection.parents[rows]), null),
            calls.pid[rows].tolist(),
            calls.goid[rows].tolist(),
            calls.tid[rows].tolist(),
            calls.function[rows].tolist(),
            (start_ns - self.selection.trace.start_ns).tolist(),
            _or_null(np.where(end_ns >= 0, end_ns - start_ns, -1), null),
            _or_null(calls.self_ns[rows], null),
            calls.depth[rows].tolist(),
            calls.state[rows].tolist(),
            calls.caller[rows].tolist(),
        )
        return zip(*columns, strict=True)


def _quoted(texts: list[str]) -> list[str]:
    """JSON objects as csv cells: all but the empty one have quotation marks."""
    return [text if text == "{}" else '"' + text.replace('"', '""') + '"' for text in texts]


def _csv_line(cells: Sequence[Any]) -> str:
    return csv_text((), (cells,)).removesuffix("\n")


def _or_null(numbers: NDArray[np.int64], null: str | None) -> list[Any]:
    listed: list[Any] = numbers.tolist()
    for at in np.flatnonzero(numbers < 0).tolist():
        listed[at] = null
    return listed


def _sites(selection: Selection, names: Names) -> list[tuple[str | None, int | None, str | None, int | None]]:
    """Caller, offset, file and line by call site id + 1; None where unknown."""
    callers = caller_names(selection.trace, names)
    sites: list[tuple[str | None, int | None, str | None, int | None]] = [(None, None, None, None)]
    for site, caller in zip(selection.trace.call_sites, callers[1:], strict=True):
        offset = None if caller is None else site.offset
        sites.append((caller, offset, site.file or None, site.line if site.file else None))
    return sites

"""Calls as Arrow record batches: the machine contract's columns, `args` and `results` as JSON text.

pandas, polars and DuckDB take these as they are; Parquet adds what tells traces apart.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import HostError
from funcrec.report.calls import State
from funcrec.report.columns import Kind
from funcrec.report.export.source import Source
from funcrec.report.labels import function_names
from funcrec.report.nesting import nearest_shown

if TYPE_CHECKING:
    import pyarrow as pa

    from funcrec.report.filters import Selection
    from funcrec.report.singlekind import Single
    from funcrec.report.valuecells import Cells

ROWS = 1 << 17  # of a batch


def load_arrow() -> Any:
    """Return pyarrow.

    Raises:
        HostError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise HostError(
            "Arrow and Parquet need pyarrow, which is not installed", remedy="pip install 'funcrec[parquet]'"
        ) from error
    return pyarrow


def call_fields() -> "list[pa.Field]":
    """The columns of every call, in the order of the machine contract."""
    arrow = load_arrow()
    words = arrow.dictionary(arrow.int32(), arrow.string())
    fields = [
        ("id", arrow.int64(), False),
        ("parent", arrow.int64(), True),
        ("pid", arrow.uint32(), False),
        ("goid", arrow.uint64(), False),
        ("tid", arrow.uint32(), False),
        ("func", words, False),
        ("start_ns", arrow.int64(), False),
        ("dur_ns", arrow.int64(), True),
        ("self_ns", arrow.int64(), True),
        ("depth", arrow.uint32(), False),
        ("state", words, False),
        ("caller", words, True),
        ("caller_offset", arrow.int64(), True),
        ("file", words, True),
        ("line", arrow.int32(), True),
        ("args", arrow.string(), True),
        ("results", arrow.string(), True),
    ]
    return [arrow.field(name, kind, nullable=nullable) for name, kind, nullable in fields]


def stream(selection: "Selection", expressions: Sequence[str]) -> "pa.RecordBatchReader":
    """Read a selection batch by batch, with a column for each expression behind those of every call.

    Raises:
        UsageError: an expression does not parse, names nothing in the trace, or has no single type.
        HostError: pyarrow is missing.
    """
    from funcrec.report.singlekind import single

    arrow = load_arrow()
    calls = CallBatches(Source.of(selection))
    extra = [single(selection, expression) for expression in expressions]
    arrays = [_single_array(each) for each in extra]
    names = [arrow.field(name, array.type) for name, array in zip(expressions, arrays, strict=True)]
    schema = arrow.schema([*call_fields(), *names])

    def batches() -> "Iterator[pa.RecordBatch]":
        for low in range(0, len(selection), ROWS):
            columns = calls.columns(selection.rows[low : low + ROWS])
            yield arrow.record_batch([*columns, *(array.slice(low, ROWS) for array in arrays)], schema=schema)

    return arrow.RecordBatchReader.from_batches(schema, batches())


def _single_array(single: "Single") -> "pa.Array":
    arrow = load_arrow()
    if single.kind is not Kind.TEXT:
        return arrow.array(single.values, mask=~single.known)
    codes = arrow.array(single.values.astype(np.int32), mask=~single.known)
    return arrow.DictionaryArray.from_arrays(codes, words(single.labels))


def words(texts: Sequence[str]) -> "pa.Array":
    """Texts as UTF-8 that every reader takes."""
    arrow = load_arrow()
    return arrow.array([text.encode("utf-8", "replace").decode() for text in texts], arrow.string())


class CallBatches:
    """Makes Arrow columns of calls; what they refer to are dictionaries made once."""

    def __init__(self, source: Source) -> None:
        self._arrow = load_arrow()
        self._source = source
        trace = source.trace
        self._functions = words(function_names(trace, source.names))
        self._states = words([state.label for state in State])
        self._callers, self._caller_of = _indexed([site.name for site in trace.call_sites])
        self._files, self._file_of = _indexed([site.file for site in trace.call_sites])
        self._offsets = np.array([0, *(site.offset for site in trace.call_sites)], np.int64)
        self._lines = np.array([0, *(site.line for site in trace.call_sites)], np.int32)
        self._parent = nearest_shown(source.calls.parent, source.mask)

    def of(self, source: Source) -> "CallBatches":
        """Go on with another part of the same trace."""
        self._source = source
        self._parent = nearest_shown(source.calls.parent, source.mask)
        return self

    def columns(self, rows: NDArray[np.int64]) -> "list[pa.Array]":
        """The columns of `call_fields` for some rows."""
        arrow, calls, trace = self._arrow, self._source.calls, self._source.trace
        end, parent = calls.end_ns[rows], self._source.numbers(self._parent[rows])
        caller = np.where(calls.caller[rows] < len(self._lines), calls.caller[rows], 0)
        return [
            arrow.array(self._source.numbers(rows)),
            _optional(parent, parent < 0),
            arrow.array(calls.pid[rows]),
            arrow.array(calls.goid[rows]),
            arrow.array(calls.tid[rows]),
            _coded(calls.function[rows].astype(np.int32), self._functions),
            arrow.array(calls.start_ns[rows] - trace.start_ns),
            _optional(end - calls.start_ns[rows], end < 0),
            _optional(calls.self_ns[rows], end < 0),
            arrow.array(calls.depth[rows]),
            _coded(calls.state[rows].astype(np.int32), self._states),
            _coded(self._caller_of[caller], self._callers),
            _optional(self._offsets[caller], self._caller_of[caller] < 0),
            _coded(self._file_of[caller], self._files),
            _optional(self._lines[caller], self._file_of[caller] < 0),
            *self._values(rows),
        ]

    def _values(self, rows: NDArray[np.int64]) -> "list[pa.Array]":
        text = self._arrow.string()
        if self._source.cells is None:
            return [self._arrow.nulls(len(rows), text), self._arrow.nulls(len(rows), text)]
        return [_texts(cells, len(rows)) for cells in self._source.values(rows, nothing="")]


def _texts(cells: "Cells", count: int) -> "pa.Array":
    """Texts of cells; null where they are empty."""
    arrow = load_arrow()
    pieces, lengths = list[bytes](), [np.zeros(1, np.int64)]
    for lines in cells.written(count, b"\n"):
        ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n"))
        lengths.append(np.diff(ends, prepend=-1) - 1)
        pieces.append(lines.translate(None, b"\n"))
    offsets = np.cumsum(np.concatenate(lengths))
    if offsets[-1] >= 1 << 31:  # Arrow says what is wrong
        return arrow.array([text or None for text in cells.texts(count)], arrow.string())
    known = np.packbits(np.diff(offsets) > 0, bitorder="little")
    data = known.tobytes(), offsets.astype(np.int32).tobytes(), b"".join(pieces)
    return arrow.Array.from_buffers(arrow.string(), count, list(map(arrow.py_buffer, data)))


def _indexed(texts: list[str]) -> "tuple[pa.Array, NDArray[np.int32]]":
    """Distinct texts, and for each call site id + 1 its text's number (-1: none)."""
    numbers: dict[str, int] = {}
    index = [-1, *(numbers.setdefault(text, len(numbers)) if text else -1 for text in texts)]
    return words(list(numbers)), np.array(index, np.int32)


def _coded(numbers: NDArray[np.int32], texts: "pa.Array") -> "pa.DictionaryArray":
    arrow = load_arrow()
    codes = arrow.array(numbers, arrow.int32(), mask=numbers < 0)
    return arrow.DictionaryArray.from_arrays(codes, texts)


def _optional(values: NDArray[Any], missing: NDArray[np.bool_]) -> "pa.Array":
    return load_arrow().array(values, mask=missing)

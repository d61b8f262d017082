"""Parquet: one row per call, one schema for every trace, so that files of many hosts are one dataset.

Columns are those of the machine contract's calls; `args` and `results` are JSON text. `host` and `start_unix_ns` (the
trace's start in Unix time) tell traces apart: `start_unix_ns + start_ns` is when a call began.
"""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import HostError
from funcrec.report.calls import State
from funcrec.report.export.source import Source
from funcrec.report.labels import function_names

if TYPE_CHECKING:
    import pyarrow as pa

    from funcrec.report.recording import Trace

_ROWS = 1 << 17  # of a row group


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise HostError(
            "Parquet needs pyarrow, which is not installed", remedy="pip install 'funcrec[parquet]'"
        ) from error
    return pyarrow


def schema() -> "pa.Schema":
    """The columns of every file."""
    arrow = _arrow()
    words = arrow.dictionary(arrow.int32(), arrow.string())
    fields = [
        ("host", words, False),
        ("start_unix_ns", arrow.int64(), False),
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
    return arrow.schema([arrow.field(name, kind, nullable=nullable) for name, kind, nullable in fields])


class _Pieces:
    """A file that keeps what is written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def take(self) -> list[bytes]:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces


def encode(source: Source) -> Iterator[bytes]:
    """Yield the file in pieces.

    Raises:
        HostError: pyarrow is missing.
    """
    arrow = _arrow()
    tables, sink = _Tables(arrow, source), _Pieces()
    rows = np.flatnonzero(source.mask)
    with arrow.parquet.ParquetWriter(arrow.PythonFile(sink, mode="w"), schema(), compression="zstd") as writer:
        for low in range(0, len(rows), _ROWS):
            writer.write_batch(tables.batch(rows[low : low + _ROWS]))
            yield from sink.take()
    yield from sink.take()


def part_name(trace: "Trace") -> str:
    """A file name within a dataset's folder that no other trace has: host and start."""
    host = re.sub(r"[^A-Za-z0-9.-]+", "-", str(trace.header.host.get("hostname", "")))[:64].strip(".-")
    return f"{host or 'host'}-{trace.header.clock.realtime_ns}.parquet"


class _Tables:
    """What the columns refer to, as Arrow dictionaries made once."""

    def __init__(self, arrow: Any, source: Source) -> None:
        self._arrow = arrow
        self._source = source
        trace = source.trace
        self._functions = self._words(function_names(trace, source.names))
        self._states = self._words([state.label for state in State])
        self._callers, self._caller_of = self._indexed([site.name for site in trace.call_sites])
        self._files, self._file_of = self._indexed([site.file for site in trace.call_sites])
        self._offsets = np.array([0, *(site.offset for site in trace.call_sites)], np.int64)
        self._lines = np.array([0, *(site.line for site in trace.call_sites)], np.int32)
        self._host = self._words([str(trace.header.host.get("hostname", ""))])
        self._parent = _shown_parents(source)

    def _words(self, texts: list[str]) -> Any:
        return self._arrow.array([_valid(text) for text in texts], self._arrow.string())

    def _indexed(self, texts: list[str]) -> tuple[Any, NDArray[np.int32]]:
        """Distinct texts, and for each call site id + 1 its text's number (-1: none)."""
        numbers: dict[str, int] = {}
        index = [-1, *(numbers.setdefault(text, len(numbers)) if text else -1 for text in texts)]
        return self._words(list(numbers)), np.array(index, np.int32)

    def _coded(self, numbers: NDArray[np.int32], words: Any) -> Any:
        codes = self._arrow.array(numbers, self._arrow.int32(), mask=numbers < 0)
        return self._arrow.DictionaryArray.from_arrays(codes, words)

    def _optional(self, values: NDArray[Any], missing: NDArray[np.bool_]) -> Any:
        return self._arrow.array(values, mask=missing)

    def batch(self, rows: NDArray[np.int64]) -> "pa.RecordBatch":
        """The rows as a record batch of the schema."""
        arrow, calls, trace = self._arrow, self._source.calls, self._source.trace
        end, parent = calls.end_ns[rows], self._parent[rows]
        caller = np.where(calls.caller[rows] < len(self._lines), calls.caller[rows], 0)
        arguments, results = self._values(rows)
        columns = [
            self._coded(np.zeros(len(rows), np.int32), self._host),
            arrow.array(np.full(len(rows), trace.header.clock.realtime_ns, np.int64)),
            arrow.array(rows),
            self._optional(parent, parent < 0),
            arrow.array(calls.pid[rows]),
            arrow.array(calls.goid[rows]),
            arrow.array(calls.tid[rows]),
            self._coded(calls.function[rows].astype(np.int32), self._functions),
            arrow.array(calls.start_ns[rows] - trace.start_ns),
            self._optional(end - calls.start_ns[rows], end < 0),
            self._optional(calls.self_ns[rows], end < 0),
            arrow.array(calls.depth[rows]),
            self._coded(calls.state[rows].astype(np.int32), self._states),
            self._coded(self._caller_of[caller], self._callers),
            self._optional(self._offsets[caller], self._caller_of[caller] < 0),
            self._coded(self._file_of[caller], self._files),
            self._optional(self._lines[caller], self._file_of[caller] < 0),
            arguments,
            results,
        ]
        return arrow.record_batch(columns, schema=schema())

    def _values(self, rows: NDArray[np.int64]) -> tuple[Any, Any]:
        text = self._arrow.string()
        if self._source.values is None:
            return self._arrow.nulls(len(rows), text), self._arrow.nulls(len(rows), text)
        pairs = self._source.values(rows)
        sides = [[json.dumps(pair[side]) if pair[side] else None for pair in pairs] for side in (0, 1)]
        return self._arrow.array(sides[0], text), self._arrow.array(sides[1], text)


def _valid(text: str) -> str:
    """UTF-8 that Parquet readers take."""
    return text.encode("utf-8", "replace").decode()


def _shown_parents(source: Source) -> NDArray[np.int64]:
    """i64[n]: row of the nearest caller that is exported, -1 for none."""
    parent = source.calls.parent.copy()
    while True:
        hidden = np.flatnonzero((parent >= 0) & ~source.mask[parent])
        if not len(hidden):
            return parent
        parent[hidden] = source.calls.parent[parent[hidden]]

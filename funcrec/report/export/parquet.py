"""Parquet: one row per call, one schema for every trace, so that files of many hosts are one dataset.

Columns are those of the machine contract's calls; `args` and `results` are JSON text. `host` and `start_unix_ns` (the
trace's start in Unix time) tell traces apart: `start_unix_ns + start_ns` is when a call began.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from funcrec.report.export.arrow import ROWS, CallBatches, call_fields, load_arrow, words
from funcrec.report.export.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

    from funcrec.report.trace import Trace


def schema() -> "pa.Schema":
    """The columns of every file."""
    arrow = load_arrow()
    host = arrow.field("host", arrow.dictionary(arrow.int32(), arrow.string()), nullable=False)
    return arrow.schema([host, arrow.field("start_unix_ns", arrow.int64(), nullable=False), *call_fields()])


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


def encode(sources: Iterable[Source]) -> Iterator[bytes]:
    """Yield the file in pieces.

    Args:
        sources: the parts of one trace, or it as a whole, one after the other.

    Raises:
        HostError: pyarrow is missing.
    """
    arrow = load_arrow()
    sink = _Pieces()
    calls: CallBatches | None = None
    with arrow.parquet.ParquetWriter(arrow.PythonFile(sink, mode="w"), schema(), compression="zstd") as writer:
        for source in sources:
            calls = CallBatches(source) if calls is None else calls.of(source)
            header = source.trace.header
            host = words([str(header.host.get("hostname", ""))])
            for low in range(0, len(rows := source.rows), ROWS):
                part = rows[low : low + ROWS]
                hosts = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(len(part), np.int32)), host)
                starts = arrow.array(np.full(len(part), header.clock.realtime_ns, np.int64))
                writer.write_batch(arrow.record_batch([hosts, starts, *calls.columns(part)], schema=schema()))
                yield from sink.take()
    yield from sink.take()


def part_name(trace: "Trace") -> str:
    """A file name within a dataset's folder that no other trace has: host and start."""
    host = re.sub(r"[^A-Za-z0-9.-]+", "-", str(trace.header.host.get("hostname", "")))[:64].strip(".-")
    return f"{host or 'host'}-{trace.header.clock.realtime_ns}.parquet"

"""What programs get: a trace that gives calls by filters, and calls that give dicts and columns."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from funcrec.report import filters, trace
from funcrec.report.request import filter_request

if TYPE_CHECKING:
    import numpy as np
    import pyarrow


class Trace(trace.Trace):
    """A recording, opened by `funcrec.open`; a context manager."""

    def calls(self, where: str | Sequence[str] | None = None, **options: Any) -> "Selection":
        """Return the calls that pass a condition and filters.

        Args:
            where: a condition such as `dur > 1ms and caller =~ "main.*"`, or several, of which all must hold.
            options: `min_ns`, `max_ns`, `goroutines` (`"1,7,20-30"` or ids), `filter`, `notrace`, `hide`,
                `caller_filter` (a glob or several), `depth`, `time_range` (`"1s~2s"`), `pids`, `overhead`: what the
                options of the command line are.

        Raises:
            UsageError: a filter that does not parse or names nothing in the trace.
        """
        request = filter_request(where=() if where is None else where, **options)
        chosen = filters.select(self, request)
        return Selection(self, chosen.calls, chosen.mask, request)


class Selection(filters.Selection):
    """Some calls: `len()` says how many, iterating gives a dict each, `column` and `to_arrow` give columns.

    It has Arrow's stream interface, so that polars, pandas and DuckDB take it as it is.
    """

    def __iter__(self) -> "Iterator[dict[str, Any]]":
        """Yield each call as a dict with the keys of the machine contract; for many calls use the columns."""
        from funcrec.report.export.rows import CallRows

        yield from CallRows(self).dicts(self.rows)

    def column(self, expression: str) -> "np.ma.MaskedArray[Any, Any]":
        """Return a value of each call, masked where a call has none.

        Args:
            expression: in the grammar of `--where`, such as `dur`, `func`, `len(b)/1KB` or `err != nil`.

        Returns:
            integers, floats, booleans or (dtype object) texts, in the order of the calls.

        Raises:
            UsageError: it does not parse, names nothing in the trace, or has different types in different calls.
            TraceError: values cannot be read.
        """
        from funcrec.report.singlekind import single

        return single(self, expression).masked()

    def to_arrow(self, *expressions: str) -> "pyarrow.Table":
        """Return an Arrow table: the columns of the machine contract, and one of its own type for each expression.

        Args:
            expressions: as for `column`; they name the columns.

        Raises:
            UsageError: as `column`.
            HostError: pyarrow, the extra `[parquet]`, is not installed.
            TraceError: values cannot be read.
        """
        from funcrec.report.export.arrow import stream

        return stream(self, expressions).read_all()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        from funcrec.report.export.arrow import stream

        return stream(self, ()).__arrow_c_stream__(requested_schema)

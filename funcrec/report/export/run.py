"""One export from the calls chosen to the bytes of the file."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

from funcrec.collection import without_collection
from funcrec.report.export.formats import MAX_DEPTH, MAX_STACK, ExportFormat
from funcrec.report.request import Format, Names

if TYPE_CHECKING:
    from funcrec.report.export.timeline import Timeline
    from funcrec.report.filters import Selection
    from funcrec.report.stream import Stream
    from funcrec.report.views.heading import Cost


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to write.

    Attributes:
        format: of the file.
        by_goroutine: pprof, folded: keep goroutines apart.
        max_calls: html: keep at most so many calls of each trace, the longest.
        by: html: expression that calls are bucketed by, "" for none.
        names: how functions are called.
    """

    format: ExportFormat
    by_goroutine: bool = False
    max_calls: int = 1_000_000
    by: str = ""
    names: Names = Names.FULL


@without_collection()
def export(streams: Sequence["Stream"], titles: Sequence[str], request: ExportRequest, file: BinaryIO) -> list[str]:
    """Write one trace, or for html and folded one or two.

    Returns:
        What was left out, one line each.

    Raises:
        UsageError: `by` is no expression over the trace.
        TraceError: values cannot be read.
        HostError: a library of this format is missing.
    """
    if request.format in (ExportFormat.CSV, ExportFormat.JSONL):
        _rows(streams[0], request, file)
        return []
    if request.format == ExportFormat.PARQUET:
        _write(_parquet(streams[0], request), file)
        return []
    drawable = [Drawable(stream, request) for stream in streams]
    if request.format == ExportFormat.HTML:
        cut = _html(drawable, titles, request, file)
    else:
        cut = []
        _write(_drawn(drawable, request), file)
    deep = sum(each.left_out for each in drawable)
    return [*([f"{deep} calls with {drawable[0].limit} callers or more are left out"] if deep else []), *cut]


def _write(pieces: Iterable[bytes], file: BinaryIO) -> None:
    for piece in pieces:
        file.write(piece)


def _parquet(stream: "Stream", request: ExportRequest) -> Iterable[bytes]:
    """Return the pieces of a Parquet file."""
    from funcrec.report.export import parquet
    from funcrec.report.export.source import Source

    return parquet.encode(Source.of(selection, request.names) for selection in stream)


class Drawable:
    """The selections of a stream without what is nested deeper than a viewer can draw.

    Formats that write a whole stack for each of its frames grow by the square of the depth. Where parts of the trace
    would not nest, or the page has buckets, the trace is one part.

    Attributes:
        left_out: calls that were too deep; counted as they go by.
    """

    def __init__(self, stream: "Stream", request: ExportRequest) -> None:
        whole = request.format in (ExportFormat.PPROF, ExportFormat.FOLDED, ExportFormat.HTML)
        self.limit = MAX_STACK if whole else MAX_DEPTH
        self.left_out = 0
        self._stream, self._names = stream, request.names
        foresight = stream.foresight
        bucketed = request.format == ExportFormat.HTML and bool(request.by)
        self._at_once = bucketed or foresight is None or not foresight.nested
        self._cost: Cost | None = None

    def __iter__(self) -> "Iterator[Selection]":
        from funcrec.report.views.heading import Cost

        left_out, cost = 0, Cost()
        self._cost = cost
        for selection in [self._stream.whole()] if self._at_once else self._stream:
            kept = selection.above(self.limit)
            left_out += len(selection) - len(kept)
            self.left_out = left_out
            cost.add(selection)
            yield kept

    def notes(self) -> list[str]:
        """What a reader must know of the trace beside its losses; to be asked at the end of its parts."""
        damage = self._stream.trace.damage
        line = [] if self._cost is None else [self._cost.text(self._stream.hits)]
        return [*line, *([f"the file is damaged, what is intact is shown: {damage}"] if damage else [])]

    def timelines(self) -> "Iterator[Timeline]":
        """Yield the calls arranged on tracks, which have one number in all parts."""
        from funcrec.report.export.source import Source
        from funcrec.report.export.timeline import TrackNumbers, build

        numbers: TrackNumbers = {}
        for selection in self:
            yield build(Source.of(selection, self._names), numbers)


def _drawn(drawable: Sequence[Drawable], request: ExportRequest) -> Iterable[bytes]:
    encoder = import_module(f"funcrec.report.export.{request.format}")
    parts = [each.timelines for each in drawable]
    if request.format == ExportFormat.PERFETTO:
        pieces: Iterable[bytes] = encoder.encode(parts[0])
    elif len(parts) == 2:
        pieces = encoder.encode_pair(parts[0](), parts[1](), by_goroutine=request.by_goroutine)
    elif request.format in (ExportFormat.PPROF, ExportFormat.FOLDED):
        pieces = encoder.encode(parts[0](), by_goroutine=request.by_goroutine)
    else:
        pieces = encoder.encode(parts[0]())
    return pieces


def _rows(stream: "Stream", request: ExportRequest, file: BinaryIO) -> None:
    from funcrec.report.export.rows import write_calls
    from funcrec.report.text import Output

    with Output(stream=file) as output:
        write_calls(output, stream, Format(request.format), request.names)


def _html(drawable: Sequence["Drawable"], titles: Sequence[str], request: ExportRequest, file: BinaryIO) -> list[str]:
    from funcrec.report.export.html import encode
    from funcrec.report.export.source import Source
    from funcrec.report.grouping import group

    buckets = [
        (Source.of(selection, request.names), group(selection, ("func", request.by), names=request.names))
        for each in drawable
        for selection in (each if request.by else ())
    ]
    pieces, cut = encode(
        [each.timelines() for each in drawable],
        titles,
        max_calls=request.max_calls,
        by=request.by,
        buckets=buckets,
        notes=[each.notes for each in drawable],
    )
    _write(pieces, file)
    return cut

"""One export from the calls chosen to the bytes of the file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

from funcrec.collection import without_collection
from funcrec.report.export.formats import MAX_DEPTH, MAX_STACK, ExportFormat
from funcrec.report.request import Format, Names

if TYPE_CHECKING:
    from funcrec.report.filters import Selection
    from funcrec.report.stream import Stream


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
    selections, notes = _drawable([stream.whole() for stream in streams], request.format)
    if request.format == ExportFormat.HTML:
        return [*notes, *_html(selections, titles, request, file)]
    pair = request.format == ExportFormat.FOLDED and len(selections) == 2
    _write(_folded_pair(selections, request) if pair else _pieces(selections[0], request), file)
    return notes


def _write(pieces: Iterable[bytes], file: BinaryIO) -> None:
    for piece in pieces:
        file.write(piece)


def _parquet(stream: "Stream", request: ExportRequest) -> Iterable[bytes]:
    """Return the pieces of a Parquet file."""
    from funcrec.report.export import parquet
    from funcrec.report.export.source import Source

    return parquet.encode(Source.of(selection, request.names) for selection in stream)


def _drawable(selections: Sequence["Selection"], format_: ExportFormat) -> tuple[list["Selection"], list[str]]:
    """Leave out what is nested deeper than a viewer can draw, and say how much that is.

    Formats that write a whole stack for each of its frames grow by the square of the depth.
    """
    whole = format_ in (ExportFormat.PPROF, ExportFormat.FOLDED, ExportFormat.HTML)
    limit = MAX_STACK if whole else MAX_DEPTH
    kept = [selection.above(limit) for selection in selections]
    deep = sum(len(before) - len(after) for before, after in zip(selections, kept, strict=True) if before is not after)
    return kept, [f"{deep} calls with {limit} callers or more are left out"] if deep else []


def _pieces(selection: "Selection", request: ExportRequest) -> Iterable[bytes]:
    from funcrec.report.export.source import Source
    from funcrec.report.export.timeline import build

    timeline = build(Source.of(selection, request.names))
    encoder = import_module(f"funcrec.report.export.{request.format}")
    if request.format in (ExportFormat.PPROF, ExportFormat.FOLDED):
        pieces: Iterable[bytes] = encoder.encode(timeline, by_goroutine=request.by_goroutine)
    else:
        pieces = encoder.encode(timeline)
    return pieces


def _folded_pair(selections: Sequence["Selection"], request: ExportRequest) -> Iterable[bytes]:
    from funcrec.report.export import folded
    from funcrec.report.export.source import Source
    from funcrec.report.export.timeline import build

    base, new = (build(Source.of(selection, request.names)) for selection in selections)
    return folded.encode_pair(base, new, by_goroutine=request.by_goroutine)


def _rows(stream: "Stream", request: ExportRequest, file: BinaryIO) -> None:
    from funcrec.report.export.rows import write_calls
    from funcrec.report.text import Output

    with Output(stream=file) as output:
        write_calls(output, stream, Format(request.format), request.names)


def _html(
    selections: Sequence["Selection"], titles: Sequence[str], request: ExportRequest, file: BinaryIO
) -> list[str]:
    from funcrec.report.export.html import encode
    from funcrec.report.export.source import Source
    from funcrec.report.grouping import group

    sources = [Source.of(selection, request.names) for selection in selections]
    buckets = [group(selection, ("func", request.by), names=request.names) for selection in selections if request.by]
    pieces, cut = encode(
        sources,
        titles,
        max_calls=request.max_calls,
        by=request.by,
        buckets=buckets,
        notes=[_notes(selection) for selection in selections],
    )
    for piece in pieces:
        file.write(piece)
    return cut


def _notes(selection: "Selection") -> list[str]:
    """What a reader of the page must know of a trace beside its losses."""
    from funcrec.report.views.heading import cost_text

    damage = selection.trace.damage
    return [cost_text(selection), *([f"the file is damaged, what is intact is shown: {damage}"] if damage else [])]

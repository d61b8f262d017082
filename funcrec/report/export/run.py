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
def export(
    selections: Sequence["Selection"], titles: Sequence[str], request: ExportRequest, file: BinaryIO
) -> list[str]:
    """Write one trace, or for html and folded one or two.

    Returns:
        What was left out, one line each.

    Raises:
        UsageError: `by` is no expression over the trace.
        TraceError: values cannot be read.
        HostError: a library of this format is missing.
    """
    selections, notes = _drawable(selections, request.format)
    if request.format == ExportFormat.HTML:
        return [*notes, *_html(selections, titles, request, file)]
    if request.format == ExportFormat.FOLDED and len(selections) == 2:
        for piece in _folded_pair(selections, request):
            file.write(piece)
        return notes
    (selection,) = selections
    if request.format in (ExportFormat.CSV, ExportFormat.JSONL):
        _rows(selection, request, file)
    else:
        for piece in _pieces(selection, request):
            file.write(piece)
    return notes


def _drawable(selections: Sequence["Selection"], format_: ExportFormat) -> tuple[list["Selection"], list[str]]:
    """Leave out what is nested deeper than a viewer can draw, and say how much that is.

    Formats that write a whole stack for each of its frames grow by the square of the depth.
    """
    if format_ in (ExportFormat.CSV, ExportFormat.JSONL, ExportFormat.PARQUET):
        return list(selections), []
    whole = format_ in (ExportFormat.PPROF, ExportFormat.FOLDED, ExportFormat.HTML)
    limit = MAX_STACK if whole else MAX_DEPTH
    kept = [selection.above(limit) for selection in selections]
    deep = sum(len(before) - len(after) for before, after in zip(selections, kept, strict=True) if before is not after)
    return kept, [f"{deep} calls with {limit} callers or more are left out"] if deep else []


def _pieces(selection: "Selection", request: ExportRequest) -> Iterable[bytes]:
    from funcrec.report.export.source import Source
    from funcrec.report.export.timeline import build

    source = Source.of(selection, request.names)
    encoder = import_module(f"funcrec.report.export.{request.format}")
    if request.format == ExportFormat.PARQUET:
        pieces: Iterable[bytes] = encoder.encode(source)
    elif request.format in (ExportFormat.PPROF, ExportFormat.FOLDED):
        pieces = encoder.encode(build(source), by_goroutine=request.by_goroutine)
    else:
        pieces = encoder.encode(build(source))
    return pieces


def _folded_pair(selections: Sequence["Selection"], request: ExportRequest) -> Iterable[bytes]:
    from funcrec.report.export import folded
    from funcrec.report.export.source import Source
    from funcrec.report.export.timeline import build

    base, new = (build(Source.of(selection, request.names)) for selection in selections)
    return folded.encode_pair(base, new, by_goroutine=request.by_goroutine)


def _rows(selection: "Selection", request: ExportRequest, file: BinaryIO) -> None:
    from funcrec.report.export.rows import write_calls
    from funcrec.report.text import Output

    with Output(stream=file) as output:
        write_calls(output, selection, Format(request.format), request.names)


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

"""The formats of `funcrec export`, by name and by the suffix of the output file."""

from enum import StrEnum

from funcrec.errors import UsageError

MAX_DEPTH = 10_000  # levels of nested calls that timelines show
MAX_STACK = 1000  # frames of one stack, where each stack is written whole


class ExportFormat(StrEnum):
    """What `--format` takes."""

    PERFETTO = "perfetto"
    CHROME = "chrome"
    PPROF = "pprof"
    SPEEDSCOPE = "speedscope"
    FOLDED = "folded"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    HTML = "html"


# Longer suffixes stand before the shorter ones that they end with.
SUFFIXES = {
    ".speedscope.json": ExportFormat.SPEEDSCOPE,
    ".perfetto-trace": ExportFormat.PERFETTO,
    ".pftrace": ExportFormat.PERFETTO,
    ".json": ExportFormat.CHROME,
    ".pb.gz": ExportFormat.PPROF,
    ".pprof": ExportFormat.PPROF,
    ".folded": ExportFormat.FOLDED,
    ".txt": ExportFormat.FOLDED,
    ".csv": ExportFormat.CSV,
    ".jsonl": ExportFormat.JSONL,
    ".parquet": ExportFormat.PARQUET,
    ".html": ExportFormat.HTML,
    ".htm": ExportFormat.HTML,
}


def format_of(out: str, wanted: ExportFormat | None) -> ExportFormat:
    """The format asked for, else the one of OUT's suffix.

    Raises:
        UsageError: the suffix says nothing.
    """
    if wanted is not None:
        return wanted
    for suffix, found in SUFFIXES.items():
        if out.lower().endswith(suffix):
            return found
    names = ", ".join(ExportFormat)
    raise UsageError(f"'{out}' does not say which format to write", remedy=f"add --format, one of {names}")

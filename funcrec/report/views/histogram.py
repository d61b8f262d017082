"""Distributions for people: bars, and a heat map over time. Works on the rows that the machine formats print."""

from collections.abc import Sequence
from typing import Any

from funcrec.lang.expr import Binary, Literal, Name, parse
from funcrec.report.answers.hist import Hist, HistRequest, is_duration
from funcrec.report.grouping import column_name
from funcrec.report.request import Format
from funcrec.report.text import Output, printable
from funcrec.report.views.head import write_head
from funcrec.report.views.heading import counted
from funcrec.report.views.table import Column, Row, choose_columns, write_rows
from funcrec.units import format_count, format_duration, format_size

_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"
_SHADES = "·░▒▓█"
_PLAIN_SHADES = ".-=+#"
_UNITS = ((10**9, "s"), (10**6, "ms"), (10**3, "us"), (1, "ns"))


def edge_text(value: float | None, is_duration: bool) -> str:
    """`512us`, `1.5ms`, `4096`; an open end is dots."""
    if value is None:
        return "..."
    if is_duration and value >= 1:
        size, unit = next(each for each in _UNITS if value >= each[0])
        return f"{value / size:g}{unit}"
    return f"{value:.15g}" if value != int(value) or abs(value) >= 1e15 else str(int(value))


def interval(bucket: dict[str, Any], is_duration: bool) -> str:
    """`[512us, 1ms)`."""
    low, high = bucket["min"], bucket["max"]
    opening = "(" if low is None else "["
    return f"{opening}{edge_text(low, is_duration)}, {edge_text(high, is_duration)})"


def bar(count: int, most: int, draws: bool, width: int = _WIDTH) -> str:
    """A bar of up to `width` characters, drawn to an eighth of one; anything but 0 shows."""
    if count == 0 or most == 0:
        return ""
    if not draws:
        return "#" * max(round(width * count / most), 1)
    eighths = max(round(8 * width * count / most), 1)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _moments(row: Row, is_duration: bool) -> str:
    unit = "_ns" if is_duration else ""
    show = format_duration if is_duration else lambda value: f"{value:g}"
    return "  ".join(f"{what} {show(row[what + unit])}" for what in ("min", "p50", "p90", "p99", "max"))


def title_of(row: Row, request: HistRequest) -> str:
    """What a distribution is called for people."""
    keys = row["key"] if len(request.by) > 1 else [row["key"]]
    parts = [key_text(column_name(by), key) for by, key in zip(request.by, keys, strict=False)]
    return ", ".join(parts) or f"{request.of} of all calls"


def key_text(by: str, value: object) -> str:
    """What a key is called for people: `len(b) in [3KB, 4KB)`, `depth = 2`, or the value of a name by itself."""
    node = parse(by) if not by.isidentifier() else Name((by,))
    if isinstance(node, Name) and isinstance(value, str):
        return value
    divided = isinstance(node, Binary) and node.operator in ("/", "//")
    if not divided or not isinstance(node, Binary) or not isinstance(node.right, Literal) or not isinstance(value, int):
        return f"{by} = {value}"
    step = node.right.value
    if not isinstance(step, int | float) or isinstance(step, bool) or step <= 0:
        return f"{by} = {value}"
    if node.right.source.lower().endswith("b"):
        sizes = (value * step, (value + 1) * step)
        low, high = (format_size(size).replace(".0 ", "").replace(" ", "") if size else "0" for size in sizes)
    else:
        low, high = (edge_text(edge * step, is_duration(node.left)) for edge in (value, value + 1))
    return f"{node.left} in [{low}, {high})"


def write_histograms(output: Output, answer: Hist, rows: Sequence[Row], request: HistRequest) -> None:
    """Write the head and all distributions: bars, or with slices of time a heat map per key."""
    write_head(output, answer.facts)
    without = answer.distribution.without_value
    if without:
        what = f"# {counted(without, 'call')} left out, without a known {request.of} or key"
        output.line(output.palette.paint(printable(what), output.palette.dim))
    times = is_duration(parse(request.of))
    titles = [title_of(row, request) for row in rows]
    if not request.slice_ns:
        write_bars(output, rows, titles, times)
        return
    for title in dict.fromkeys(titles):
        write_heat_map(output, [row for row, of in zip(rows, titles, strict=True) if of == title], title, times)


def write_machine(output: Output, rows: Sequence[Row], fields: str | None, format: Format) -> None:
    """Write rows for programs: as they are in json and jsonl, one line per bin in csv.

    Raises:
        UsageError: an unknown field.
    """
    names = list(rows[0]) if rows else ["key", "n", "buckets"]
    if format != Format.CSV:
        write_rows(output, choose_columns(fields, [Column(name) for name in names], names), rows, format)
        return
    bins = [{**row, **bucket} for row in rows for bucket in row["buckets"]]
    keys = [name for name in names if name in ("key", "start_ns", "end_ns")]
    columns = [Column(name) for name in (*keys, "min", "max", "count", *(n for n in names if n not in keys))]
    write_rows(output, choose_columns(fields, columns, [*keys, "min", "max", "count"]), bins, format)


def write_bars(output: Output, rows: Sequence[Row], titles: Sequence[str], is_duration: bool) -> None:
    """Write one block of bars per row, under its title."""
    for row, title in zip(rows, titles, strict=True):
        palette = output.palette
        output.line()
        head = palette.paint(printable(title), palette.bold)
        output.line(f"{head}  n={format_count(row['n'])}  {_moments(row, is_duration)}")
        names = [interval(bucket, is_duration) for bucket in row["buckets"]]
        counts = [format_count(bucket["count"]) for bucket in row["buckets"]]
        wide, far = max(map(len, names), default=0), max(map(len, counts), default=0)
        most = max((bucket["count"] for bucket in row["buckets"]), default=0)
        for name, count, bucket in zip(names, counts, row["buckets"], strict=True):
            drawn = palette.paint(bar(bucket["count"], most, output.draws), palette.cyan)
            output.line(f"  {name:<{wide}}  {count:>{far}}  {drawn}".rstrip())


def write_heat_map(output: Output, rows: Sequence[Row], title: str, is_duration: bool) -> None:
    """Write the slices of one key as a map: time to the right, the number upwards, darker where there are more.

    Args:
        output: where to.
        rows: one per slice of time that has calls, of one length.
        title: of the map.
        is_duration: of the number.
    """
    palette = output.palette
    length = rows[0]["end_ns"] - rows[0]["start_ns"]
    first = min(row["start_ns"] for row in rows) // length
    columns = max(row["start_ns"] for row in rows) // length - first + 1
    cells: dict[tuple[int, float], int] = {}
    names: dict[float, str] = {}
    for row in rows:
        for bucket in row["buckets"]:
            level = float("-inf") if bucket["min"] is None else float(bucket["min"])
            names.setdefault(level, interval(bucket, is_duration))
            cells[row["start_ns"] // length - first, level] = bucket["count"]
    most = max(cells.values(), default=0)
    total = format_count(sum(row["n"] for row in rows))
    output.line()
    output.line(f"{palette.paint(printable(title), palette.bold)}  n={total}")
    wide = max(map(len, names.values()), default=0)
    for level in sorted(names, reverse=True):
        shades = "".join(_shade(cells.get((at, level), 0), most, output.draws) for at in range(columns))
        output.line(f"  {names[level]:>{wide}}  {palette.paint(shades.rstrip(), palette.cyan)}".rstrip())
    begin, end = format_duration(first * length), format_duration((first + columns) * length)
    output.line(f"  {'':>{wide}}  {begin}{end.rjust(max(columns - len(begin), len(end) + 1))}")
    scale = _SHADES if output.draws else _PLAIN_SHADES
    output.line(
        f"  {'':>{wide}}  one column is {format_duration(length)}; {scale} from 1 to {format_count(most)} calls"
    )


def _shade(count: int, most: int, draws: bool) -> str:
    """Each shade stands for a power of the fifth root of the greatest count, so that rare calls stay visible."""
    if count == 0:
        return " "
    scale = _SHADES if draws else _PLAIN_SHADES
    level = 0
    while level < len(scale) - 1 and count >= most ** ((level + 1) / len(scale)):
        level += 1
    return scale[level]

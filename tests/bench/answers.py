"""The answers and exports on large traces: ratios to `stat`, to text processing of the same events, and calls/s.

Every command runs in a process of its own, as a user starts it, and is measured in CPU seconds of all its processes.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from funcrec.report.export.formats import ExportFormat
from funcrec.report.filters import FilterRequest, select
from funcrec.report.request import Names
from funcrec.report.sql import Database
from funcrec.report.trace import Trace
from funcrec.trace.reader import TraceReader
from funcrec.trace.records import SiteRole
from tests.bench.large import write_large
from tests.bench.perf import printing_s
from tests.bench.repeated import record_nested, repeat
from tests.bench.reporting import FUNCREC, cpu_of, run
from tests.bench.values import record_three

Row = tuple[str, float, str]
_FUNCTIONS = 300
_LARGE = 5_000_000  # calls: ten million events
_SMALL = 1_000_000
_SQL = 10_000_000
_SCRIPTS = Path(__file__).parent
_GROUPED = "select func, count(*), sum(dur_ns), quantile_cont(dur_ns, 0.99) from calls group by func"


def measure() -> list[Row]:
    """Return rows (what, figure, goal)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The last is made in this process, whose size those after it would seem to have.
        return [row for part in (_views, _text, _exports, _page, _sql) for row in part(folder)]


def _views(folder: Path) -> list[Row]:
    trace, other = folder / "large.zst", folder / "other.zst"
    write_large(trace, _LARGE, _FUNCTIONS)
    write_large(other, _LARGE, _FUNCTIONS, seed=2)
    stat = min(cpu_of(FUNCREC, "stat", trace) for _ in range(2))  # the first one reads from disk
    began = time.perf_counter()
    cpu_of(FUNCREC, "stat", trace)
    took = time.perf_counter() - began
    both = cpu_of(FUNCREC, "stat", trace, other)
    views = {"hist": ["hist"], "hist --by func": ["hist", "--by", "func"], "graph": ["graph"]}
    rows: list[Row] = [("CPU seconds of stat, 10 M events", stat, "<= 2.5"), ("seconds it takes", took, "< 1.7")]
    rows += [
        (f"{name} / stat, 10 M events", cpu_of(FUNCREC, *words, trace) / stat, "<= 2") for name, words in views.items()
    ]
    return [*rows, ("diff / stat of two traces of 10 M events", cpu_of(FUNCREC, "diff", trace, other) / both, "<= 2")]


def _text(folder: Path) -> list[Row]:
    """The same question asked of text: by a Python script, the totals only by awk, with what perf takes to print it."""
    trace, text = folder / "large.zst", folder / "script.txt"
    _write_script(trace, text)
    stat = cpu_of(FUNCREC, "stat", trace)
    python = cpu_of(sys.executable, _SCRIPTS / "perf_script.py", text)
    rows = [("a Python script over text of the same 10 M events / stat", python / stat, "")]
    awk = shutil.which("mawk") or shutil.which("awk")
    if awk is not None:
        totals = cpu_of(awk, "-f", _SCRIPTS / "perf_script.awk", text)
        rows.append((f"{Path(awk).name}, totals only, over text of the same 10 M events / stat", totals / stat, ""))
    printing = printing_s(folder)
    if printing is not None:
        whole = printing * 2 * _LARGE / 1e6 + python
        rows.append(("perf script | the Python script / stat, 10 M events", whole / stat, ">= 5"))
    text.unlink()
    return rows


def _write_script(trace: Path, path: Path) -> None:
    """Write events as `perf script` prints those of uprobes, in order of time, threads standing for goroutines."""
    with TraceReader(trace) as reader, path.open("w") as file:
        names = []
        for site in reader.sites:
            name = reader.functions[site.function].name.replace(".", "_")
            names.append(f"probe_server:{name}" + ("__return" if site.role == SiteRole.EXIT else ""))
        for block in reader.blocks:
            events = reader.events(block.number)
            order = np.argsort(events.time_ns, kind="stable")
            columns = (events.goid[order].tolist(), events.time_ns[order].tolist(), events.site[order].tolist())
            file.writelines(
                f"server   100/{goid:<6} [000] {ns // 10**9:6}.{ns % 10**9:09}: {names[site]}: (401000)\n"
                for goid, ns, site in zip(*columns, strict=True)
            )


def _sql(folder: Path) -> list[Row]:
    trace = folder / "sql.zst"
    write_large(trace, _SQL, _FUNCTIONS)
    selection = select(Trace(trace), FilterRequest())
    database = Database([selection], [str(trace)], _GROUPED, Names.FULL)
    began = time.perf_counter()
    rows = [row for batch in database.ask(_GROUPED).batches for row in batch]
    took = time.perf_counter() - began
    if len(rows) != _FUNCTIONS:
        raise RuntimeError(f"{len(rows)} functions were grouped")
    trace.unlink()
    return [("seconds to group 10 M calls in DuckDB, after load", took, "< 3")]


def _exports(folder: Path) -> list[Row]:
    """Thousand calls/s of each format, and bytes of memory a call, of calls with none, three and eight values."""
    plain, three, nested = (folder / f"{name}.zst" for name in ("small", "three", "nested"))
    write_large(plain, _SMALL, _FUNCTIONS)
    short = folder / "short.zst"
    record_three(short, 4000)
    repeat(short, three, _SMALL)
    record_nested(short)
    repeat(short, nested, _SMALL)
    start, empty = run(sys.executable, "-c", "import funcrec, numpy")
    rows: list[Row] = []
    for form in ExportFormat:
        for what, trace in (("no", plain), ("three", three), ("eight nested", nested)):
            cpu, peak = run(FUNCREC, "export", trace, "--format", form, "-o", "-")
            rows.append((f"thousand calls/s of CPU, {form}, {what} values", _SMALL / (cpu - start) / 1e3, ">= 300"))
            rows.append((f"bytes of memory a call, {form}, {what} values", (peak - empty) / _SMALL, ""))
    return rows


def _page(folder: Path) -> list[Row]:
    """How long a page of a million calls takes to be ready in a browser, where there is one."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return []
    from playwright.sync_api import sync_playwright

    page = folder / "page.html"
    cpu_of(FUNCREC, "export", folder / "small.zst", "-o", page)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        tab = browser.new_page()
        began = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready]", timeout=60_000)
        took = time.perf_counter() - began
        browser.close()
    return [("seconds to open the page of 1 M calls", took, "< 3")]


def main() -> None:
    """Print all rows."""
    for what, figure, goal in measure():
        print(f"{figure:9.3f}  {goal:8} {what}", flush=True)


if __name__ == "__main__":
    main()

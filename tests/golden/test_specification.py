"""formats/trace.md against the code, and a reader written from it alone against the report."""

import ast
import io
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from funcrec.report.calls import State
from funcrec.report.trace import Trace
from funcrec.resources import data_path
from funcrec.trace import framing, limits, tables
from funcrec.trace.framing import Prefix
from funcrec.trace.records import (
    MINOR,
    VERSION,
    CallSite,
    FunctionRecord,
    LostRecord,
    RecordType,
    SiteRole,
    SnapshotDelta,
)
from funcrec.trace.writer import TraceWriter
from tests.calltrees import Event, columns, header, random_tree_events, standard_sites
from tests.golden import tiny_reader
from tests.traces import closing

TEXT = data_path("formats/trace.md").read_text()
FUNCTIONS = 2
SITES, _ = standard_sites(FUNCTIONS)


def _trace(blocks: list[list[Event]], lost: list[LostRecord], **options: Any) -> bytes:
    file = io.BytesIO()
    writer = TraceWriter(file, header(5, **options))
    functions = [FunctionRecord(f"main.f{at}", 0x1000, "/src/a.go", at) for at in range(FUNCTIONS)]
    functions += [FunctionRecord(f"runtime.{at}", 0x9000, "", 0, hidden=True) for at in range(4)]
    sites = [CallSite(0x2000 + at, f"main.c{at}", 7 * at, "/src/b.go", 40 + at) for at in range(2)]
    writer.snapshot(SnapshotDelta(functions, SITES, sites))
    for block in blocks:
        writer.events(columns([_with_caller_at_entries(event) for event in block]))
    writer.lost(lost)
    writer.close(closing())
    return file.getvalue()


def _with_caller_at_entries(event: Event) -> Event:
    return event if SITES[event.site].role in (SiteRole.ENTRY, SiteRole.POINT) else replace(event, caller=0)


def _report(data: bytes) -> list[dict[str, Any]]:
    """The calls as the tiny reader gives them, from the real thing."""
    trace = Trace(io.BytesIO(data))
    calls = trace.table()
    result = []
    for row in range(len(calls)):
        start, end, own, caller = (int(c[row]) for c in (calls.start_ns, calls.end_ns, calls.self_ns, calls.caller))
        site = trace.call_sites[caller - 1] if caller else CallSite(0, "", 0, "", 0)
        ended = State(calls.state[row]) in (State.RETURNED, State.PANICKED, State.GOEXIT)
        result.append(
            {
                "id": row,
                "parent": int(calls.parent[row]) if calls.parent[row] >= 0 else None,
                "pid": int(calls.pid[row]),
                "goid": int(calls.goid[row]),
                "tid": int(calls.tid[row]),
                "func": trace.functions[calls.function[row]].name,
                "start_ns": start - trace.start_ns,
                "dur_ns": end - start if ended else None,
                "self_ns": own if ended else None,
                "depth": int(calls.depth[row]),
                "state": State(calls.state[row]).label,
                "caller": site.name,
                "caller_offset": site.offset,
                "file": site.file,
                "line": site.line,
            }
        )
    return result


events = st.builds(
    Event,
    time_ns=st.integers(0, 12),
    site=st.integers(0, len(SITES) - 1),
    depth=st.integers(1, 4).map(lambda slot: 8 * slot),
    goid=st.integers(0, 2),
    pid=st.integers(100, 101),
    stack=st.sampled_from([0, 0, 0, 401, 405, 402]),
    tid=st.integers(100, 102),
    caller=st.integers(0, 2),
)


@st.composite
def losses(draw):
    count = draw(st.integers(0, 3))
    first = draw(st.integers(0, 12))
    by_site = st.dictionaries(st.integers(0, len(SITES) - 1), st.integers(1, max(count, 1)), max_size=3)
    return LostRecord(
        ring=0,
        first_ns=first,
        last_ns=first + draw(st.integers(0, 6)),
        count=count,
        kind=draw(st.sampled_from(["events", "events", "values"])),
        by_site=draw(by_site) if count else {},
    )


@settings(max_examples=300)
@given(st.lists(st.lists(events, max_size=25), max_size=3), st.lists(losses(), max_size=2), st.booleans())
def test_a_reader_made_from_the_specification_gives_the_same_calls(blocks, lost, entry_only):
    data = _trace(blocks, lost, entry_only=entry_only)
    assert tiny_reader.calls_of(data) == _report(data)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_and_of_well_formed_calls(seed):
    made = random_tree_events(random.Random(seed), 400, functions=FUNCTIONS)
    data = _trace([made[:150], made[150:]], [])
    calls = tiny_reader.calls_of(data)
    assert calls == _report(data)
    assert {call["state"] for call in calls} <= {"returned", "panicked", "goexit", "open"}


def test_that_reader_uses_nothing_of_ours():
    tree = ast.parse(Path(tiny_reader.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names == {"json", "sys", "zlib", "pathlib", "struct", "typing", "msgpack", "zstandard"}


def _table(header_line: str) -> list[list[str]]:
    """Cells of the rows below a table's header."""
    lines = TEXT[TEXT.index(header_line) :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_record_types_are_specified():
    assert {int(number): name for number, name, _ in _table("| type | name | how often |")} == {
        int(kind): kind.name for kind in RecordType
    }
    for kind in RecordType:
        assert f"\n### {kind.name}\n" in TEXT


def test_roles_are_specified():
    assert {int(number): name for number, name, _ in _table("| role | name | what an event there means |")} == {
        int(role): role.name for role in SiteRole
    }


def test_the_prefix_is_specified():
    rows = _table("| at | type | name | what |")
    names = [name for _, _, name, _ in rows]
    assert names == [*Prefix.__dataclass_fields__, "crc"]
    sizes = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8}
    at = 0
    for offset, kind, _, _ in rows:
        assert int(offset) == at
        at += sizes[kind]
    assert at == framing.PREFIX_PAYLOAD == 48
    assert framing.PREFIX_START.hex(" ") in TEXT
    assert (framing.HEAD_SIZE, framing.PREFIX_SIZE, framing.END_SIZE) == (28, 56, 32)
    assert f"minor version; {MINOR} here" in TEXT
    assert f"version; {VERSION} here" in TEXT


def test_states_are_specified():
    for state in State:
        assert f"`{state.label}`" in TEXT


def test_limits_are_specified():
    numbers = {}
    for what, limit in _table("| what | at most |"):
        digits = re.findall(r"[0-9][0-9,]*(?: MiB)?", limit)
        numbers[what] = [
            int(d.removesuffix(" MiB").replace(",", "")) << (20 if d.endswith("MiB") else 0) for d in digits
        ]
    assert [number[0] for number in numbers.values()] == [
        limits.MAX_RAW,
        limits.MAX_SMALL_RAW,
        limits.MAX_WINDOW,
        limits.MAX_BLOCK_EVENTS,
        limits.MAX_ARRAY,
        limits.MAX_CONTAINERS,
        limits.MAX_NESTING,
        4 * limits.MAX_TEXT,
        2**31 - 1,
        2**63 - 1,
        limits.MAX_FUNCTIONS,
        limits.MAX_SITES,
        limits.MAX_CALL_SITES,
        limits.MAX_TYPES,
        limits.MAX_GOROUTINES,
        limits.MAX_ROWS,
    ]
    assert numbers["arrays and maps in a record"][1] == limits.MAX_LARGE_CONTAINERS
    budgets = [limit for _, limit in _table("| what | at most in s bytes |")]
    assert [_at(limit, 1_000_000) for limit in budgets] == [
        limits.EVENTS_BASE + limits.EVENTS_PER_BYTE * 1_000_000,
        limits.CAPTURES_BASE + limits.CAPTURES_PER_BYTE * 1_000_000,
        limits.RAW_BASE + limits.RAW_PER_BYTE * 1_000_000,
        limits.SMALL_RAW_BASE + limits.SMALL_RAW_PER_BYTE * 1_000_000,
        limits.ROWS_BASE + limits.ROWS_PER_BYTE * 1_000_000,
        limits.GOROUTINES_BASE + limits.GOROUTINES_PER_BYTE * 1_000_000,
        limits.OBJECTS_BASE + limits.OBJECTS_PER_BYTE * 1_000_000,
        limits.CONTAINERS_BASE + limits.CONTAINERS_PER_BYTE * 1_000_000,
    ]
    assert set(tables.LIMITS) == {"functions", "sites", "call_sites", "skipped", "types", "plans", "code"}


def _at(limit: str, size: int) -> float:
    """What a limit such as `128 Ki + 3 s / 2` comes to."""
    base, unit, factor, divisor = re.fullmatch(r"(\d+) (Ki|MiB) \+ (?:(\d+) )?s(?: / (\d+))?", limit).groups()
    return (int(base) << {"Ki": 10, "MiB": 20}[unit]) + int(factor or 1) * size / int(divisor or 1)


def test_every_version_has_its_entry():
    changes = data_path("formats/trace.md").with_name("CHANGELOG.md").read_text()
    for version in range(1, VERSION + 1):
        assert f"\n## Version {version}\n" in changes

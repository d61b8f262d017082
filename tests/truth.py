"""Compare a recording with what the traced program logged about itself (`tests/programs/internal/truth`)."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Key = tuple[int, int]  # pid, goid


def read_truth(path: Path) -> list[Row]:
    """Read a program's log. Lines with a bare `count` are not calls: see `counts`."""
    return [row for row in map(json.loads, path.read_text().splitlines()) if "count" not in row]


def counts(path: Path) -> dict[str, int]:
    """Read the bare counts of a program's log: function -> number of calls."""
    rows = map(json.loads, path.read_text().splitlines())
    return {row["func"]: row["count"] for row in rows if "count" in row}


def _expected(truth: list[Row]) -> dict[Key, list[Row]]:
    """Truth by goroutine in order of start, `parent` as a position in that list.

    A process that replaces itself by exec has the same ids again: what it logs then follows what it logged before.
    """
    goroutines: dict[Key, list[Row]] = defaultdict(list)
    shift: dict[Key, int] = {}
    for row in truth:
        key = (row["pid"], row["goid"])
        if row["seq"] == 0:
            shift[key] = len(goroutines[key])
        parent = row["parent"] + shift[key] if row["parent"] >= 0 else None
        goroutines[key].append(row | {"parent": parent})
    return goroutines


def _recorded(calls: list[Row]) -> dict[Key, list[Row]]:
    """Recorded calls by goroutine in order of start, `parent` as a position in that list."""
    goroutines: dict[Key, list[Row]] = defaultdict(list)
    position: dict[int, tuple[Key, int]] = {}
    for call in calls:
        key = (call["pid"], call["goid"])
        parent = None
        if call["parent"] is not None:
            parent_key, parent = position[call["parent"]]
            assert parent_key == key, f"the parent of {call} is a call of another goroutine, {parent_key}"
        position[call["id"]] = (key, len(goroutines[key]))
        goroutines[key].append(call | {"parent": parent})
    return goroutines


def generic(name: str) -> str:
    """A name with its type arguments left out: the Go runtime does not tell them."""
    return re.sub(r"\[.*\]", "[...]", name)


def _check_call(key: Key, position: int, call: Row, row: Row) -> None:
    where = f"call {position} of goroutine {key[1]} in process {key[0]}: recorded {call}, in truth {row}"
    for field in ("func", "depth", "parent", "state"):
        assert call[field] == row[field], f"{field} differs in {where}"
    assert generic(call["caller"] or "") == row["caller"], f"caller differs in {where}"
    assert (call["file"], call["line"]) == (row["file"], row["line"]), f"source line differs in {where}"
    if row["caller_offset"] >= 0:
        assert call["caller_offset"] == row["caller_offset"], f"offset differs in {where}"


def _check_times(key: Key, position: int, call: Row, row: Row, base_ns: int) -> None:
    start_ns = base_ns + call["start_ns"]
    where = f"call {position} of goroutine {key[1]} in process {key[0]} ({row['func']}, {row['state']})"
    assert row["prev_ns"] <= start_ns, f"{where} starts {row['prev_ns'] - start_ns} ns too early"
    if row["entered_ns"]:
        assert start_ns <= row["entered_ns"], f"{where} starts {start_ns - row['entered_ns']} ns too late"
    if row["state"] == "open":
        assert call["dur_ns"] is None, f"{where} has an end"
        return
    assert call["dur_ns"] is not None, f"{where} has no end"
    end_ns = start_ns + call["dur_ns"]
    assert row["left_ns"] <= end_ns, f"{where} ends {row['left_ns'] - end_ns} ns too early"
    if row["next_ns"]:
        assert end_ns <= row["next_ns"], f"{where} ends {end_ns - row['next_ns']} ns too late"


def check(calls: list[Row], truth: list[Row], base_ns: int) -> None:
    """Fail unless the calls are exactly those of the truth.

    Every call once, in the right goroutine, with the right parent, depth, state, caller, offset, file, line and times.

    Args:
        calls: objects of `--format jsonl`.
        truth: rows of `read_truth`.
        base_ns: the trace's first clock reading, from which `start_ns` counts.
    """
    recorded, expected = _recorded(calls), _expected(truth)
    assert {key: len(rows) for key, rows in recorded.items()} == {key: len(rows) for key, rows in expected.items()}
    for key, rows in expected.items():
        for position, (call, row) in enumerate(zip(recorded[key], rows, strict=True)):
            _check_call(key, position, call, row)
            _check_times(key, position, call, row, base_ns)

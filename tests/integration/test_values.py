"""Recorded values against the program's own log of what it passed and got back, for every kind of value."""

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funcrec.report.arguments import call_values, value_column, value_texts
from funcrec.report.calls import Calls
from funcrec.report.columns import Kind
from funcrec.report.trace import Trace
from funcrec.report.valuecells import compact
from tests.conftest import FUNCREC, LIMIT_S, funcrec
from tests.toolchain import DEFAULT, EVERY_VERSION, PROGRAMS, VERSIONS, go_build

pytestmark = pytest.mark.bpf

FLAGS = {"optimised": (), "unoptimised": ("-gcflags=-N -l",), "pie": ("-buildmode=pie",)}
BUILDS = [
    pytest.param(version, build, marks=() if version in VERSIONS else pytest.mark.slow)
    for version in EVERY_VERSION
    for build in FLAGS
    if build != "pie" or version == DEFAULT
]
HELPERS = ["main", "all", "record", "object", "top", "cut", "plain", "address", "float", "encode", "slice", "elements"]
HELPERS += ["fields", "addressable", "dynamic", "keep", "clone", "hostile", "init", "more", "functionValues", "race"]
Pair = tuple[dict[str, Any], dict[str, Any]]


def record(binary: Path, trace: Path, *options: str, arguments: tuple[str, ...] = ()) -> str:
    """Record the program from start to end; return what it printed."""
    command = [str(FUNCREC), "record", "-q", *options, str(binary), "-o", str(trace), "--", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def every_function() -> list[str]:
    options = ["-A", "-R", "-u", "main.*"]
    for helper in HELPERS:
        options += ["-u", f"!main.{helper}"]
    return options


def checked_values(trace: Trace, calls: Calls) -> list[Pair]:
    """Values of all calls, decoded one by one, after a look at whether decoding many at once says the same."""
    rows = np.arange(len(calls))
    pairs = call_values(trace, calls, rows)
    arguments, results = value_texts(trace, calls, rows)
    assert arguments == [compact(pair[0]) for pair in pairs]
    assert results == [compact(pair[1]) for pair in pairs]
    return pairs


def values_by_function(path: Path) -> dict[str, list[Pair]]:
    """Values of all calls by function, in order of start."""
    trace = Trace(path)
    calls = trace.table()
    assert trace.lost_values == 0
    found = defaultdict(list)
    for function, pair in zip(calls.function, checked_values(trace, calls), strict=True):
        found[trace.functions[function].name].append(pair)
    return found


def same(logged: Any, recorded: Any) -> bool:
    """Equal but for what a program cannot say: where a closure lies, the package path in the name of a type."""
    if isinstance(logged, dict) and isinstance(recorded, dict):
        if set(logged) != set(recorded):
            return False
        if "$ptr" in logged:
            # The runtime does not tell type arguments.
            return logged.get("$func", "") == re.sub(r"\[.*\]", "[...]", recorded.get("$func", ""))
        return all(
            same(logged[key], recorded[key])
            if key != "$type"
            else logged[key].lstrip("*") == recorded[key].rpartition("/")[2].lstrip("*")
            for key in logged
        )
    if isinstance(logged, list) and isinstance(recorded, list):
        return len(logged) == len(recorded) and all(map(same, logged, recorded))
    return isinstance(logged, bool) == isinstance(recorded, bool) and logged == recorded


@pytest.mark.parametrize(("version", "build"), BUILDS)
def test_every_value_is_what_the_program_passed_and_returned(tmp_path: Path, version: str, build: str) -> None:
    binary = go_build(PROGRAMS / "values", version=version, flags=FLAGS[build])
    logged = [json.loads(line) for line in record(binary, tmp_path / "trace.zst", *every_function()).splitlines()]
    recorded = values_by_function(tmp_path / "trace.zst")
    wrong = []
    for line in logged:
        name = line["func"]
        assert recorded[name], f"no call of {name}"
        arguments, results = recorded[name].pop(0)
        if version.startswith("1.21."):
            for blank in ("~p0", "~p1", "~p2"):
                line["args"].pop(blank, None)  # its debug information leaves blank parameters out
        if not same(line["args"], arguments) or not same(line["results"], results):
            wrong.append((name, line["args"], arguments, line["results"], results))
    assert not wrong, f"{len(wrong)} of {len(logged)}: {wrong[:3]}"
    assert len(logged) > 150
    assert all(not rest for name, rest in recorded.items() if name in {line["func"] for line in logged})


def test_paths_lengths_and_captured_variables(tmp_path: Path) -> None:
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    path = tmp_path / "trace.zst"
    patterns = [
        "main.pointers(s.inner.Name, s.inner.Tags[3], s.X, *q, n.Next.Value, name=s.name:c16) -> (r2.Next.Value)",
        "main.text(len(s), cap(b), s.len) -> (len(r0))",
        "main.maps(len(m)) -> (r0)",
        "main.channels(len(c), cap(c))",
        "main.slices(b[3], d[1].Y)",
        "main.all.func2(captured, n)",
        "main.counter.func1(total, step, name, len(seen), seen, n) -> (r0, name=r1)",
    ]
    record(binary, path, *(option for pattern in patterns for option in ("-u", pattern)))
    found = values_by_function(path)
    assert found["main.pointers"] == [
        (
            {"s.inner.Name": "inner", "s.inner.Tags[3]": "four", "s.X": 7, "*q": 42, "n.Next.Value": 2}
            | {"name": {"$truncated": 5, "value": "zh"}},
            {"r2.Next.Value": 2},
        ),
        (
            {key: {"$error": "nil pointer"} for key in ("s.inner.Name", "s.inner.Tags[3]", "s.X", "*q", "name")}
            | {"n.Next.Value": 1},
            {"r2.Next.Value": 1},
        ),
    ]
    (arguments, results) = found["main.text"][5]
    assert arguments.pop("cap(b)") >= 5
    assert (arguments, results) == ({"len(s)": 5, "s.len": 5}, {"len(r0)": 5})
    assert [arguments["len(m)"] for arguments, _ in found["main.maps"]] == [0, 1, 7, 8, 9, 1000, 0]
    assert [arguments for arguments, _ in found["main.channels"]] == [
        {"len(c)": 1, "cap(c)": 3},
        {"len(c)": 0, "cap(c)": 0},
    ]
    assert found["main.slices"][2][0]["b[3]"] == {"$error": "index out of range"}
    assert found["main.slices"][2][0]["d[1].Y"] == 4
    steps = {"step": 3, "name": "steps"}
    assert found["main.counter.func1"] == [
        (steps | {"total": 0, "len(seen)": 0, "seen": {"$len": 0}, "n": 1}, {"r0": 3, "name": "steps"}),
        (steps | {"total": 3, "len(seen)": 1, "seen": {"$len": 1}, "n": 2}, {"r0": 9, "name": "steps"}),
    ]
    assert [arguments for arguments, _ in found["main.all.func2"]] == [{"captured": k, "n": 5} for k in (0, 10, 20)]


def test_raw_rules_agree_with_names(tmp_path: Path) -> None:
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    path = tmp_path / "trace.zst"
    rules = (
        "name=+0(+0(%ax)):c512, age=16(%ax):s64, star=(*+0(%ax)):c64, inner=+0(+0(+24(%ax))):c40, s=+0(%ax):gostring"
    )
    record(binary, path, "-u", "main.Student.Label(s.name, prefix, len=%bx:u64) -> (r=%bx:u64)")
    label = values_by_function(path)["main.Student.Label"]
    assert label == [
        ({"s.name": "zhang", "prefix": "<<", "len": 2}, {"r": 7}),
        ({"s.name": "zhang", "prefix": "~", "len": 1}, {"r": 6}),
    ]
    pointers = rules.replace("%ax", "%cx")
    record(binary, path, "-u", f"main.pointers({pointers}, k=\\42:u8, p=%ax:x64)")
    arguments = values_by_function(path)["main.pointers"][0][0]
    assert arguments["name"].startswith("zhang")
    assert arguments["age"] == 100
    assert arguments["star"].startswith("zhang")
    assert arguments["inner"] == "inner"
    assert arguments["s"] == "zhang"
    assert arguments["k"] == 42
    assert arguments["p"].startswith("0x")


# As go-ftrace documents it: the rule of a pointer receiver with a name and an age.
STUDENT = "main.(*Student).String(s.name=(*+0(%ax)):c40, s.name.len=(+8(%ax)):s64, s.age=(+16(%ax)):s64)"


@pytest.mark.parametrize("as_root", [False, True])
def test_the_rule_of_a_receiver_as_go_ftrace_documents_it(tmp_path: Path, as_root: bool) -> None:
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    path = tmp_path / "trace.zst"
    patterns = ["-u", "main.Student.Label", binary, STUDENT] if as_root else ["-u", STUDENT, binary]
    funcrec("record", "-q", *patterns, "-o", path, "--", stdout=None)
    found = values_by_function(path)
    assert found["main.(*Student).String"] == [({"s.name": "zhang", "s.name.len": 5, "s.age": 100}, {})]
    # Under a ROOT only the call inside of it is recorded.
    assert len(found["main.Student.Label"]) == (1 if as_root else 0)


def test_every_type_of_raw_rules(tmp_path: Path) -> None:
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    path = tmp_path / "trace.zst"
    symbols = subprocess.run(["nm", binary], capture_output=True, text=True, check=True).stdout.splitlines()
    (version,) = [line.split()[0] for line in symbols if line.endswith(" runtime.buildVersion")]
    floats = "f=+0(%ax):f32, g=8(%ax):f64, c=+16(%ax):f64[2], x=+8(%ax):x64, b=+14(%ax):x8[2], u=-8(+0(%sp)):u16"
    record(
        *(binary, path, "-u", f"main.memoryFloats({floats})", "-u", "main.bools(a=%ax:bool, b=%rbx:bool, n=\\-7:s8)"),
        *(
            "-u",
            f"main.text(z=+0(%ax):string, v=@0x{version}:gostring)",
            "-u",
            "main.ints(a=%ax:s8, u=%ax:u8, b=%bx:s16)",
        ),
    )
    found = values_by_function(path)
    (floats_,) = found["main.memoryFloats"]
    assert floats_[0].pop("u") in range(1 << 16)
    assert floats_[0] == {"f": 1.25, "g": 2.5, "c": [3.0, 4.0], "x": "0x4004000000000000", "b": ["0x4", "0x40"]}
    assert found["main.bools"] == [({"a": True, "b": False, "n": -7}, {})]
    assert {"z": "nul", "v": f"go{DEFAULT}"} in [arguments for arguments, _ in found["main.text"]]
    assert [(a["a"], a["u"]) for a, _ in found["main.ints"]][2:5] == [(-1, 255), (127, 127), (-128, 128)]


def test_hostile_memory_has_a_status_and_never_garbage(tmp_path: Path) -> None:
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    path = tmp_path / "trace.zst"
    record(binary, path, *every_function(), arguments=("hostile",))
    found = values_by_function(path)
    unreadable = ({"$error": "unreadable"}, {"$error": "bad length"})
    assert len(found["main.text"]) == 30
    for arguments, results in found["main.text"]:
        assert all(value in unreadable for value in [*arguments.values(), *results.values()])
    for arguments, results in found["main.slices"]:
        assert arguments.pop("d") is None
        assert all(value in unreadable for value in [*arguments.values(), *results.values()])


def letters(value: Any) -> set[str]:
    """All characters of all texts inside a value."""
    if isinstance(value, str):
        return set(value)
    if isinstance(value, dict):
        return set().union(*(letters(part) for key, part in value.items() if key not in ("$ptr", "$error")))
    return set().union(*map(letters, value)) if isinstance(value, list) else set()


def test_what_another_goroutine_changes_meanwhile(tmp_path: Path) -> None:
    """Every call is there, every value is one of those that were written, and every view takes them."""
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    path = tmp_path / "trace.zst"
    record(binary, path, "-u", "main.watched($params)", "--max-overhead", "off", arguments=("race",))
    calls = [arguments for arguments, _ in values_by_function(path)["main.watched"]]
    assert len(calls) == 5000
    assert set().union(*map(letters, calls)) == {"a"}
    assert {arguments["m"]["$len"] for arguments in calls} <= set(range(51))
    assert len({json.dumps(arguments["s"]) for arguments in calls}) > 1
    for view in (["report"], ["stat", "--by", "s.name"], ["hist", "--by", "len(s.inner.Tags)"]):
        assert funcrec(view[0], path, *view[1:]).stdout


def test_columns_agree_with_single_values(tmp_path: Path) -> None:
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    path = tmp_path / "trace.zst"
    record(binary, path, *every_function())
    trace = Trace(path)
    calls = trace.table()
    pairs = checked_values(trace, calls)
    names = [trace.functions[number].name for number in calls.function]
    text = value_column(trace, calls, "arg.s").parts[Kind.TEXT]
    number = value_column(trace, calls, "e").parts[Kind.NUMBER]
    nil = value_column(trace, calls, "err").parts[Kind.NIL]
    checked = 0
    for row, (name, (arguments, results)) in enumerate(zip(names, pairs, strict=True)):
        if name == "main.text" and isinstance(arguments["s"], str):
            assert text.labels[text.values[row]] == arguments["s"]
            checked += 1
        if name == "main.ints":
            assert int(number.values[row]) == arguments["e"]
            checked += 1
        if name == "main.failures":
            assert bool(nil.values[row]) == (results["err"] is None)
            checked += 1
    assert checked > 20


@pytest.mark.parametrize("build", ["optimised", "pie"])
def test_function_values_are_shown_and_found_by_name(tmp_path: Path, build: str) -> None:
    binary = go_build(PROGRAMS / "values", version=DEFAULT, flags=FLAGS[build])
    path = tmp_path / "trace.zst"
    record(binary, path, "-u", "main.functions(f, h.All[0], a)", "-u", "main.apply($params)")
    shown = funcrec("report", path, "--where", 'f == "main.twice"').stdout
    assert "main.apply(f=main.twice, n=5)" in shown
    assert "main.functions(f=main.twice, h.All[0]=main.(*Point).Move-fm, a=func(int) int(main.twice))" in shown
    assert len(values_by_function(path)["main.functions"]) == 6
    counted = funcrec("stat", path, "--by", "a", "--where", 'a =~ "*.Move-fm"', "--format", "json").stdout
    assert [row["calls"] for row in json.loads(counted)] == [1]


def test_redacted_values_are_not_in_the_file(tmp_path: Path) -> None:
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    path = tmp_path / "trace.zst"
    names = ["Name", "s.age", "*ADES", "prefix", "Y", "c"]
    record(binary, path, *every_function(), *(word for name in names for word in ("--redact", name)))
    found = values_by_function(path)
    hidden = {"$error": "redacted"}
    student = found["main.Student.Label"][0][0]
    assert student["prefix"] == hidden
    assert student["s"]["grades"] == hidden
    assert student["s"]["Point"] == {"X": 7, "Y": hidden}
    assert student["s"]["inner"]["Name"] == hidden
    assert student["s"]["age"] == hidden
    arguments, results = found["main.pointers"][0]
    assert arguments["s"]["inner"] == {"Name": hidden, "Tags": ["one", "two", "", "four"]}
    assert arguments["p"] == results["r0"] == {"X": 3, "Y": hidden}
    assert found["main.structs"][0][0]["p"] == {"X": -1, "Y": hidden}
    assert [value["Y"] for value in found["main.slices"][1][0]["d"]] == [hidden, hidden]
    assert all(arguments["c"] == hidden and arguments["b"] != hidden for arguments, _ in found["main.ints"])
    boxed = [arguments["s"]["value"] for arguments, _ in found["main.interfaces"] if arguments["s"]]
    assert {"X": 5, "Y": hidden} in boxed
    reader = Trace(path).reader
    blobs = b"".join(values.data for block in reader.blocks if (values := reader.values(block.number)))
    assert b"zhang" in blobs
    assert b"inner" not in blobs


def test_caps_are_options(tmp_path: Path) -> None:
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    path = tmp_path / "trace.zst"
    options = ["--max-text", "4", "--max-elements", "2", "--max-depth", "1", "--max-capture", "8K"]
    record(binary, path, *every_function(), *options)
    found = values_by_function(path)
    assert found["main.text"][5][0]["s"] == {"$truncated": 5, "value": "hell"}
    assert found["main.slices"][1][0]["d"] == [{"X": 1, "Y": 2}, {"X": 3, "Y": 4}]
    assert found["main.slices"][3][0]["a"] == {"$truncated": 17, "value": [0, 1]}
    assert list(found["main.pointers"][0][0]["n"]["Next"]) == ["$ptr"]


@pytest.mark.parametrize(
    "options",
    [
        ["--max-text", "0"],
        ["--max-text", "4096"],
        ["--max-depth", "9"],
        ["--max-elements", "-1"],
        ["--max-capture", "5000"],
        ["--max-capture", "1M"],
        ["--redact", "*"],
        ["--redact", ""],
    ],
)
def test_caps_out_of_range_are_usage_errors(tmp_path: Path, options: list[str]) -> None:
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    command = [str(FUNCREC), "record", "-A", "-u", "main.*", *options, str(binary), "-o", str(tmp_path / "t"), "--"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 2, done.stderr
    assert options[0] in done.stderr


def test_lost_values_are_counted_call_by_call(tmp_path: Path) -> None:
    """Rings of one page: whatever is missing is shown as lost, and info has the same number."""
    binary = go_build(PROGRAMS / "values", version=DEFAULT)
    path = tmp_path / "trace.zst"
    record(binary, path, *every_function(), "-b", "4K", "--exits", "ret")
    info = json.loads(
        subprocess.run([FUNCREC, "info", path, "--format", "json"], capture_output=True, text=True).stdout
    )
    trace = Trace(path)
    calls = trace.table()
    lost = set()
    pairs = checked_values(trace, calls)
    for entry, end, pair in zip(calls.entry_event.tolist(), calls.exit_event.tolist(), pairs, strict=True):
        lost |= {event for event, side in ((entry, pair[0]), (end, pair[1])) if {"$error": "lost"} in side.values()}
    assert trace.lost_values == info["lost_values"] >= len(lost) > 0
    if trace.lost_events == 0:
        assert trace.lost_values == len(lost)

"""`record --if`: what the kernel lets in is what `--where` finds afterwards, call by call, and nesting stays exact."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.conftest import funcrec
from tests.integration.test_values import every_function
from tests.toolchain import PROGRAMS, go_build

pytestmark = pytest.mark.bpf

# Conditions that both can test, on calls of the program of values.
SAME = [
    "e == -128 or a > 100",
    "d // 1000 % 7 == 3 or d == -9223372036854775808",
    "not e > 0",
    "e * 2 - 1 < -2 and -c >= 1",
    "d == 18446744073709551615 or e == 255",
    'len(s) > 5 and s != "bad"',
    's == "hello" or s =~ "nul*" or s =~ "*text*" or s =~ "*世界"',
    'b =~ "hel*o"',
    "err == nil and n == 7",
    "p == nil or q == 42",
    's.inner.Tags[3] == "four" and s.X == 7',
    "n.Next.Next.Value == 3",
    "len(m) == 9",
    "d[1].Y == 4",
    "x == true or a",
    "(r0 == 0 and r3 == 0) or r4 == 127",
    'func =~ "main.ints" and e == 127',
    "j == 11 and i == 10",
    "t == -40 or by == 10",
    "t == 20 and sum == 42",
    # Texts have none of the rules for names of functions.
    's =~ "/api/*"',
    's =~ "main.F*" and not s =~ "main.F"',
    's =~ "a%2eb" or s =~ "a.b"',
    's =~ "(*T)"',
    # Of a text that is longer than what is recorded of it, the beginning decides.
    'len(s) == 300 and s != "hello" and not s =~ "x*"',
]
UNLIKE = ("main.interfaces", "main.failures")  # --where looks into interfaces


# By the case of the workload: parameters there are called n, sometimes results too.
CONDITIONS = {"panics": "n % 2 == 1", "goexit": "n % 3 != 1", "recursion": "n % 2 == 0"}


def rows(path: Path, *options: str) -> list[tuple[str, str]]:
    """Function and values of the calls of a trace, in order."""
    printed = funcrec("report", path, "--format", "jsonl", *options).stdout
    calls = [json.loads(line) for line in printed.splitlines()]
    # Addresses differ from run to run.
    return [(call["func"], re.sub("0x[0-9a-f]+", "0x", json.dumps([call["args"], call["results"]]))) for call in calls]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All calls, without a condition."""
    path = tmp_path_factory.mktemp("everything") / "trace.zst"
    binary = go_build(PROGRAMS / "values")
    funcrec("record", "-q", *every_function(), binary, "-o", path, "--", stdout=None)
    return path


@pytest.mark.parametrize("condition", SAME)
def test_the_kernel_agrees_with_where(tmp_path: Path, everything: Path, condition: str) -> None:
    path = tmp_path / "trace.zst"
    binary = go_build(PROGRAMS / "values")
    done = funcrec("record", *every_function(), "--if", condition, binary, "-o", path, "--")
    kept = rows(path)
    expected = rows(everything, "--where", condition)
    if "nil" not in condition:
        expected = [row for row in expected if row[0] not in UNLIKE]
    assert kept == expected, condition
    assert kept, condition
    assert ", 0 lost, " in done.stderr


@pytest.mark.parametrize("condition", ["err == nil and n == 7", "r0 >= 0 and n == 5", "len(m) == 9"])
def test_beside_values_root_and_min(tmp_path: Path, condition: str) -> None:
    """All of them in one program of the kernel; these calls have an entry and an exit of their own."""
    binary = go_build(PROGRAMS / "values")
    inside, some = tmp_path / "inside", tmp_path / "some"
    for path, options in ((inside, []), (some, ["--min", "1ns", "--if", condition])):
        funcrec("record", "-q", *every_function(), *options, binary, "main.all", "-o", path, "--", stdout=None)
    expected = rows(inside, "--where", condition)
    assert rows(some) == expected
    assert len(expected) > 0


def test_what_was_cut_off_a_text_decides_nothing(tmp_path: Path) -> None:
    """The kernel sees it, the report does not: what it cannot know matches neither way."""
    binary = go_build(PROGRAMS / "values")
    cut = tmp_path / "cut"
    for condition, found, reported in (
        ('s == "hello"', 3, 0),
        ('s != "hello" and len(s) == 5', 6, 6),
        ('s =~ "hel*"', 3, 3),
        ('not s =~ "*lo" and len(s) == 5', 6, 0),
    ):
        options = ["-u", "main.text(s)", "--max-text", "4", "--if", condition]
        funcrec("record", "-q", *options, binary, "-o", cut, "--", stdout=None)
        assert len(rows(cut)) == found, condition
        assert len(rows(cut, "--where", condition)) == reported, condition


def test_lengths_of_what_is_not_fetched(tmp_path: Path) -> None:
    path = tmp_path / "trace.zst"
    binary = go_build(PROGRAMS / "values")
    condition = "len(c) == 1 and cap(c) == 3"
    done = funcrec("record", "-u", "main.channels", "-u", "main.bools", "--if", condition, binary, "-o", path, "--")
    assert [name for name, _ in rows(path)] == ["main.channels"]
    assert "no call of main.bools is recorded: it has no 'len(c)', which --if asks for" in done.stderr


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("dur > 1ms", "--min"),
        ("lenght == 3", "no function to record has lenght"),
        ("r0 == a", "compares an argument with a result"),
        ('a > "x"', "texts are compared by"),
        ("a > 1.5", "whole number"),
        ('a =~ "x?"', "no '?'"),
        ("a", "not true or false"),
        ("a +", "value is missing"),
        ("", "no condition"),
    ],
)
def test_what_the_kernel_cannot_do_is_a_usage_error(tmp_path: Path, condition: str, problem: str) -> None:
    binary = go_build(PROGRAMS / "values")
    done = funcrec("record", "-u", "main.ints", "--if", condition, binary, "-o", tmp_path / "t", "--", check=False)
    assert done.returncode == 2
    assert problem in done.stderr
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("exits", ["auto", "ret"])
@pytest.mark.parametrize("case", ["panics", "goexit", "recursion"])
def test_nesting_stays_exact(tmp_path: Path, case: str, exits: str) -> None:
    """The calls of every second depth, as all the calls say that they were."""
    binary = go_build(PROGRAMS / "workload")
    everything, some = tmp_path / "all", tmp_path / "some"
    for path, options in ((everything, []), (some, ["--if", CONDITIONS[case]])):
        environment = os.environ | {"TRUTH": str(path) + ".log"}
        command = ["record", "-A", "-u", "main.*", "--exits", exits, *options, binary, "-o", path, "--", case]
        funcrec(*command, env=environment, check=False)
    expected, found = (states(everything, "--where", CONDITIONS[case]), states(some))
    assert found == expected
    assert found


def states(path: Path, *options: str) -> list[tuple[str, str, str]]:
    """Function, arguments and state of every call, in order of start by goroutine."""
    printed = funcrec("report", path, "--format", "jsonl", *options).stdout
    calls = [json.loads(line) for line in printed.splitlines()]
    return sorted(
        (call["func"], re.sub("0x[0-9a-f]+", "0x", json.dumps(call["args"])), call["state"]) for call in calls
    )

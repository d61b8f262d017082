import csv
import io
import json

import pytest

from funcrec.target.executable import Executable
from tests.conftest import funcrec


def test_text_says_what_is_probed_and_what_is_not(shapes: Executable) -> None:
    printed = funcrec("list", "-u", "main.*", "--exits", "ret", shapes.path).stdout
    lines = printed.splitlines()
    assert shapes.go_version in lines[0]
    assert "functions" in lines[1]
    assert "probes" in lines[1]
    assert any(line.split()[:4] == ["main.outer", "2", "emulated", "stepped"] for line in lines)
    assert "  main.inner: inlined everywhere (into main.outer): no code" in lines
    assert any(line.startswith("note: ") for line in lines)


def test_verbose_text_shows_every_probe(shapes: Executable) -> None:
    lines = funcrec("list", "-v", "--exits", "ret", "-u", "main.outer", shapes.path).stdout.splitlines()
    probes = [line.split() for line in lines if line.lstrip().startswith("0x")]
    assert [(words[1], words[2], words[3]) for words in probes] == [
        ("entry", "emulated", "jbe"),
        ("exit", "stepped", "ret"),
    ]


def test_verbose_text_says_why_exits_are_where_they_are(shapes: Executable) -> None:
    printed = funcrec("list", "-v", "-u", "main.*", shapes.path).stdout
    assert "last emulated one before the return at 0x" in printed
    assert "every call returns straight from here" in printed
    assert any(line.split()[1:3] == ["spare", "stepped"] for line in printed.splitlines() if "takes over when" in line)
    assert "ends it too" in printed
    assert "return; its code begins behind a" in printed


def test_machine_formats_say_the_same(shapes: Executable) -> None:
    def printed(form: str) -> str:
        return funcrec("list", "-u", "main.*", "--format", form, shapes.path, "main.main").stdout

    document = json.loads(printed("json"))
    rows = [json.loads(line) for line in printed("jsonl").splitlines()]
    table = list(csv.DictReader(io.StringIO(printed("csv"))))
    assert document["version"] == 1
    assert document["go_version"] == shapes.go_version
    probed = [row for row in rows if row["reason"] is None]
    assert [row["name"] for row in document["functions"]] == [row["name"] for row in probed]
    assert [row["name"] for row in document["skipped"]] == [row["name"] for row in rows if row["reason"] is not None]
    assert [row["name"] for row in table] == [row["name"] for row in rows]
    assert [row["sites"] for row in table] == [str(row["sites"]) for row in rows]


@pytest.mark.parametrize(
    ("arguments", "status", "cause"),
    [
        (["-u", "main.aad"], 4, "no function in"),
        ([], 2, "no function is named"),
        (["-u", "main.add("], 2, "unbalanced"),
        (["-u", "main.*", "--match", "perl"], 2, "kind of pattern"),
        (["-u", "main.*", "--max-probes", "3"], 2, "--max-probes"),
    ],
)
def test_errors_have_a_cause_and_a_remedy(arguments: list[str], status: int, cause: str, shapes: Executable) -> None:
    done = funcrec("list", shapes.path, *arguments, check=False)
    assert done.returncode == status
    first, second = done.stderr.splitlines()
    assert cause in first
    assert second.startswith("  try: ")
    assert done.stdout == ""


@pytest.mark.parametrize("path", ["/etc/passwd", "/bin/true", "/nonexistent", "/"])
def test_what_is_no_go_program_exits_with_4(path: str) -> None:
    done = funcrec("list", "-u", "main.*", path, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 2)


def test_options_stand_anywhere(shapes: Executable) -> None:
    before = funcrec("list", "-u", "main.add", "--uprobe-wildcards", "main.load", "-x", shapes.path).stdout
    after = funcrec("list", shapes.path, "--no-exclude-vendor", "-u", "main.add", "--uprobe", "main.load").stdout
    assert before == after


def test_a_regular_expression_can_be_asked_for(shapes: Executable) -> None:
    printed = funcrec("list", "--match", "regex", "-u", r"^main\.(add|pick)$", "--format", "jsonl", shapes.path).stdout
    assert [json.loads(line)["name"] for line in printed.splitlines()] == ["main.add", "main.pick"]

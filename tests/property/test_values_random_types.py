"""Random structure types, compiled and traced: what the calling convention says of them is where their values are."""

import json
import random
import shutil
from pathlib import Path

import pytest

from tests.integration.test_values import record, same, values_by_function
from tests.toolchain import DEFAULT, PROGRAMS, VERSIONS, go_build

pytestmark = pytest.mark.bpf

FUNCTIONS = 40
INTEGERS = {
    "int8": 7,
    "int16": 15,
    "int32": 31,
    "int64": 63,
    "int": 63,
    "uint8": 8,
    "uint16": 16,
    "uint32": 32,
    "uint64": 64,
}


class Generator:
    """Types and values of them as Go text, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def type(self, depth: int) -> str:
        kinds = ["integer"] * 4 + ["bool", "string", "bytes", "slice", "pointer", "empty"]
        kinds += ["struct"] * 2 + ["one", "three"] if depth else []
        kind = self._random.choice(kinds)
        if kind == "struct":
            fields = [f"F{i} {self.type(depth - 1)}" for i in range(self._random.randint(0, 4))]
            return "struct{" + "; ".join(fields) + "}"
        if kind in ("one", "three"):
            return f"[{1 if kind == 'one' else 3}]{self.type(depth - 1)}"
        integer = self._random.choice(list(INTEGERS))
        simple = {"integer": integer, "bytes": "[]byte", "slice": "[]int16", "pointer": "*int32", "empty": "[0]int"}
        return simple.get(kind, kind)

    def value(self, type_: str) -> str:
        pick = self._random
        if type_.startswith("struct{"):
            return f"{type_}{{" + ", ".join(self.value(part) for part in _field_types(type_)) + "}"
        if type_.startswith(("[1]", "[3]")):
            return f"{type_}{{" + ", ".join(self.value(type_[3:]) for _ in range(int(type_[1]))) + "}"
        if type_ in INTEGERS:
            top = (1 << INTEGERS[type_]) - 1
            return str(pick.choice([0, 1, top, pick.randint(0, top)]))
        texts = ["", "a", "hello", "x" * pick.randint(0, 40)]
        return {
            "bool": pick.choice(["true", "false"]),
            "string": json.dumps(pick.choice(texts)),
            "[]byte": pick.choice(["nil", "[]byte{}", f"[]byte({json.dumps(pick.choice(texts))})"]),
            "[]int16": pick.choice(["nil", "[]int16{}", "[]int16{1, -2, 3}"]),
            "*int32": pick.choice(["nil", "at(7)", "at(-9)"]),
            "[0]int": "[0]int{}",
        }[type_]


def _field_types(struct: str) -> list[str]:
    """Types of the fields of `struct{F0 T; F1 T}`."""
    inner, depth, parts, start = struct[len("struct{") : -1], 0, [], 0
    for at, character in enumerate(inner + ";"):
        depth += (character == "{") - (character == "}")
        if character == ";" and depth == 0:
            parts.append(inner[start:at].strip())
            start = at + 1
    return [part.partition(" ")[2] for part in parts if part]


def write_program(folder: Path, seed: int) -> None:
    make = Generator(seed)
    lines = ["package main", "", "func at(n int32) *int32 { return &n }", ""]
    body = []
    for number in range(FUNCTIONS):
        types = [make.type(3) for _ in range(make._random.randint(1, 5))]
        names = [f"p{i}" for i in range(len(types))]
        lines += [f"type T{number}_{i} {type_}" for i, type_ in enumerate(types)]
        parameters = ", ".join(f"{name} T{number}_{i}" for i, name in enumerate(names))
        results = ", ".join(f"T{number}_{i}" for i in reversed(range(len(types))))
        lines += [
            "",
            "//go:noinline",
            f"func f{number}({parameters}) ({results}) {{ return {', '.join(reversed(names))} }}",
            "",
        ]
        returned = [f"r{i}" for i in range(len(types))]
        body.append("\t{")
        body += [f"\t\tvar {name} T{number}_{i} = {make.value(types[i])}" for i, name in enumerate(names)]
        body.append(f"\t\t{', '.join(returned)} := f{number}({', '.join(names)})")
        body.append(
            f'\t\trecord("main.f{number}", "{" ".join(names)}", []any{{{", ".join(names)}}}, '
            f'"{" ".join(returned)}", []any{{{", ".join(returned)}}})'
        )
        body.append("\t}")
    (folder / "main.go").write_text("\n".join([*lines, "func main() {", *body, "}", ""]))
    (folder / "go.mod").write_text("module random\n\ngo 1.21\n")
    shutil.copy(PROGRAMS / "values" / "encode.go", folder / "encode.go")


@pytest.mark.parametrize(("version", "seed"), [*((version, 1) for version in VERSIONS), (DEFAULT, 2)])
def test_random_types_are_read_where_they_are(tmp_path: Path, version: str, seed: int) -> None:
    write_program(tmp_path, seed)
    binary = go_build(tmp_path, version=version, name="random")
    printed = record(
        binary, tmp_path / "trace.zst", "-A", "-R", "-u", "main.f*", "-u", "!main.fields", "-u", "!main.float"
    )
    recorded = values_by_function(tmp_path / "trace.zst")
    logged = [json.loads(line) for line in printed.splitlines()]
    assert len(logged) == FUNCTIONS
    wrong = []
    for line in logged:
        arguments, results = recorded[line["func"]].pop(0)
        if not same(line["args"], arguments) or not same(line["results"], results):
            wrong.append((line, arguments, results))
    assert not wrong, f"{len(wrong)}: {wrong[:2]}"

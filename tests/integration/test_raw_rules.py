"""Rules as other tracers of Go document them work as typed: on plain, stripped and position-independent programs."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import funcrec
from tests.toolchain import PROGRAMS, go_build

pytestmark = pytest.mark.bpf

FUNCTION = "go.etcd.io/etcd/client/v3/concurrency.(*Mutex).tryAcquire"
# The commands that gofuncgraph and go-ftrace show: patterns, and fetch expressions behind the binary.
DOCUMENTED: list[tuple[list[str], list[str]]] = [
    (["--uprobe-wildcards", FUNCTION], []),
    (["--uprobe-wildcards", "go.etcd.io/etcd/client/v3/*"], []),
    (["-u", FUNCTION, "-u", "runtime.chan*"], []),
    (["-u", f"{FUNCTION}(pfx=+0(+8(%ax)):c512, n_pfx=+16(%ax):u64, m.s.id=16(0(%ax)):u64 )"], []),
    (["-u", f"{FUNCTION}(pfx=+0(+8(%ax)):c512, n_pfx=+16(%ax):u64, m.s.id=16(0(%ax)):u64)"], []),
    (["-u", f"{FUNCTION}(pfx=+0(+8(%rax)):c128, n_pfx=+16(%ax):u64, myKey=+0(+24(%rax)):c128)"], []),
    (
        ["-x", "-u", "go.etcd.io/etcd/client/v3/*"],
        [f"{FUNCTION}(pfx=+0(+8(%ax)):c512, n_pfx=+16(%ax):u64, m.s.id=16(0(%ax)):u64 )"],
    ),
]
BUILDS = {"plain": [], "stripped": ["-ldflags=-s -w"], "pie": ["-buildmode=pie"], "stripped-pie": []}
BUILDS["stripped-pie"] = [*BUILDS["stripped"], *BUILDS["pie"]]


def record(folder: Path, build: str, options: list[str], roots: list[str]) -> list[dict[str, object]]:
    binary = go_build(PROGRAMS / "etcd", flags=BUILDS[build])
    path = folder / "trace.zst"
    funcrec("record", "-q", *options, binary, *roots, "-o", path, "--")
    return [json.loads(line) for line in funcrec("report", path, "--format", "jsonl").stdout.splitlines()]


def begins(value: Any, text: str) -> bool:
    """A rule of a fixed length reads on behind a string: what follows is anything."""
    data = bytes.fromhex(value["$hex"]) if isinstance(value, dict) else value.encode()
    return data.startswith(text.encode())


@pytest.mark.parametrize(("options", "roots"), DOCUMENTED)
def test_documented_examples_work_as_typed(tmp_path: Path, options: list[str], roots: list[str]) -> None:
    calls = [call for call in record(tmp_path, "plain", options, roots) if call["func"] == FUNCTION]
    assert [call["state"] for call in calls] == ["returned"] * 3
    for i, call in enumerate(calls):
        args = call["args"]
        assert isinstance(args, dict)
        if not args:
            continue
        assert args["n_pfx"] == 6
        assert begins(args["pfx"], f"lock-{i}")
        assert args.get("m.s.id", 100 + i) == 100 + i
        assert begins(args.get("myKey", f"lock-{i}/key"), f"lock-{i}/key")


@pytest.mark.parametrize("build", BUILDS)
def test_rules_need_no_debug_information(tmp_path: Path, build: str) -> None:
    rules = "id=+16(+0(%ax)):s64, pfx=+8(%ax):gostring, key=+24(%ax):gostring, raw=+0(+8(%ax)):c48"
    calls = record(tmp_path, build, ["-u", f"{FUNCTION}({rules}) -> (rev=%ax:s64, err=%bx:x64)"], [])
    assert [call["args"] for call in calls] == [
        {"id": 100 + i, "pfx": f"lock-{i}", "key": f"lock-{i}/key", "raw": f"lock-{i}"} for i in range(3)
    ]
    assert [call["results"] for call in calls] == [{"rev": 1, "err": "0x0"}] * 3


@pytest.mark.parametrize("build", BUILDS)
def test_conditions_on_rules(tmp_path: Path, build: str) -> None:
    rules = "id=+16(+0(%ax)):s64, pfx=+8(%ax):gostring, raw=+0(+8(%ax)):c48"
    options = ["-u", f"{FUNCTION}({rules})", "--if", 'id > 100 and pfx =~ "lock*" and raw != "lock-1"']
    calls = record(tmp_path, build, options, [])
    assert [call["args"] for call in calls] == [{"id": 102, "pfx": "lock-2", "raw": "lock-2"}]


def test_names_need_debug_information(tmp_path: Path) -> None:
    binary = go_build(PROGRAMS / "etcd", flags=BUILDS["stripped"])
    done = funcrec("record", "-u", f"{FUNCTION}(m.pfx)", binary, "-o", tmp_path / "t", "--", check=False)
    assert done.returncode == 4
    assert "need debug information" in done.stderr

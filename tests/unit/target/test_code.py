"""Sites in everything that the Go compiler made: the shapes program, and whole large programs."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from funcrec.target.code import CodeReader
from funcrec.target.executable import Executable
from funcrec.target.ordinary import site_row
from funcrec.target.text import CodeSite
from tests.toolchain import DEFAULT, VERSIONS, go_tool


def sites(executable: Executable, name: str, **wanted: bool) -> tuple[CodeSite, ...]:
    (function,) = executable.functions.named(name)
    code = CodeReader(executable).sites(function, **wanted)
    assert not code.reason
    return code.sites


def shape(found: tuple[CodeSite, ...]) -> list[tuple[str, bool, str]]:
    return [(site.role, site.emulated, site.instruction.split()[0]) for site in found]


@pytest.mark.parametrize("version", VERSIONS)
def test_shapes(version: str, build_shapes: Callable[..., Path]) -> None:
    executable = Executable.open(str(build_shapes(version)))
    checked = [("entry", True, "jbe"), ("exit", False, "ret")]
    for name in ("main.(*Student).String", "main.bytesOf", "main.huge", "main.outer"):
        assert shape(sites(executable, name)) == checked, name
    assert shape(sites(executable, "main.empty")) == [("point", False, "ret")]
    assert shape(sites(executable, "main.add")) == [("point", False, "add")]
    assert shape(sites(executable, "main.add", arguments=True, results=True)) == [
        ("entry", False, "add"),
        ("exit", False, "ret"),
    ]
    assert shape(sites(executable, "main.load")) == [("entry", False, "mov"), ("exit", False, "ret")]
    assert shape(sites(executable, "main.pick")) == [("entry", True, "jge")] + 2 * [("exit", False, "ret")]
    assert shape(sites(executable, "main.guarded")) == [("entry", True, "jbe")] + 2 * [("exit", False, "ret")]
    assert shape(sites(executable, "main.forever")) == [("entry", True, "jbe")]
    assert shape(sites(executable, "main.fail")) == [("entry", True, "jbe")]


def test_forwarders_are_points(build_shapes: Callable[..., Path]) -> None:
    executable = Executable.open(str(build_shapes("1.27.3")))
    assert shape(sites(executable, "main.(*Wrapped).Promoted")) == [("point", True, "jmp")]
    assert shape(sites(executable, "main.(*holder).Promoted")) == [("point", False, "jmp")]


def large_programs() -> list[object]:
    return [
        pytest.param(version, program, id=f"{version}-{program}", marks=[] if plain else pytest.mark.slow)
        for version in VERSIONS
        for program, plain in (("compile", False), ("go", version == DEFAULT))
    ]


@pytest.mark.parametrize(("version", "program"), large_programs())
def test_every_function_of_a_large_program(version: str, program: str) -> None:
    tool = go_tool(version)
    path = tool if program == "go" else tool.parent.parent / "pkg" / "tool" / "linux_amd64" / program
    executable = Executable.open(str(path))
    reader = CodeReader(executable)
    nothing = np.zeros(len(executable.functions), dtype=np.bool_)
    together = reader.many(executable.functions, nothing, nothing)
    rows = iter(together.sites.tolist())
    roles: Counter[str] = Counter()
    emulated = 0
    refused = []
    seen: set[int] = set()
    for function in executable.functions:
        code = reader.sites(function)
        assert together.reasons.get(function.index, "") == code.reason
        assert [next(rows) for _ in code.sites] == [site_row(function.index, site) for site in code.sites]
        if code.reason:
            refused.append((function, code.reason))
            continue
        entries = [site for site in code.sites if site.role != "exit"]
        assert len(entries) == 1, function.name
        emulated += entries[0].emulated
        for site in code.sites:
            assert site.address not in seen
            assert function.address <= site.address < function.end
            assert (site.edge, site.condition) in {(3, site.condition), (1, 6), (2, site.condition)}
            if site.instruction == "ret" or not function.assembly:
                assert site.sp_delta == 0, (function.name, site)
            seen.add(site.address)
            roles[site.role] += 1
    # What cannot be traced: a handful of assembly and atomic operations, and one loop in the runtime.
    assert len(refused) < 40
    for function, reason in refused:
        assert function.assembly or function.name.startswith(("runtime", "internal/runtime", "go:", "crypto/internal"))
        assert "decode" not in reason or function.name.startswith("crypto/internal")
    assert roles["exit"] > 1.5 * len(executable.functions)
    assert emulated > 0.85 * len(executable.functions)

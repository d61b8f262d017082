"""arm64 code: single instructions, and sites as Go's own disassembler shows them."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from funcrec.errors import TargetError
from funcrec.plan.builder import build_plan
from funcrec.plan.captures import Signatures
from funcrec.plan.sites import Edge, Role
from funcrec.target import arm64
from funcrec.target.architecture import architecture_of
from funcrec.target.executable import Executable
from tests.conftest import funcrec
from tests.toolchain import DEFAULT, go_environment, go_tool

ARM64 = (("GOARCH", "arm64"),)
_LOWER_OR_SAME = 9


@pytest.fixture(scope="module")
def shapes(build_shapes: Callable[..., Path]) -> Executable:
    return Executable.open(str(build_shapes(DEFAULT, env=ARM64)))


@pytest.mark.parametrize(
    ("word", "text", "simulated", "probeable"),
    [
        (0xD65F03C0, "ret", True, True),
        (0xD65F0380, "ret x28", True, True),
        (0xD61F0360, "br x27", True, True),
        (0xD63F0340, "blr x26", True, True),
        (0x17FFFFFF, "b 0xffc", True, True),
        (0x94000002, "bl 0x1008", True, True),
        (0x54000049, "b.ls 0x1008", True, True),
        (0xB5FFFFE0, "cbnz x0, 0xffc", True, True),
        (0x3400005F, "cbz wzr, 0x1008", True, True),
        (0x36180041, "tbz w1, #3, 0x1008", True, True),
        (0xB7F80041, "tbnz x1, #63, 0x1008", True, True),
        (0x90000000, ".inst 0x90000000", True, True),  # adrp x0
        (0xD503201F, "nop", False, True),
        (0x8B010000, ".inst 0x8b010000", False, True),  # add x0, x0, x1
        (0x58000040, ".inst 0x58000040", False, False),  # ldr x0, 0x1008
        (0xC85FFC00, ".inst 0xc85ffc00", False, False),  # ldaxr x0, [x0]
        (0xD4200000, ".inst 0xd4200000", False, False),  # brk #0
        (0xD53BD040, ".inst 0xd53bd040", False, False),  # mrs x0, tpidr_el0
        (0xD69F03E0, ".inst 0xd69f03e0", False, False),  # eret
        (0x00000000, ".inst 0x00000000", False, False),  # udf #0
    ],
)
def test_single_instructions(word: int, text: str, simulated: bool, probeable: bool) -> None:
    assert arm64.disassembly(word, 0x1000) == text
    assert arm64.is_simulated(word) is simulated
    assert arm64.is_probeable(word) is probeable


def test_far_targets() -> None:
    words = np.array([0x16000000, 0x15FFFFFF, 0x54800000, 0x36040000], np.uint32)
    at = np.full(4, 1 << 30, np.int64)
    assert (arm64.targets(words, at) - at).tolist() == [-(1 << 27), (1 << 27) - 4, -(1 << 20), -(1 << 15)]


def _disassembled(executable: Executable, pattern: str) -> dict[int, str]:
    """Address -> instruction in Go's notation."""
    command = [go_tool(DEFAULT), "tool", "objdump", "-s", pattern, executable.path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=go_environment(DEFAULT))
    found = re.findall(r"^\s+\S+:-?\d+\s+0x([0-9a-f]+)\s+[0-9a-f]{8}\s+(.*?)\s*$", done.stdout, re.M)
    return {int(address, 16): text for address, text in found}


def test_sites_are_where_the_disassembler_shows_them(shapes: Executable) -> None:
    """All RETs and no other exits, entries at the branch of the stack check, for the whole of fmt and main."""
    plan = build_plan(shapes, ["main.*", "fmt.*"])
    there = _disassembled(shapes, r"^(main|fmt)\.")
    names = {number: function.name for number, function in enumerate(plan.functions) if not function.hidden}
    ours = [site for site in plan.sites if site.function in names]
    checked = [site for site in ours if site.role == Role.ENTRY and site.why == "stack check passed"]
    assert len(checked) > 50
    for site in checked:
        assert there[site.address].startswith("BLS "), names[site.function]
        assert (site.edge, site.condition, site.sp_delta) == (Edge.FALLTHROUGH, _LOWER_OR_SAME, 0)
    ends = {site.address for site in ours if site.role in (Role.EXIT, Role.POINT) and site.why != "jump out"}
    recorded = {shapes.functions[function.index].address for function in plan.functions if not function.hidden}
    returns = {
        address
        for address, text in there.items()
        if text == "RET" and (owner := shapes.function_at(address)) is not None and owner.address in recorded
    }
    assert ends == returns
    starts = {site.address for site in ours if site.role != Role.EXIT} - {site.address for site in checked}
    assert starts <= recorded


def test_sites_have_the_frame_of_their_entry(shapes: Executable) -> None:
    plan = build_plan(shapes, ["*"])
    assert all(site.sp_delta == 0 for site in plan.sites if site.role in (Role.ENTRY, Role.EXIT, Role.POINT))
    assert len({(site.address) for site in plan.sites}) == len(plan.sites)


def test_ends_of_calls_that_never_return_are_watched(shapes: Executable) -> None:
    helpers = {function.name for function in build_plan(shapes, ["main.outer"]).functions if function.hidden}
    assert {"runtime.recovery", "runtime.goexit1", "runtime.fatalpanic", "runtime.main"} <= helpers


def test_arguments_and_results_are_in_arm64_registers(shapes: Executable) -> None:
    (function,) = shapes.functions.named("main.sum")
    signature = Signatures(shapes).of(function.index)
    assert signature is not None
    assert [str(piece) for place in signature.parameters for piece in place.pieces] == ["%r0", "%r1", "%r2"]
    assert [str(piece) for place in signature.results for piece in place.pieces] == ["%r0"]
    assert signature.closure.name == "R26"


def test_a_listing_needs_no_such_machine(shapes: Executable) -> None:
    text = funcrec("list", "-v", "-u", "main.outer(n) -> ($results)", shapes.path).stdout
    assert "arm64" in text
    assert re.search(r"entry +emulated +b\.ls 0x[0-9a-f]+ +stack check passed", text)
    assert re.search(r"exit +emulated +ret +return", text)


def test_registers_of_another_processor_are_refused(shapes: Executable) -> None:
    done = funcrec("list", "-u", "main.outer(x=%ax:s64)", shapes.path, check=False)
    assert done.returncode == 2
    assert "no register ax" in done.stderr


def test_code_is_read_by_the_reader_of_its_processor(shapes: Executable) -> None:
    reader = architecture_of(shapes).reader(shapes)
    (function,) = shapes.functions.named("main.outer")
    assert reader.instruction_at(reader.sites(function).sites[0].address).startswith("b.ls ")


def test_another_machine_cannot_record_it(shapes: Executable) -> None:
    from funcrec.record.machine import check_fits, machine

    if machine().name == "x86-64":
        with pytest.raises(TargetError, match="built for arm64, and this machine is x86-64"):
            check_fits(shapes, shapes.path)
    else:
        check_fits(shapes, shapes.path)

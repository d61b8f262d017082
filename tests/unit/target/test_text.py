"""Sites of small functions written in machine code; real functions are in test_code.py."""

import struct

import pytest

from funcrec.target.text import CodeContext, CodeSite, FunctionCode, calls_of, choose_sites

ENTRY = 0x401000
MORESTACK = 0x500000
OUTSIDE = 0x600000

CHECK = "493b6610"  # cmp rsp, [r14+16]


def context(frames: dict[int, int] | None = None, words: dict[int, list[int]] | None = None) -> CodeContext:
    return CodeContext(
        frame_size=lambda address: (frames or {}).get(address - ENTRY, 0),
        is_morestack={MORESTACK}.__contains__,
        words_at=lambda address, count: (words or {}).get(address, [])[:count],
    )


def sites(code: str | bytes, **options: bool) -> tuple[CodeSite, ...]:
    found = choose_sites(as_bytes(code), ENTRY, context(), **options)
    assert not found.reason
    return found.sites


def as_bytes(code: str | bytes) -> bytes:
    return bytes.fromhex(code.replace(" ", "")) if isinstance(code, str) else code


def relative(opcode: str, at: int, target: int) -> str:
    """A call or jmp rel32 at an offset from the entry."""
    return opcode + struct.pack("<i", target - (ENTRY + at + 5)).hex()


def shape(found: tuple[CodeSite, ...]) -> list[tuple[int, str, bool]]:
    return [(site.address - ENTRY, site.role, site.emulated) for site in found]


def with_check(check: str) -> str:
    """A function with a stack check, a call of morestack and the jump back."""
    body = check + "76 01 c3"  # jbe over the RET
    size = len(as_bytes(body))
    return body + relative("e8", size, MORESTACK) + relative("e9", size + 5, ENTRY)


@pytest.mark.parametrize(
    ("check", "branch"),
    [
        (CHECK, 4),
        ("493b6618", 4),  # stackguard1
        ("4c8d6424a0 4d3b6610", 9),  # lea r12, [rsp-96]; cmp r12, [r14+16]
        ("4989e4 4981ec00000200 7207 4d3b6610", 16),  # mov r12, rsp; sub r12, N; jb; cmp r12, [r14+16]
    ],
)
def test_the_branch_of_the_stack_check_is_the_entry(check: str, branch: int) -> None:
    entry, ret = sites(with_check(check), arguments=True)
    assert shape((entry, ret)) == [(branch, "entry", True), (branch + 2, "exit", False)]
    assert (entry.edge, entry.condition, entry.sp_delta, entry.arguments_intact) == (1, 6, 0, True)
    assert (ret.edge, ret.condition) == (3, -1)


def test_assembly_that_loads_g_itself_is_entered_at_its_check_too() -> None:
    code = with_check("64488b0c25f8ffffff 483b6110")  # mov rcx, fs:[-8]; cmp rsp, [rcx+16]
    assert shape(sites(code, assembly=True, arguments=True)) == [(13, "entry", True), (15, "exit", False)]


def test_a_push_at_the_start_is_the_entry() -> None:
    entry, _ = sites("55 4889e5 5d c3")
    assert (entry.address, entry.emulated, entry.edge, entry.instruction) == (ENTRY, True, 3, "push rbp")


def test_the_first_emulated_instruction_is_the_entry_while_arguments_are_intact() -> None:
    code = "4839d8 7e01 c3 4889d8 c3"  # cmp rax, rbx; jle; ret; mov rax, rbx; ret
    assert shape(sites(code, arguments=True)) == [(3, "entry", True), (5, "exit", False), (9, "exit", False)]


def test_a_written_argument_register_matters_only_when_arguments_are_wanted() -> None:
    code = "4889d8 7e01 c3 c3"  # mov rax, rbx; jle; ret; ret
    entry, *_ = sites(code)
    assert (entry.address - ENTRY, entry.emulated, entry.arguments_intact) == (3, True, False)
    entry, *_ = sites(code, arguments=True)
    assert (entry.address, entry.emulated, entry.arguments_intact) == (ENTRY, False, True)


def test_no_call_goes_unseen_because_its_first_load_faults() -> None:
    entry, *_ = sites("488b08 4885c9 7401 c3 c3")  # mov rcx, [rax]; test; je; ret; ret
    assert (entry.address, entry.emulated) == (ENTRY, False)


def test_the_walk_stops_before_the_target_of_a_jump() -> None:
    entry, *_ = sites("4885c0 4885c0 7502 ebf9 c3")  # test; L: test; jne; jmp L; ret
    assert (entry.address, entry.emulated) == (ENTRY, False)


@pytest.mark.parametrize("code", ["c3", "4801d8 c3"])
def test_straight_code_up_to_ret_is_one_point(code: str) -> None:
    assert shape(sites(code)) == [(0, "point", False)]


def test_straight_code_whose_results_are_wanted_is_probed_at_its_ret() -> None:
    assert shape(sites("4801d8 c3", results=True)) == [(3, "point", False)]
    assert shape(sites("4801d8 c3", results=True, arguments=True)) == [(0, "entry", False), (3, "exit", False)]
    assert shape(sites("c3", results=True, arguments=True)) == [(0, "point", False)]


def test_straight_code_that_can_panic_is_no_point() -> None:
    assert shape(sites("488b00 c3")) == [(0, "entry", False), (3, "exit", False)]


def test_a_forwarder_is_one_point_at_its_jump() -> None:
    code = "488b00" + relative("e9", 3, OUTSIDE)  # mov rax, [rax]; jmp elsewhere
    (point,) = sites(code)
    assert shape((point,)) == [(3, "point", True)]
    assert not point.arguments_intact
    assert shape(sites(code, arguments=True)) == [(0, "entry", False), (3, "exit", True)]
    assert shape(sites(relative("e9", 0, OUTSIDE), arguments=True)) == [(0, "point", True)]


def test_a_forwarder_can_jump_through_a_register() -> None:
    assert shape(sites("488b08 488b5008 ffe1")) == [(7, "point", False)]


def test_exits_are_rets_and_jumps_out() -> None:
    code = "55 4885c0 7407 5d" + relative("e9", 7, OUTSIDE) + "90 5d c3"
    assert shape(sites(code)) == [(0, "entry", True), (7, "exit", True), (14, "exit", False)]


def test_a_conditional_jump_out_counts_when_it_is_taken() -> None:
    code = "55 0f84" + struct.pack("<i", OUTSIDE - (ENTRY + 7)).hex() + "5d c3"
    assert [(site.role, site.edge, site.condition) for site in sites(code)] == [
        ("entry", 3, -1),
        ("exit", 2, 4),
        ("exit", 3, -1),
    ]


def test_a_frame_at_a_jump_out_is_added_to_sp() -> None:
    code = as_bytes("55" + relative("e9", 1, OUTSIDE))
    _, jump = choose_sites(code, ENTRY, context({1: 8})).sites
    assert jump.sp_delta == 8


def test_a_switch_stays_inside() -> None:
    # lea rcx, [rip+table]; jmp [rcx+rax*8]; ret; ret
    code = "55 488d0d f8ff0000 ff24c1 c3 c3"
    assert shape(sites(code)) == [(0, "entry", True), (11, "exit", False), (12, "exit", False)]


def test_a_leaf_around_a_switch_is_entered_before_its_cases() -> None:
    code = as_bytes("4885c0 7401 c3 488d0d f3ff0000 ff24c1 c3")
    table = ENTRY + 13 + 0xFFF3
    safe = choose_sites(code, ENTRY, context(words={table: [ENTRY + 6, OUTSIDE]}))
    assert shape(safe.sites)[0] == (3, "entry", True)
    again = choose_sites(code, ENTRY, context(words={table: [ENTRY + 3, OUTSIDE]}))
    assert shape(again.sites)[0] == (0, "entry", False)
    loop = choose_sites(code, ENTRY, context(words={table: [ENTRY]}))
    assert "loop" in loop.reason


def test_padding_is_no_code() -> None:
    assert shape(sites("55 5d c3" + "cc" * 13)) == [(0, "entry", True), (2, "exit", False)]


def test_a_function_without_ret_has_no_exit() -> None:
    assert shape(sites("55 ebfe")) == [(0, "entry", True)]


@pytest.mark.parametrize(
    ("code", "assembly", "reason"),
    [
        ("55 06", False, "does not decode"),
        ("4885c0 75fb c3", False, "head of a loop"),
        ("ffe3", True, "assembly that jumps through a register"),
        ("f0 4821 18 c3", False, "takes no probe"),
        (relative("0f84", 0, OUTSIDE)[:4] + "00ff0000 c3", True, "conditional jump"),
    ],
)
def test_what_cannot_be_traced_has_a_reason(code: str, assembly: bool, reason: str) -> None:
    found: FunctionCode = choose_sites(as_bytes(code), ENTRY, context(), assembly=assembly)
    assert found.sites == ()
    assert reason in found.reason


def test_a_ret_inside_a_frame_is_a_decoding_error() -> None:
    assert "cleanly" in choose_sites(as_bytes("55 c3"), ENTRY, context({1: 8})).reason


def test_calls_of_given_functions() -> None:
    code = as_bytes(relative("e8", 0, OUTSIDE) + relative("e8", 5, MORESTACK) + relative("e9", 10, OUTSIDE))
    found = calls_of(code, ENTRY, {OUTSIDE}, context())
    assert [site.address - ENTRY for site in found] == [0, 10]
    assert all(site.emulated and site.role == "call" for site in found)

"""Paths to RETs: hand-made machine code, then every function of a real program against the unwinder's own table."""

import pytest
from iced_x86 import Decoder

from funcrec.target.body import Body, read_body
from funcrec.target.effects import Effect, Rule, effect_of
from funcrec.target.tails import ALWAYS, FALLTHROUGH, TAKEN, Callees, Return, TailReader

BASE = 0x1000
BARRIER, PANICS, CALLEE = 0x100, 0x200, 0x300


def body(text: str, *, words: dict[int, list[int]] | None = None, deferreturn: int = 0) -> tuple[Body, bytes]:
    code = bytes.fromhex(text.replace("|", ""))
    found = read_body(code, BASE, deferreturn, lambda address, count: (words or {}).get(address, [])[:count])
    assert found is not None
    return found, code


def paths(text: str, which: int = -1, allowed: Rule = Rule.MEMORY, **options: object) -> Return:
    found, code = body(text, **options)  # type: ignore[arg-type]
    callees = Callees(
        never_return=lambda address: address == PANICS, keeps_registers=lambda address: address == BARRIER
    )
    return TailReader(callees, allowed).read(found, code, found.returns[which])


def sites(found: Return) -> list[tuple[int, int, int]]:
    """(offset, edge, sp_delta) of the sites."""
    return sorted((site.instruction.ip - BASE, site.edge, site.sp_delta) for site in found.sites)


def call(at: int, target: int) -> str:
    return "e8" + (target - (BASE + at + 5) & 0xFFFFFFFF).to_bytes(4, "little").hex()


def test_both_edges_of_a_jump() -> None:
    # 0 test al, al | 2 je 6 | 4 xor eax, eax... | 6 ret
    found = paths("84c0|7402|31c0|c3")
    assert found.head is None
    assert sites(found) == [(2, FALLTHROUGH, 0), (2, TAKEN, 0)]


def test_push_and_pop_of_the_frame_pointer() -> None:
    # 0 push rbp | 1 mov rbp, rsp | 4 mov eax, 1 | 9 pop rbp | 10 ret
    found = paths("55|4889e5|b801000000|5d|c3")
    assert found.head is None
    assert sites(found) == [(0, ALWAYS, 0)]


def test_frames_are_added_up() -> None:
    # 0 test al, al | 2 jne 6 | 4 nop nop | 6 add rsp, 0x18 | 10 pop rbp | 11 ret
    found = paths("84c0|7502|9090|4883c418|5d|c3")
    assert sites(found) == [(2, TAKEN, 0x20), (5, ALWAYS, 0x20)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ffd0|4883c408|c3", "an indirect call"),  # call rax
        ("90|4989c6|31c0|c3", "an instruction that must not lie between"),  # mov r14, rax
        ("90|4889ec|5d|c3", "an instruction that must not lie between"),  # mov rsp, rbp
        ("90|f3aa|c3", "an instruction that must not lie between"),  # rep stosb
        ("31c0|c3", "the entry"),
    ],
)
def test_heads(text: str, why: str) -> None:
    found = paths(text)
    assert (found.sites, found.why) == ((), why)
    assert found.head is not None


def test_a_direct_call_may_become_a_chain() -> None:
    # 0 je 7 | 2 call CALLEE | 7 pop rbp | 8 ret
    found = paths("7405|" + call(2, CALLEE) + "|5d|c3")
    assert found.callee == CALLEE
    assert found.head is not None
    assert (found.head.instruction.ip, found.head.sp_delta) == (BASE + 7, 8)
    assert [(site.instruction.ip, site.edge) for site in found.joins] == [(BASE, TAKEN)]


def test_nothing_comes_out_of_a_call_that_never_returns() -> None:
    # 0 je 7 | 2 call PANICS | 7 ret
    found = paths("7405|" + call(2, PANICS) + "|c3")
    assert found.head is None
    assert sites(found) == [(0, TAKEN, 0)]


def test_a_write_barrier_is_a_site() -> None:
    found = paths("90|" + call(1, BARRIER) + "|498903|c3")
    assert found.head is None
    assert sites(found) == [(1, ALWAYS, 0)]


def test_what_may_fault_depends_on_the_rule() -> None:
    text = "90|488b00|c3"  # nop | mov rax, [rax] | ret
    assert sites(paths(text)) == [(0, ALWAYS, 0)]
    assert paths(text).sites[0].rule is Rule.MEMORY
    assert paths(text, allowed=Rule.FRAME).why == "an access that may fault"
    frame = "90|488b442408|c3"  # mov rax, [rsp+8]
    assert paths(frame, allowed=Rule.FRAME).sites[0].rule is Rule.FRAME
    assert paths(frame, allowed=Rule.REGISTERS).sites == ()


def test_switch_cases_are_heads() -> None:
    # 0 lea rcx, [rip+T] | 7 jmp [rcx+rax*8] | 10 ret | 11 mov al, 1 | 13 ret
    table = BASE + 7 + 0x100
    text = "488d0d00010000|ff24c1|c3|b001|c3"
    options = {"words": {table: [BASE + 10, BASE + 11, 0]}}
    for which in (0, 1):
        assert paths(text, which, **options).why == "a switch"  # type: ignore[arg-type]
    assert read_body(bytes.fromhex(text.replace("|", "")), BASE, 0, lambda address, count: []) is None


def test_the_way_out_of_a_panic_is_a_head() -> None:
    assert paths("90|31c0|c3", deferreturn=1).why == "a switch"


def test_jumps_into_instructions_are_refused() -> None:
    assert read_body(bytes.fromhex("7401b80000000031c0c3"), BASE, 0, lambda address, count: []) is None


def test_code_that_nobody_reaches_has_a_head() -> None:
    assert paths("c3|31c0|c3").why == "nobody known"


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("5d", Effect(Rule.REGISTERS, 8)),  # pop rbp
        ("4883c418", Effect(Rule.REGISTERS, 24)),  # add rsp, 24
        ("4883ec80", Effect(Rule.REGISTERS, 128)),  # sub rsp, -128
        ("488d642410", Effect(Rule.REGISTERS, 16)),  # lea rsp, [rsp+16]
        ("4883ec10", None),  # sub rsp, 16
        ("5c", None),  # pop rsp
        ("c9", None),  # leave
        ("4c8b7424f8", None),  # mov r14, [rsp-8]
        ("f3a4", None),  # rep movsb
        ("a4", Effect(Rule.MEMORY, 0)),  # movsb
        ("488d0408", Effect(Rule.REGISTERS, 0)),  # lea rax, [rax+rcx]
        ("488b0500000000", Effect(Rule.FRAME, 0)),  # mov rax, [rip]
        ("48f7f1", Effect(Rule.MEMORY, 0)),  # div rcx
        ("64488b0425f8ffffff", Effect(Rule.FRAME, 0)),  # mov rax, fs:[-8]
        ("488b04c4", Effect(Rule.MEMORY, 0)),  # mov rax, [rsp+rax*8]
    ],
)
def test_effects(text: str, effect: Effect | None) -> None:
    assert effect_of(next(iter(Decoder(64, bytes.fromhex(text))))) == effect

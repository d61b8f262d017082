"""Paths to RETs: hand-made machine code, then every function of a real program against the unwinder's own table."""

from functools import partial

import numpy as np
import pytest
from iced_x86 import Decoder
from numpy.typing import NDArray

from funcrec.target.columns import Instructions
from funcrec.target.effects import Effect, Rule, effect_of
from funcrec.target.flow import Flow, read_flow
from funcrec.target.tails import ALWAYS, FALLTHROUGH, TAKEN, Callees, Rows, Tails, read_tails

BASE = 0x1000
BARRIER, PANICS, CALLEE = 0x100, 0x200, 0x300


def flow(text: str, *, words: dict[int, list[int]] | None = None, deferreturn: int = 0) -> Flow:
    code = Instructions([BASE], [bytes.fromhex(text.replace("|", ""))])
    return read_flow(code, [deferreturn], partial(image, words or {}))


def image(words: dict[int, list[int]], addresses: NDArray[np.int64], count: int) -> NDArray[np.uint64]:
    rows = [(words.get(address, []) + [0] * count)[:count] for address in addresses.tolist()]
    return np.array(rows, dtype=np.uint64).reshape(len(rows), count)


class Paths:
    """The paths to one RET."""

    def __init__(self, tails: Tails, which: int) -> None:
        self.end: Rows = tails.returns[which]
        self._sites = tails.sites[tails.sites["ret"] == which % len(tails.returns)]

    @property
    def head(self) -> tuple[int, int] | None:
        """Row and SP offset."""
        row = int(self.end["head"])
        return None if row < 0 else (row, int(self.end["delta"]))

    def sites(self, *, join: bool = False) -> list[tuple[int, int, int]]:
        """(row, edge, sp_delta) of the sites; `join`: those beside a chain."""
        found = self._sites[self._sites["join"] == join]
        return sorted(zip(found["row"].tolist(), found["edge"].tolist(), found["delta"].tolist(), strict=True))

    def rules(self) -> set[int]:
        return set(self._sites["rule"].tolist())


def paths(text: str, which: int = -1, allowed: Rule = Rule.MEMORY, **options: object) -> Paths:
    found = flow(text, **options)  # type: ignore[arg-type]
    assert found.known.all()
    callees = Callees(never_return=lambda address: address == PANICS, barriers=np.array([BARRIER]))
    return Paths(read_tails(found, found.known, callees, allowed), which)


def call(at: int, target: int) -> str:
    return "e8" + (target - (BASE + at + 5) & 0xFFFFFFFF).to_bytes(4, "little").hex()


def test_both_edges_of_a_jump() -> None:
    # 0 test al, al | 2 je 6 | 4 xor eax, eax... | 6 ret
    found = paths("84c0|7402|31c0|c3")
    assert found.head is None
    assert found.sites() == [(1, FALLTHROUGH, 0), (1, TAKEN, 0)]


def test_push_and_pop_of_the_frame_pointer() -> None:
    # 0 push rbp | 1 mov rbp, rsp | 4 mov eax, 1 | 9 pop rbp | 10 ret
    found = paths("55|4889e5|b801000000|5d|c3")
    assert found.head is None
    assert found.sites() == [(0, ALWAYS, 0)]


def test_frames_are_added_up() -> None:
    # 0 test al, al | 2 jne 6 | 4 nop nop | 6 add rsp, 0x18 | 10 pop rbp | 11 ret
    found = paths("84c0|7502|9090|4883c418|5d|c3")
    assert found.sites() == [(1, TAKEN, 0x20), (3, ALWAYS, 0x20)]


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
    assert (found.sites(), found.end["why"]) == ([], why)
    assert found.head is not None


def test_a_direct_call_may_become_a_chain() -> None:
    # 0 je 7 | 2 call CALLEE | 7 pop rbp | 8 ret
    found = paths("7405|" + call(2, CALLEE) + "|5d|c3")
    assert found.end["callee"] == CALLEE
    assert found.head == (2, 8)
    assert found.sites(join=True) == [(0, TAKEN, 8)]


def test_nothing_comes_out_of_a_call_that_never_returns() -> None:
    # 0 je 7 | 2 call PANICS | 7 ret
    found = paths("7405|" + call(2, PANICS) + "|c3")
    assert found.head is None
    assert found.sites() == [(0, TAKEN, 0)]


def test_a_write_barrier_is_a_site() -> None:
    found = paths("90|" + call(1, BARRIER) + "|498903|c3")
    assert found.head is None
    assert found.sites() == [(1, ALWAYS, 0)]


def test_what_may_fault_depends_on_the_rule() -> None:
    text = "90|488b00|c3"  # nop | mov rax, [rax] | ret
    assert paths(text).sites() == [(0, ALWAYS, 0)]
    assert paths(text).rules() == {Rule.MEMORY}
    assert paths(text, allowed=Rule.FRAME).end["why"] == "an access that may fault"
    frame = "90|488b442408|c3"  # mov rax, [rsp+8]
    assert paths(frame, allowed=Rule.FRAME).rules() == {Rule.FRAME}
    assert paths(frame, allowed=Rule.REGISTERS).sites() == []


def test_switch_cases_are_heads() -> None:
    # 0 lea rcx, [rip+T] | 7 jmp [rcx+rax*8] | 10 ret | 11 mov al, 1 | 13 ret
    table = BASE + 7 + 0x100
    text = "488d0d00010000|ff24c1|c3|b001|c3"
    options = {"words": {table: [BASE + 10, BASE + 11, 0]}}
    for which in (0, 1):
        assert paths(text, which, **options).end["why"] == "a switch"
    assert not flow(text).known.any(), "a jump to who knows where"
    assert flow(text).leaves.all()


def test_the_way_out_of_a_panic_is_a_head() -> None:
    assert paths("90|31c0|c3", deferreturn=1).end["why"] == "a switch"


def test_jumps_into_instructions_are_refused() -> None:
    assert not flow("7401b80000000031c0c3").known.any()


def test_several_functions_do_not_mix() -> None:
    # A jump of the second leads to where the first has an instruction; and what decodes badly concerns nobody else.
    codes = ["84c0|7402|31c0|c3", "eb|ee|31c0|c3", "06", "90|c3"]
    code = Instructions(
        [BASE, BASE + 16, BASE + 32, BASE + 48], [bytes.fromhex(text.replace("|", "")) for text in codes]
    )
    found = read_flow(code, [0] * 4, partial(image, {}))
    assert found.decodes.tolist() == [True, True, False, True]
    assert found.known.tolist() == [True, True, False, True]
    assert found.leaves.tolist() == [False, True, False, False]
    tails = read_tails(found, found.known, Callees(lambda address: False, np.zeros(0, np.int64)), Rule.MEMORY)
    assert tails.returns["function"].tolist() == [0, 1, 3]
    assert Paths(tails, 0).sites() == [(1, FALLTHROUGH, 0), (1, TAKEN, 0)]
    assert Paths(tails, 1).end["why"] == "nobody known"
    assert Paths(tails, 2).sites() == [(8, ALWAYS, 0)]


def test_the_innermost_loop() -> None:
    # 0 nop | 1 nop | 2 call 7 | 7 jne 1 | 9 je 0... the jump to the entry is no loop | 11 jne 9 | 13 ret
    found = flow("90|90|e800000000|75f8|74f5|75fc|c3")
    firsts, lasts = found.loops.around(np.array([0, 2, 3, 4, 5, 6]))
    assert firsts.tolist() == [-1, 1, 1, 4, 4, -1]
    assert lasts.tolist() == [-1, 3, 3, 5, 5, -1]
    assert found.loops.calls(firsts, lasts, found.callees)[1:3].all()
    assert not found.loops.calls(firsts[3:5], lasts[3:5], found.callees).any()
    assert not found.loops.calls(firsts[1:3], lasts[1:3], np.array([CALLEE])).any()


def test_code_that_nobody_reaches_has_a_head() -> None:
    assert paths("c3|31c0|c3").end["why"] == "nobody known"


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

import pytest
from iced_x86 import Decoder, Instruction, Register

from funcrec.target.instructions import (
    condition_code,
    is_emulated,
    is_probeable,
    loads_from_thread,
    may_fault,
    written_registers,
)


def decode(code: str) -> Instruction:
    return Decoder(64, bytes.fromhex(code)).decode()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("55", True),  # push rbp
        ("4155", True),  # push r13
        ("6a01", False),  # push 1
        ("ff30", False),  # push [rax]
        ("7605", True),  # jbe
        ("0f8600010000", True),  # jbe, long
        ("e300", False),  # jrcxz
        ("e200", False),  # loop
        ("eb05", True),  # jmp
        ("e900010000", True),
        ("ffe1", False),  # jmp rcx
        ("e800010000", True),  # call
        ("ffd1", False),  # call rcx
        ("90", True),
        ("6690", True),
        ("0f1f00", False),  # nop [rax]: only recent kernels
        ("c3", False),
        ("4889c8", False),  # mov rax, rcx
    ],
)
def test_what_the_kernel_emulates(code: str, expected: bool) -> None:
    assert is_emulated(decode(code)) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("c3", True),
        ("55", True),
        ("48cf", False),  # iretq
        ("cc", False),
        ("cd80", False),
        ("f4", False),  # hlt
        ("f0480fc108", False),  # lock xadd
        ("2e7605", False),  # cs jbe
        ("644c8b342500000000", True),  # mov r14, fs:[0]
        ("e460", False),  # in
        ("f3a4", True),  # rep movsb
        ("", False),
    ],
)
def test_what_the_kernel_refuses(code: str, expected: bool) -> None:
    assert is_probeable(bytes.fromhex(code)) is expected


@pytest.mark.parametrize("condition", range(16))
def test_condition_codes_are_those_of_the_encoding(condition: int) -> None:
    assert condition_code(decode(f"{0x70 + condition:02x}00")) == condition
    assert condition_code(decode(f"0f{0x80 + condition:02x}00000000")) == condition


def test_other_instructions_have_no_condition() -> None:
    assert condition_code(decode("eb00")) == -1
    assert condition_code(decode("e300")) == -1


def test_written_registers_are_full_width() -> None:
    assert written_registers(decode("89c8")) == {Register.RAX}  # mov eax, ecx
    assert written_registers(decode("4885c0")) == set()  # test rax, rax
    assert Register.RSP in written_registers(decode("55"))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("488b00", True),  # mov rax, [rax]
        ("4883781000", True),  # cmp qword [rax+16], 0
        ("488b442408", False),  # mov rax, [rsp+8]
        ("488b04cc", True),  # mov rax, [rsp+rcx*8]
        ("488b0500000000", False),  # mov rax, [rip]
        ("488d4010", False),  # lea rax, [rax+16]
        ("48f7f9", True),  # idiv rcx
        ("4801d8", False),  # add rax, rbx
        ("644c8b3425f8ffffff", False),  # mov r14, fs:[-8]
    ],
)
def test_what_can_raise_a_panic(code: str, expected: bool) -> None:
    assert may_fault(decode(code), {Register.RSP}) is expected


def test_loads_from_the_thread() -> None:
    assert loads_from_thread(decode("644c8b3425f8ffffff"))
    assert not loads_from_thread(decode("488b00"))

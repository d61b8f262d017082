"""The kernel accepts every program that options can ask for, with room to spare; what is too much says so."""

import ctypes
import os
import struct
from dataclasses import replace

import pytest

from funcrec.errors import HostError
from funcrec.lang.expr import parse
from funcrec.plan.conditiontree import MAX_LEAVES, MAX_SLOTS, lower
from funcrec.plan.programs import MAX_CAPTURE_BYTES, MAX_DEPTH, ValueLimits
from funcrec.record.codegen import VARIANTS, PidFilter, ProgramRequest, generate
from funcrec.record.compile import Compiler, Program
from funcrec.target.executable import Executable
from tests.toolchain import PROGRAMS, go_build

pytestmark = pytest.mark.bpf

LIMIT = 1_000_000  # instructions that the verifier walks, Linux include/linux/bpf.h BPF_COMPLEXITY_LIMIT_INSNS
LETTERS = "abcdefghijklmnopqrstuvwxyz012345"
# As large as conditions can be.
CONDITIONS = {
    "none": "",
    "searches": " or ".join(f't{i} =~ "*{LETTERS}*"' for i in range(MAX_SLOTS)),
    "sums": " and ".join(f"n{i % 16} * {i + 2} // (n{(i + 1) % 16} + 1) % 7 < 3" for i in range(MAX_LEAVES)),
    "ends": " or ".join(f't{i % 16} =~ "{LETTERS * 2}{i}*{LETTERS}"' for i in range(MAX_LEAVES)),
    "mixed": " or ".join(
        f'(v{i} =~ "p{i}*s{i}" and w{i} * {i + 2} - 3 < x{i} // 7 and not t{i} =~ "*{LETTERS}*")' for i in range(4)
    ),
}


def request(condition: str, **options: bool | int) -> ProgramRequest:
    layout = Executable.open(str(go_build(PROGRAMS / "values"))).runtime_layout
    return ProgramRequest(
        layout=layout,
        rings=os.cpu_count() or 1,
        event_slots=1024,
        sites=150_000,
        pid_filter=PidFilter.LISTED,
        gated=bool(options.get("gated")),
        min_ns=int(options.get("min_ns", 0)),
        values=ValueLimits(depth=MAX_DEPTH, total_bytes=MAX_CAPTURE_BYTES, redacted=True),
        chained=True,
        condition=lower(parse(condition)) if condition else None,
        multi=not options.get("single"),
    )


def load(program: Program) -> int:
    """Instructions that the verifier walked."""
    compiler = Compiler()
    compiler.submit(program)
    (descriptor,) = compiler.result().values()
    try:
        return walked(descriptor)
    finally:
        os.close(descriptor)


def walked(descriptor: int) -> int:
    """verified_insns of struct bpf_prog_info (Linux 5.16)."""
    info, attr = ctypes.create_string_buffer(224), ctypes.create_string_buffer(16)
    struct.pack_into("<IIQ", attr, 0, descriptor, len(info), ctypes.addressof(info))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.syscall(321, 15, attr, len(attr)) == 0, os.strerror(ctypes.get_errno())
    return int(struct.unpack_from("<I", info, 216)[0])


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_largest_programs_leave_half_of_the_verifier(condition: str, gated: bool) -> None:
    for min_ns in (0, 1000):
        program = generate(request(CONDITIONS[condition], gated=gated, min_ns=min_ns))
        assert 0 < load(replace(program, maps=(), variants=VARIANTS[:1])) < LIMIT / 2


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_kernels_with_less_get_a_program_that_they_accept(variant: dict[str, int]) -> None:
    """Common conditions beside everything else, on verifiers that count rounds or without programs that sleep."""
    program = generate(request('a == 1 and s =~ "x*"', gated=True, min_ns=1000))
    assert load(replace(program, maps=(), variants=(variant,))) < LIMIT


def test_other_ways_to_attach_leave_half_of_the_verifier_too() -> None:
    program = generate(request(CONDITIONS["mixed"], min_ns=1000, single=True))
    assert load(replace(program, maps=(), variants=VARIANTS[3:4])) < LIMIT / 2


def test_the_first_variant_that_the_kernel_accepts_is_taken() -> None:
    program = generate(request(CONDITIONS["mixed"], min_ns=1000))
    broken = {"SLEEPABLE": 1, "MAY_GOTO": 1, "VALUE_STEPS": -1, "VALUE_BYTES": 3}
    assert load(replace(program, maps=(), variants=(broken, *VARIANTS))) < LIMIT / 2


def test_what_is_too_much_says_what_to_leave_out() -> None:
    program = generate(request(CONDITIONS["mixed"], min_ns=1000))
    with pytest.raises(HostError) as caught:
        load(replace(program, maps=(), variants=({"SLEEPABLE": 0, "MAY_GOTO": 0, "VALUE_STEPS": 1 << 20},)))
    assert "more than this kernel's verifier looks through" in caught.value.cause
    assert "shorter --if" in caught.value.remedy

"""What differs between the processors that a recording can take place on: one row each.

arm64: compiled, and its sites checked under qemu, but never recorded on: `untried` says so.
"""

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from funcrec.errors import HostError, TargetError
from funcrec.plan.sites import SiteKind

if TYPE_CHECKING:
    from funcrec.target.executable import Executable


@dataclass(frozen=True, slots=True)
class ScrapCode:
    """Code that passes a site so many times, `void run(long count, void *g)`: the parts around the site.

    Attributes:
        before, after: around the site; `after` jumps back to it, and returns in the end.
        sites: an instruction of each kind, all of one length.
        padding: what stops whoever runs past the end.
    """

    before: bytes
    sites: dict[SiteKind, bytes]
    after: bytes
    padding: bytes


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor to record on.

    Attributes:
        name: as `Executable.architecture` has it.
        uname: as the kernel has it.
        source: its file in bpf/.
        sys_bpf, sys_perf_event_open: numbers of system calls.
        breakpoint: what uprobes put in the place of an instruction: UPROBE_SWBP_INSN of the kernel.
        scrap: see ScrapCode.
        moving_images: whether position-independent programs can be recorded where links carry no cookies: the place of
            the image is read from the return address that newproc1 leaves on the stack, on arm64 in a register.
        untried: what was not tried there, "" when nothing is left.
    """

    name: str
    uname: str
    source: str
    sys_bpf: int
    sys_perf_event_open: int
    breakpoint: bytes
    scrap: ScrapCode
    moving_images: bool = True
    untried: str = ""


X86_64 = Machine(
    name="x86-64",
    uname="x86_64",
    source="amd64.h",
    sys_bpf=321,
    sys_perf_event_open=298,
    breakpoint=b"\xcc",
    scrap=ScrapCode(
        before=bytes.fromhex("4156 4989f6"),  # push r14; mov r14, rsi
        sites={SiteKind.EMULATED: bytes.fromhex("6690"), SiteKind.STEPPED: bytes.fromhex("89c0")},  # nop; mov eax, eax
        after=bytes.fromhex("48ffcf 75f9 415e c3"),  # dec rdi; jne SITE; pop r14; ret
        padding=b"\xcc",
    ),
)
ARM64 = Machine(
    name="arm64",
    uname="aarch64",
    source="arm64.h",
    sys_bpf=280,
    sys_perf_event_open=241,
    breakpoint=(0xD42000A0).to_bytes(4, "little"),  # brk #5
    scrap=ScrapCode(
        # mov x2, x28; mov x28, x1
        before=b"".join(word.to_bytes(4, "little") for word in (0xAA1C03E2, 0xAA0103FC)),
        # b to the next instruction; mov x3, x3
        sites={
            SiteKind.EMULATED: (0x14000001).to_bytes(4, "little"),
            SiteKind.STEPPED: (0xAA0303E3).to_bytes(4, "little"),
        },
        # subs x0, x0, #1; b.ne SITE; mov x28, x2; ret
        after=b"".join(word.to_bytes(4, "little") for word in (0xF1000400, 0x54FFFFC1, 0xAA0203FC, 0xD65F03C0)),
        padding=bytes(1),
    ),
    moving_images=False,
    untried="on arm64 probe sites were checked under emulation and the BPF program compiled; no recording was tried",
)


def machine() -> Machine:
    """The processor of this machine.

    Raises:
        HostError: nothing is known of it.
    """
    name = platform.machine()
    for known in (X86_64, ARM64):
        if known.uname == name:
            return known
    raise HostError(f"this machine is a {name}", remedy="record on Linux on x86-64 or arm64; report works everywhere")


def check_fits(executable: "Executable", shown: str) -> None:
    """Make sure that this machine's processor is the one that a program is built for.

    Raises:
        TargetError: it is not.
    """
    here = machine()
    if executable.architecture != here.name:
        raise TargetError(
            f"{shown} is built for {executable.architecture}, and this machine is {here.name}",
            remedy=f"record it on a machine that is {executable.architecture}; funcrec list works here",
        )

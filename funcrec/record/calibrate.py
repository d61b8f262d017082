"""Measure what one hit costs on this machine, by site kind, with the very program that records.

A scrap of machine code of our own is probed and run; the traced program is not involved.
"""

import ctypes
import mmap
import os
import time
from dataclasses import dataclass

import numpy as np

from funcrec.plan.sites import ProbeSite, Role, SiteKind
from funcrec.record.attach import attach_multi, cookie

# void run(long count /* rdi */, void *g /* rsi */): push r14; mov r14, rsi; L: SITE; dec rdi; jne L; pop r14; ret
_BEFORE = bytes.fromhex("4156 4989f6")
_AFTER = bytes.fromhex("48ffcf 75") + b"%c" + bytes.fromhex("415e c3")
_SITES = {SiteKind.EMULATED: b"\x90", SiteKind.STEPPED: bytes.fromhex("89c0")}  # nop; mov eax, eax
_HITS = {SiteKind.EMULATED: 400, SiteKind.STEPPED: 100}
_BATCHES = 5
_SLOT = 64
SITES = len(_SITES)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Cost of one hit in ns by site kind, and the link to close when nobody waits for it."""

    cost_ns: dict[str, float]
    link: int


def calibrate(program: int, first_site: int, goid_offset: int) -> Calibration:
    """Run the scrap with probes in place.

    Args:
        program: descriptor of the loaded `hit`.
        first_site: number of the first of SITES site numbers that the plan leaves free.
        goid_offset: of runtime.g, to make up a goroutine that the program believes.
    """
    code = _code()
    descriptor = os.memfd_create("funcrec-calibration", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, code)
        mapped = mmap.mmap(descriptor, len(code), mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
        address = np.frombuffer(mapped, dtype=np.uint8).ctypes.data
        offsets = [index * _SLOT + len(_BEFORE) for index in range(SITES)]
        cookies = [
            cookie(first_site + index, ProbeSite(0, 0, offset, Role.POINT), root=True)
            for index, offset in enumerate(offsets)
        ]
        link = attach_multi(program, f"/proc/self/fd/{descriptor}", offsets, cookies, os.getpid())
        goroutine = _goroutine(goid_offset)
        costs = {
            str(kind): _time(address + index * _SLOT, goroutine.ctypes.data, _HITS[kind])
            for index, kind in enumerate(_SITES)
        }
        return Calibration(costs, link)
    finally:
        os.close(descriptor)


def _code() -> bytes:
    code = b""
    for site in _SITES.values():
        back = -(len(site) + 3 + 2) & 0xFF
        code += (_BEFORE + site + _AFTER % back).ljust(_SLOT, b"\xcc")
    return code.ljust(mmap.PAGESIZE, b"\xcc")


def _goroutine(goid_offset: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """A runtime.g whose stack is all of memory and whose goid is 1."""
    words = np.zeros(64, dtype=np.uint64)
    words[1] = np.uint64(2**63 - 8)
    words[goid_offset // 8] = 1
    return words


def _time(function: int, goroutine: int, hits: int) -> float:
    run = ctypes.CFUNCTYPE(None, ctypes.c_long, ctypes.c_void_p)(function)
    best = None
    for _ in range(_BATCHES):
        start = time.perf_counter_ns()
        run(hits, goroutine)
        elapsed = (time.perf_counter_ns() - start) / hits
        best = elapsed if best is None else min(best, elapsed)
    return round(best or 0.0, 1)

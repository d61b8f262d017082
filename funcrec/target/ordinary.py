"""Sites of the functions that look as nearly all do: a stack check at the start, RETs at the end, all in one go.

What is not of this shape is left to `text.py`, one function at a time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from iced_x86 import Code, FlowControl
from numpy.typing import NDArray

from funcrec.target.columns import I64, Bools
from funcrec.target.flow import Flow
from funcrec.target.text import CodeSite

SITE = np.dtype(  # CodeSite as a row
    [
        ("function", "<i8"),
        ("address", "<i8"),
        ("role", "O"),
        ("edge", "u1"),
        ("condition", "i1"),
        ("sp_delta", "<i4"),
        ("emulated", "?"),
        ("intact", "?"),
        ("why", "O"),
    ]
)
Sites = NDArray[Any]

_FALLTHROUGH, _ALWAYS, _BELOW_OR_EQUAL = 1, 3, 6
# Bytes as words, the first the lowest.
_CHECK = 0x10663B49  # cmp rsp, [r14+16]
_LARGE_CHECK = 0x10663B4D  # cmp r12, [r14+16] ...
_LARGE_STARTS = (0x24648D4C, 0x24A48D4C)  # ... behind lea r12, [rsp-N]
_RET = 0xC3


def ordinary_sites(
    flow: Flow, compiled: Bools, is_morestack: Callable[[int], bool], frame_sizes: Callable[[I64], I64]
) -> tuple[Sites, Bools]:
    """Sites of all functions of the ordinary shape.

    Args:
        flow: control flow of m functions.
        compiled: bool, m: not assembly.
        is_morestack: tells whether an address is the entry of a runtime.morestack function.
        frame_sizes: bytes between SP at each address and SP at entry (pcsp).

    Returns:
        SITE rows in order of function and address, and for each function whether it is one of them.
    """
    code = flow.code
    checks = _stack_checks(flow)
    fits = compiled & flow.decodes & (checks >= 0)
    fits[code.function_of(flow.leaving)] = False
    fits[code.function_of(flow.indirect[~flow.through_tables])] = False
    fits[_looping(flow, is_morestack)] = False
    first, last = flow.joins(code.first[:-1] + 1)[0], flow.joins(np.maximum(checks, 0))[1]
    fits &= first >= last  # nothing jumps in between the entry and the check
    owners = code.function_of(flow.returns)
    plain = code.word(flow.returns) & 0xFF == _RET
    fits[owners[~plain | (frame_sizes(code.address[flow.returns]) != 0)]] = False

    entries = np.zeros(int(np.count_nonzero(fits)), SITE)
    entries["function"] = np.flatnonzero(fits)
    entries["address"] = code.address[checks[fits]]
    entries["role"], entries["edge"], entries["condition"] = "entry", _FALLTHROUGH, _BELOW_OR_EQUAL
    entries["sp_delta"], entries["emulated"] = frame_sizes(entries["address"]), True
    entries["why"] = "stack check passed"
    ours = fits[owners]
    exits = np.zeros(int(np.count_nonzero(ours)), SITE)
    exits["function"], exits["address"] = owners[ours], code.address[flow.returns[ours]]
    exits["role"], exits["edge"], exits["condition"], exits["why"] = "exit", _ALWAYS, -1, "return"
    sites = np.concatenate((entries, exits))
    sites["intact"] = True
    return in_order(sites), fits


def _stack_checks(flow: Flow) -> I64:
    """Row of the branch of each function's stack check, -1 where there is none of the two common forms."""
    code = flow.code
    found = np.full(len(code.first) - 1, -1, dtype=np.int64)
    branch = np.isin(code.code, (Code.JBE_REL8_64, Code.JBE_REL32_64))
    firsts, counts = code.first[:-1], np.diff(code.first)
    for skipped in (0, 1):
        long = np.flatnonzero(counts > skipped + 1)
        rows = firsts[long] + skipped
        long, rows = long[branch[rows + 1]], rows[branch[rows + 1]]
        fits = code.length[rows] == 4
        if skipped:
            fits &= (code.word(rows) == _LARGE_CHECK) & np.isin(code.word(rows - 1), _LARGE_STARTS)
        else:
            fits &= code.word(rows) == _CHECK
        found[long[fits]] = rows[fits] + 1
    return found


def _looping(flow: Flow, is_morestack: Callable[[int], bool]) -> I64:
    """Functions with a jump to the first instruction that does not come from a failed stack check."""
    code = flow.code
    to_entry = np.isin(flow.join_to, code.first)
    jumps, owners = flow.join_from[to_entry], code.function_of(flow.join_to[to_entry])
    calls = np.flatnonzero((code.flow == FlowControl.CALL) | (code.flow == FlowControl.INDIRECT_CALL))
    before = np.searchsorted(calls, jumps) - 1
    last = np.where(before >= 0, calls[np.maximum(before, 0)] if len(calls) else -1, -1)
    restarts = (last >= code.first[owners]) & (code.flow[np.maximum(last, 0)] == FlowControl.CALL)
    targets = code.targets(last[restarts]).tolist()
    restarts[restarts] = [is_morestack(target) for target in targets]
    looping: I64 = owners[~restarts]
    return looping


def site_row(function: int, site: CodeSite) -> tuple[object, ...]:
    """A site as a SITE row."""
    return (
        function,
        site.address,
        site.role,
        site.edge,
        site.condition,
        site.sp_delta,
        site.emulated,
        site.arguments_intact,
        site.why,
    )


def in_order(sites: Sites) -> Sites:
    """SITE rows by function, then by address."""
    return sites[np.lexsort((sites["address"], sites["function"]))]

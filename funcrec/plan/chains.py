"""Which callees may end their callers: cascades of exits, kept finite and short. Pure."""

from collections.abc import Mapping

MAX_CHAIN = 14  # frames that one hit may end; the kernel's own bound, bpf/chain.h, lies above


def find_chains(wanted: Mapping[int, list[tuple[int, int]]]) -> set[int]:
    """Return addresses at which a callee's exit ends its caller as well.

    A cascade must be finite and short: `return f(n-1)` would end as many frames as the recursion is deep, so a chain
    that closes a cycle of functions, or makes a cascade of more than MAX_CHAIN frames, is left to a probe.

    Args:
        wanted: caller -> (callee, return address) of each possible chain.
    """
    chained: set[int] = set()
    length: dict[int, int] = {}  # frames that end with a frame of the function, at most, itself not counted
    for address in wanted:
        _settle(address, wanted, length, chained)
    return chained


def _settle(start: int, wanted: Mapping[int, list[tuple[int, int]]], length: dict[int, int], chained: set[int]) -> None:
    """Depth first, callees before callers, without recursion: call chains can be long."""
    if start in length:
        return
    pending = [(start, 0)]  # functions on the way down, and the link of each that is looked at
    active = {start: 0}  # the longest cascade found for each so far
    while pending:
        address, at = pending.pop()
        links = wanted.get(address, ())
        if at == len(links):
            length[address] = active.pop(address)
            continue
        callee, back = links[at]
        if callee not in active and callee not in length:
            pending += [(address, at), (callee, 0)]
            active[callee] = 0
            continue
        pending.append((address, at + 1))
        if callee not in active and length[callee] < MAX_CHAIN:  # else a cycle, or too long
            chained.add(back)
            active[address] = max(active[address], length[callee] + 1)

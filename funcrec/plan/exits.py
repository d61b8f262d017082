"""Which exits are seen at emulated instructions, which by a chain through a callee, and which at the RET. Pure.

Works on whole selections, since a chain needs to know which callees are recorded.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from funcrec.target.effects import Rule
from funcrec.target.executable import Executable, Function
from funcrec.target.exits import ExitReader, FunctionExits, alone
from funcrec.target.tails import ALWAYS, Return, TailSite
from funcrec.target.text import CodeSite, code_site

MAX_CHAIN = 14  # frames that one hit may end; the kernel's own bound, bpf/chain.h, lies above


@dataclass(frozen=True, slots=True)
class Candidate:
    """A function that is going to be recorded.

    Attributes:
        function: it.
        sites: entry, RETs and jumps out.
        keep_returns: its results are wanted, so its RETs stay as they are.
    """

    function: Function
    sites: tuple[CodeSite, ...]
    keep_returns: bool = False


@dataclass(frozen=True, slots=True)
class Exits:
    """What was chosen.

    Attributes:
        sites: of every candidate, in the order given. Role `chain`: no probe; a callee's exit with that return address
            (`address`) ends the function too, `sp_delta` bytes of its frame being in use. Role `twin`: no probe either;
            the entry site before it is also this exit.
        callees: entries of the functions with whose exits others end.
        ended_by: entry of a function -> entries of those whose exits end it too.
    """

    sites: list[tuple[CodeSite, ...]]
    callees: frozenset[int]
    ended_by: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


def cheap_exits(executable: Executable, candidates: Sequence[Candidate], allowed: Rule, *, adaptive: bool) -> Exits:
    """Replace RETs by cheaper sites wherever every return is proven to be seen exactly once.

    Args:
        executable: the program.
        candidates: all functions to be recorded.
        allowed: what may happen between a site and its RET.
        adaptive: sites that turn out to be hit in vain too often can be given up for the RETs, which are spare then.
    """
    reader = ExitReader(executable, allowed)
    recorded = frozenset(candidate.function.address for candidate in candidates)
    exits: dict[int, FunctionExits] = {}
    for candidate in candidates:
        found = reader.read(candidate.function)
        if found is not None:
            exits[candidate.function.address] = _bounded(found, recorded, adaptive=adaptive)
    kept = {candidate.function.address for candidate in candidates if candidate.keep_returns}
    chained = _chains({address: found for address, found in exits.items() if address not in kept}, exits)
    names = executable.functions.names
    described = {address: names[int(executable.functions.addresses.searchsorted(address))] for address in exits}
    sites = [
        tuple(_sites(candidate, exits.get(candidate.function.address), chained, described, adaptive=adaptive))
        for candidate in candidates
    ]
    ending = {
        address: tuple(
            sorted({one.callee for one in found.returns if one.head is not None and one.head.instruction.ip in chained})
        )
        for address, found in exits.items()
    }
    return Exits(sites, frozenset(callee for callees in ending.values() for callee in callees), ending)


def _bounded(found: FunctionExits, recorded: Set[int], *, adaptive: bool) -> FunctionExits:
    """Leave at the RET what would be hit once for every round of a loop that nothing recorded slows down.

    A hit that fires no event costs as much as one that does, and a loop may run a million rounds before one return.
    Where sites can yield to the RET later, which those beside a chain cannot, any call in the loop will do.
    """

    def is_idle(site: TailSite, *, strict: bool) -> bool:
        callees = found.loops.get(site.instruction.ip)
        return callees is not None and not (callees & recorded if strict else callees)

    def bounded(one: Return) -> Return:
        strict = not adaptive or one.callee in recorded
        if not any(is_idle(site, strict=strict) for site in (*one.sites, *one.joins)):
            return one
        return alone(one.instruction, "a loop that calls nothing recorded" if strict else "a loop that calls nothing")

    return replace(found, returns=tuple(map(bounded, found.returns))) if found.loops else found


def _chains(callers: Mapping[int, FunctionExits], callees: Mapping[int, FunctionExits]) -> set[int]:
    """Return addresses at which a callee's exit ends its caller as well.

    A cascade must be finite and short: `return f(n-1)` would end as many frames as the recursion is deep, so a chain
    that closes a cycle of functions, or makes a cascade of more than MAX_CHAIN frames, is left to a probe.
    """
    wanted: dict[int, list[tuple[int, int]]] = {}  # caller -> (callee, return address)
    for address, found in callers.items():
        links = [
            (one.callee, one.head.instruction.ip)
            for one in found.returns
            if one.callee and one.head is not None and one.callee in callees and callees[one.callee].returns_only
        ]
        if links:
            wanted[address] = links
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


def _sites(
    candidate: Candidate, exits: FunctionExits | None, chained: set[int], names: Mapping[int, str], *, adaptive: bool
) -> list[CodeSite]:
    if exits is None or candidate.keep_returns or all(site.role != "exit" for site in candidate.sites):
        why = "return; results are read there" if candidate.keep_returns else "return; paths to it are not known"
        return [replace(site, why=why) if site.why == "return" else site for site in candidate.sites]
    entry = next(site for site in candidate.sites if site.role == "entry")
    seen: dict[int, tuple[TailSite, str]] = {}
    others = [site for site in candidate.sites if site.role == "exit" and site.why != "return"]
    for one in exits.returns:
        for tail, why in _seen(one, chained, entry):
            before = seen.get(tail.instruction.ip)
            if before is not None:  # both outcomes of one jump lead to returns
                rule = max(tail.rule, before[0].rule)
                tail, why = TailSite(tail.instruction, tail.edge | before[0].edge, tail.sp_delta, rule), before[1]
            seen[tail.instruction.ip] = (tail, why)
    for one in exits.returns:
        if one.head is not None and _is_chained(one, chained):
            why = f"the exit of {names[one.callee]} ends it too"
            others.append(code_site(one.head.instruction, "chain", ALWAYS, one.head.sp_delta, why))
    merged = _merge_entry(entry, seen.pop(entry.address, None))
    spares = _spares(exits, chained, [tail for tail, _ in seen.values()]) if adaptive and len(merged) == 1 else []
    stay = _staying(exits, chained) if spares else seen.keys()
    for tail, why in seen.values():
        role = "exit" if tail.instruction.ip in stay else "yielding"
        others.append(code_site(tail.instruction, role, tail.edge, tail.sp_delta, why))
    return [*merged, *sorted([*others, *spares], key=lambda site: site.address)]


def _spares(exits: FunctionExits, chained: Set[int], seen: Sequence[TailSite]) -> list[CodeSite]:
    """RETs that can take over from sites that are hit in vain; none where there is no such site."""
    stay = _staying(exits, chained)
    if all(site.edge == ALWAYS or site.instruction.ip in stay for site in seen):
        return []
    why = "return; takes over when the sites before it turn out to cost more"
    return [
        code_site(one.instruction, "spare", ALWAYS, 0, why)
        for one in exits.returns
        if one.instruction.ip not in stay and not _is_chained(one, chained)
    ]


def _staying(exits: FunctionExits, chained: Set[int]) -> set[int]:
    """Sites that no RET can take over from: those beside a chain, and the RETs."""
    stay = {
        site.instruction.ip for one in exits.returns if _is_chained(one, chained) for site in (*one.sites, *one.joins)
    }
    return stay | {one.instruction.ip for one in exits.returns if not one.sites and not _is_chained(one, chained)}


def _is_chained(one: Return, chained: Set[int]) -> bool:
    return one.head is not None and one.head.instruction.ip in chained


def _seen(one: Return, chained: set[int], entry: CodeSite) -> Iterator[tuple[TailSite, str]]:
    """The probes for one RET, and why there."""
    yield from ((site, f"last emulated one before the return at {one.instruction.ip:#x}") for site in one.sites)
    if one.head is None:
        return
    if one.head.instruction.ip in chained:
        yield from ((site, f"last emulated one before the return at {one.instruction.ip:#x}") for site in one.joins)
        return
    at_entry = one.head.instruction.ip == entry.address
    alone = not one.sites and not at_entry
    where = one.instruction if alone else one.head.instruction
    tail = TailSite(where, one.head.edge, 0 if alone else one.head.sp_delta, one.head.rule)
    yield tail, f"return; its code begins behind {one.why}" if alone else f"head of a return behind {one.why}"


def _merge_entry(entry: CodeSite, exit_: tuple[TailSite, str] | None) -> list[CodeSite]:
    """The entry, and the exit at the same address if there is one: a single probe must tell both."""
    if exit_ is None:
        return [entry]
    tail, why = exit_
    if tail.edge == entry.edge and tail.rule < Rule.MEMORY:
        return [replace(entry, role="point", why=f"{entry.why}; every call returns straight from here")]
    return [entry, code_site(tail.instruction, "twin", tail.edge, tail.sp_delta, why)]

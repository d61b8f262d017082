"""Which exits are seen at emulated instructions, which by a chain through a callee, and which at the RET. Pure.

Works on whole selections, since a chain needs to know which callees are recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from funcrec.plan.chains import find_chains
from funcrec.target.columns import I64, Bools
from funcrec.target.effects import Rule
from funcrec.target.executable import Executable
from funcrec.target.exits import ExitReader
from funcrec.target.flow import Flow
from funcrec.target.ordinary import SITE, Sites
from funcrec.target.results import AtEdges, Reads, plan_results
from funcrec.target.tails import ALWAYS, Rows, Tails

_TAIL = np.dtype([*SITE.descr, ("row", "<i8"), ("rule", "u1"), ("ret", "<i8")])  # a site that ends calls
_RETURN = "return; "
_IN_VAIN = "return; takes over when the sites before it turn out to cost more"


@dataclass(frozen=True, slots=True)
class Exits:
    """What was chosen.

    Attributes:
        sites: SITE rows by function. Role `chain`: no probe; a callee's exit with that return address (`address`) ends
            the function too, `sp_delta` bytes of its frame being in use. Role `twin`: no probe either; the entry site
            before it is also this exit. Role `spare`: a RET that takes over from sites of role `yielding`.
        callees: entries of the functions with whose exits others end.
        ended_by: entry of a function -> entries of those whose exits end it too.
        results: address of an exit site -> how to get at the registers of the RET there, see target/results.py.
    """

    sites: Sites
    callees: frozenset[int] = frozenset()
    ended_by: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    results: Mapping[int, AtEdges] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The functions that are going to be recorded, of the m that `flow` is of.

    Attributes:
        sites: SITE rows of theirs: entries, RETs, jumps out.
        compiled: bool, m: made by the Go compiler.
        keeps: bool, m: its results are wanted.
        reads: m: what is read of those; None: all registers, at the RETs.
    """

    flow: Flow
    sites: Sites
    compiled: Bools
    keeps: Bools
    reads: Sequence[Reads | None]

    @property
    def there(self) -> Bools:
        """Bool, m: is recorded."""
        return self.having(np.ones(len(self.sites), dtype=np.bool_))

    def having(self, sites: Bools) -> Bools:
        """Bool, m: has one of some sites."""
        found = np.zeros(len(self.keeps), dtype=np.bool_)
        found[self.sites["function"][sites]] = True
        return found


def cheap_exits(executable: Executable, recorded: Recorded, allowed: Rule, *, adaptive: bool) -> Exits:
    """Replace RETs by cheaper sites wherever every return is proven to be seen exactly once.

    Args:
        executable: the program.
        recorded: what is recorded of it.
        allowed: what may happen between a site and its RET.
        adaptive: sites that turn out to be hit in vain too often can be given up for the RETs, which are spare then.
    """
    flow = recorded.flow
    known = recorded.there & recorded.compiled & flow.known
    tails = ExitReader(executable, allowed).read(flow, known)
    entries = recorded.sites["address"][recorded.sites["role"] == "entry"]
    results = plan_results(flow, tails, recorded.reads, recorded.keeps, entries)
    tails = _bounded(flow, results.tails, flow.code.begins[recorded.there], adaptive=adaptive)
    cheap = known & recorded.having(recorded.sites["role"] == "exit")
    chained = _chained(flow, tails, known, cheap)
    ending = tails.returns[chained]
    callees = executable.functions.addresses.searchsorted(ending["callee"])
    names = [executable.functions.names[index] for index in callees.tolist()]
    sites = _Choice(recorded, tails, chained, cheap).sites(names, adaptive=adaptive)
    return Exits(sites, frozenset(ending["callee"].tolist()), _ended_by(flow, ending), results.steps)


def _bounded(flow: Flow, tails: Tails, recorded: I64, *, adaptive: bool) -> Tails:
    """Leave at the RET what would be hit once for every round of a loop that nothing recorded slows down.

    A hit that fires no event costs as much as one that does, and a loop may run a million rounds before one return.
    Most run a few, so where sites can yield to the RET later, which those beside a chain cannot, they may try.
    """
    strict = np.isin(tails.returns["callee"], recorded) | (not adaptive)
    jumps = tails.sites[(tails.sites["edge"] != ALWAYS) & strict[tails.sites["ret"]]]
    firsts, lasts = flow.loops.around(jumps["row"])
    idle = np.zeros(len(tails.returns), dtype=np.bool_)
    idle[jumps["ret"][(firsts >= 0) & ~flow.loops.calls(firsts, lasts, recorded)]] = True
    return tails.alone(idle, "a loop that calls nothing recorded")


def _chained(flow: Flow, tails: Tails, known: Bools, cheap: Bools) -> Bools:
    """The returns of functions with cheap exits that a callee's exit tells of."""
    returns = tails.returns
    possible: Bools = (returns["callee"] != 0) & cheap[returns["function"]]
    possible &= np.isin(returns["callee"], flow.code.begins[known & ~flow.leaves])
    links = returns[possible]
    backs = flow.code.address[links["head"]]
    wanted: dict[int, list[tuple[int, int]]] = {}
    callers = flow.code.begins[links["function"]].tolist()
    for caller, callee, back in zip(callers, links["callee"].tolist(), backs.tolist(), strict=True):
        wanted.setdefault(caller, []).append((callee, back))
    found = find_chains(wanted)
    possible[possible] = [back in found for back in backs.tolist()]
    return possible


def _ended_by(flow: Flow, ending: Rows) -> dict[int, tuple[int, ...]]:
    found: dict[int, set[int]] = {}
    callers = flow.code.begins[ending["function"]].tolist()
    for caller, callee in zip(callers, ending["callee"].tolist(), strict=True):
        found.setdefault(caller, set()).add(callee)
    return {caller: tuple(sorted(callees)) for caller, callees in found.items()}


class _Choice:
    """The sites of all functions, once it is settled which returns are seen how."""

    def __init__(self, recorded: Recorded, tails: Tails, chained: Bools, cheap: Bools) -> None:
        self._code, self._recorded = recorded.flow.code, recorded
        self._returns, self._tail_sites, self._chained = tails.returns, tails.sites, chained
        self._cheap = cheap
        is_entry = recorded.sites["role"] == "entry"
        self._entry = np.full(len(cheap), -1, dtype=np.int64)  # row in the recorded sites
        self._entry[recorded.sites["function"][is_entry]] = np.flatnonzero(is_entry)

    def sites(self, callees: list[str], *, adaptive: bool) -> Sites:
        """SITE rows by function; `callees` are the names for the chained returns."""
        kept = self._kept()
        seen = self._merged(self._seen())
        entries = self._recorded.sites[self._entry[seen["function"]]]
        at_entry = seen["address"] == entries["address"]
        same = at_entry & (seen["edge"] == entries["edge"]) & (seen["rule"] < Rule.MEMORY)
        self._make_points(kept, seen["function"][same])
        twins, seen = seen[at_entry & ~same], seen[~at_entry]
        twins["role"] = "twin"
        stay = self._staying()
        spared = np.zeros(len(self._cheap), dtype=np.bool_)
        if adaptive:
            spared[seen["function"][(seen["edge"] != ALWAYS) & ~np.isin(seen["row"], stay)]] = True
            spared[twins["function"]] = False  # one probe is entry and exit there
        seen["role"][spared[seen["function"]] & ~np.isin(seen["row"], stay)] = "yielding"
        returns = self._returns
        free = spared[returns["function"]] & ~self._chained & ~np.isin(returns["row"], stay)
        spares = self._rows(returns["row"][free], np.flatnonzero(free), "spare", _IN_VAIN)
        tails = np.concatenate((self._chains(callees), twins, seen, spares))
        return self._ordered(np.concatenate((kept, tails[list(SITE.names or ())].astype(SITE))))

    def _kept(self) -> Sites:
        """What stays of the sites as they were: all but the RETs of functions with cheap exits."""
        sites = self._recorded.sites
        is_return = sites["why"] == "return"
        kept: Sites = sites[~(is_return & self._cheap[sites["function"]])]
        read = self._recorded.keeps[kept["function"]]
        is_return = kept["why"] == "return"
        kept["why"][is_return & read] = "return; results are read there"
        kept["why"][is_return & ~read] = "return; paths to it are not known"
        return kept

    def _seen(self) -> Rows:
        """The probes for each RET, and why there."""
        returns, tail_sites = self._returns, self._tail_sites
        mine = self._cheap[returns["function"]]
        before = tail_sites[mine[tail_sites["ret"]] & (~tail_sites["join"] | self._chained[tail_sites["ret"]])]
        ends = self._code.address[returns["row"]].tolist()
        last = [f"last emulated one before the return at {address:#x}" for address in ends]
        rows = self._rows(before["row"], before["ret"], "exit", np.array(last, dtype=object)[before["ret"]])
        for name, column in (("edge", "edge"), ("sp_delta", "delta"), ("rule", "rule")):
            rows[name] = before[column]
        return np.concatenate((rows, self._heads(np.flatnonzero(mine & (returns["head"] >= 0) & ~self._chained))))

    def _heads(self, which: I64) -> Rows:
        """The probes for paths without an emulated instruction: at the RET when there are no other paths to it."""
        returns = self._returns[which]
        paths = np.bincount(self._tail_sites["ret"][~self._tail_sites["join"]], minlength=len(self._returns))
        entries = self._recorded.sites["address"][self._entry[returns["function"]]]
        alone = (paths[which] == 0) & (self._code.address[returns["head"]] != entries)
        whys = [
            (why if why.startswith(_RETURN) else f"{_RETURN}its code begins behind {why}")
            if single
            else f"head of a return behind {why}"
            for why, single in zip(returns["why"].tolist(), alone.tolist(), strict=True)
        ]
        where = np.where(alone, returns["row"], returns["head"])
        rows = self._rows(where, which, "exit", np.array(whys, dtype=object))
        rows["sp_delta"], rows["rule"] = np.where(alone, 0, returns["delta"]), returns["rule"]
        return rows

    def _rows(self, rows: I64, returns: I64, role: str, why: object) -> Rows:
        """_TAIL rows at instructions, one for each; edge and SP offset as for a RET."""
        code, what = self._code, self._code.code[rows]
        found = np.zeros(len(rows), _TAIL)
        found["row"], found["address"], found["ret"] = rows, code.address[rows], returns
        found["function"] = self._returns["function"][returns]
        found["role"], found["why"], found["edge"], found["intact"] = role, why, ALWAYS, True
        found["condition"], found["emulated"] = code.kinds.condition[what], code.kinds.emulated[what]
        return found

    def _merged(self, rows: Rows) -> Rows:
        """One row for each instruction: both outcomes of a jump may lead to returns."""
        order = np.lexsort((rows["ret"], rows["row"]))
        rows = rows[order]
        begins = np.flatnonzero(np.append(True, rows["row"][1:] != rows["row"][:-1])[: len(rows)])
        if len(begins) == len(rows):
            return rows
        merged = rows[begins]
        merged["edge"] = np.bitwise_or.reduceat(rows["edge"], begins)
        merged["rule"] = np.maximum.reduceat(rows["rule"], begins)
        return merged

    def _make_points(self, kept: Sites, functions: I64) -> None:
        """The entry site of some functions is their exit too: a single probe must tell both."""
        which = (kept["role"] == "entry") & np.isin(kept["function"], functions)
        kept["role"][which] = "point"
        kept["why"][which] = kept["why"][which] + "; every call returns straight from here"

    def _staying(self) -> I64:
        """Instructions that no RET can take over from: those beside a chain, and the RETs."""
        beside = self._tail_sites["row"][self._chained[self._tail_sites["ret"]]]
        paths = np.bincount(self._tail_sites["ret"][~self._tail_sites["join"]], minlength=len(self._returns))
        return np.concatenate((beside, self._returns["row"][(paths == 0) & ~self._chained]))

    def _chains(self, callees: list[str]) -> Rows:
        which = np.flatnonzero(self._chained)
        whys = [f"the exit of {name} ends it too" for name in callees]
        rows = self._rows(self._returns["head"][which], which, "chain", np.array(whys, dtype=object))
        rows["sp_delta"] = self._returns["delta"][which]
        return rows

    def _ordered(self, sites: Sites) -> Sites:
        """By function; where exits were replaced the entry comes first, then its twin, the others by address."""
        rank = np.full(len(sites), 2)
        rank[self._cheap[sites["function"]] & ((sites["role"] == "entry") | (sites["role"] == "point"))] = 0
        rank[sites["role"] == "twin"] = 1
        return sites[np.lexsort((sites["address"], rank, sites["function"]))]

"""Walk back from RETs to the last emulated instructions before them: one is passed on every path, as the last.

Between such a site and its RET the code runs straight, so a hit there (of a conditional jump: on that edge) is a
return, and no return is without one. Where a path comes out of a call there is none: the first instruction behind the
call, the head, is single-stepped as the RET would be; or the callee's own exit tells that its caller ends as well
(chain).

All RETs take a step back together, so that a large program takes no longer than its longest tail.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from iced_x86 import Code, FlowControl
from numpy.typing import NDArray

from funcrec.target.columns import I64, Bools
from funcrec.target.effects import Rule, effect_of
from funcrec.target.flow import Flow

FALLTHROUGH, TAKEN, ALWAYS = 1, 2, 3
_MAX_TAIL = 64  # instructions: some 100 ns between the site and the RET
_WORD = 8
_NOT_UNDERSTOOD = 0
_ALL = (1 << 64) - 1
_LEFT = (FlowControl.UNCONDITIONAL_BRANCH, FlowControl.INDIRECT_BRANCH, FlowControl.RETURN)

RETURN = np.dtype(
    [
        ("row", "<i8"),  # of the RET
        ("function", "<i8"),
        ("head", "<i8"),  # row of the first instruction of a tail that no emulated one precedes, or -1
        ("delta", "<i4"),  # bytes from SP at the head up to SP at function entry
        ("rule", "u1"),  # what the tail behind the head touches
        ("callee", "<i8"),  # entry of the function whose direct call is the only other way to the head, or 0
        ("why", "O"),  # what stands before the head
    ]
)
TAIL_SITE = np.dtype(
    [
        ("ret", "<i8"),  # position of the RETURN
        ("row", "<i8"),  # an instruction that can be the last emulated one before the RET
        ("edge", "u1"),  # outcomes of a conditional jump that lead there
        ("delta", "<i4"),  # bytes from SP at the site up to SP at function entry
        ("rule", "u1"),  # what the tail behind it touches
        ("join", "?"),  # it jumps to the head: a probe on the head serves it too, a chain does not
    ]
)
Rows = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Callees:
    """What has to be known of called functions, each by its entry address.

    Attributes:
        never_return: a call of it does not come back.
        barriers: write barriers: these return always, keep R14, and are of no interest themselves.
    """

    never_return: Callable[[int], bool]
    barriers: I64


@dataclass(frozen=True, slots=True)
class Tails:
    """All paths to some RETs.

    Attributes:
        returns: RETURN rows, in order of the RETs.
        sites: TAIL_SITE rows; those of a return with a head that are not `join` see other paths than the head.
    """

    returns: Rows
    sites: Rows

    def alone(self, which: Bools, why: str) -> "Tails":
        """The same, but some returns are seen at the RET itself."""
        returns = self.returns.copy()
        returns["head"][which] = returns["row"][which]
        returns["callee"][which] = returns["delta"][which] = 0
        returns["rule"][which] = Rule.REGISTERS
        returns["why"][which] = why
        return replace(self, returns=returns, sites=self.sites[~which[self.sites["ret"]]])


def read_tails(flow: Flow, functions: Bools, callees: Callees, allowed: Rule) -> Tails:
    """All paths to the RETs of some functions.

    Args:
        flow: control flow of m functions.
        functions: bool, m: those to look at; their paths are known.
        callees: see there.
        allowed: what a tail may touch.
    """
    rows = flow.returns
    owners = flow.code.function_of(rows)
    wanted = functions[owners]
    walk = _Walk(flow, callees, allowed, rows[wanted], owners[wanted])
    while len(walk.live):
        walk.step()
    sites = np.concatenate(walk.found) if walk.found else np.zeros(0, TAIL_SITE)
    return Tails(walk.returns, sites[np.argsort(sites["ret"], kind="stable")])


class _Walk:
    """The state of the walk: where each RET's walk stands, and what was found."""

    def __init__(self, flow: Flow, callees: Callees, allowed: Rule, rows: I64, owners: I64) -> None:
        self._flow, self._code, self._callees, self._allowed = flow, flow.code, callees, allowed
        self.returns = np.zeros(len(rows), RETURN)
        self.returns["row"], self.returns["function"] = rows, owners
        self.returns["head"], self.returns["rule"], self.returns["why"] = -1, Rule.REGISTERS, ""
        self.live = np.arange(len(rows))
        self.found: list[Rows] = []
        self._at = rows.copy()
        self._delta = np.zeros(len(rows), np.int32)
        self._rule = np.full(len(rows), Rule.REGISTERS, np.uint8)
        self._length = 0
        self._effects: dict[bytes, tuple[int, int]] = {}
        self._never: dict[int, bool] = {}
        jumps = flow.join_from
        unseen = ~(self._code.kinds.emulated[self._code.code[jumps]])
        self._unseen_joins = np.unique(flow.join_to[unseen])

    def step(self) -> None:
        """Look at the instruction before each walk's place, and go on there or end the walk."""
        code, kinds = self._code, self._code.kinds
        here = self._at[self.live]
        stopped = self._stopped(here)
        walks, here = self.live[~stopped], here[~stopped]
        before = here - 1
        what = code.code[before]
        flow = kinds.flow[what]
        targets = np.zeros(len(before), dtype=np.int64)
        called = what == Code.CALL_REL32_64
        targets[called] = code.targets(before[called])
        first, last = self._flow.joins(here)

        barrier = called & np.isin(targets, self._callees.barriers)
        site = barrier | (kinds.emulated[what] & ~called & (flow != FlowControl.UNCONDITIONAL_BRANCH))
        inner = ~site & (flow == FlowControl.NEXT)
        passes, change, rule = self._pass(walks, before, inner)
        ends = ~site & ~inner & ~self._falls_through(what, flow, called, targets)
        heads = ~site & ~inner & ~ends
        outside = ends & (first == last)

        self._join(walks, first, last, site | passes | (ends & ~outside), join=False)
        self._join(walks, first, last, heads & called, join=True)
        self._site(walks[site], before[site])
        self._head(walks[outside], "nobody known")  # who comes here is not known
        self._head(walks[heads & called], "a call", targets[heads & called])
        self._head(walks[heads & (flow == FlowControl.INDIRECT_CALL)], "an indirect call")
        self._head(walks[heads & ~called & (flow != FlowControl.INDIRECT_CALL)], "an interrupt")

        self.live = walks[passes]
        self._at[self.live] -= 1
        self._delta[self.live] += change[passes]
        self._rule[self.live] = np.maximum(self._rule[self.live], rule[passes])
        self._length += 1

    def _stopped(self, here: I64) -> Bools:
        """End the walks that must not go on, whatever the preceding instruction is."""
        flow = self._flow
        stopped = np.zeros(len(here), dtype=np.bool_)
        for mask, why in (
            (here == self._code.first[self.returns["function"][self.live]], "the entry"),
            (np.isin(here, self._unseen_joins), "a jump that is not emulated"),
            (np.isin(here, flow.heads), "a switch"),
            (np.full(len(here), self._length >= _MAX_TAIL), "too long a way"),
        ):
            self._head(self.live[mask & ~stopped], why)
            stopped |= mask
        return stopped

    def _pass(self, walks: I64, before: I64, inner: Bools) -> tuple[Bools, NDArray[np.int32], NDArray[np.uint8]]:
        """Which walks go on over the preceding instruction, how it moves SP, its rule; end those which cannot."""
        rule, change = np.zeros(len(walks), np.uint8), np.zeros(len(walks), np.int32)
        rule[inner], change[inner] = self._effects_of(before[inner]).T
        unknown = inner & (rule == _NOT_UNDERSTOOD)
        faults = inner & (rule > self._allowed)
        self._head(walks[unknown], "an instruction that must not lie between")
        self._head(walks[faults], "an access that may fault")
        return inner & ~unknown & ~faults, change, rule

    def _effects_of(self, rows: I64) -> NDArray[np.int32]:
        """Rule and change of SP for each row; n x 2."""
        code, length = self._code, self._code.length[rows]
        # Encodings repeat: the short ones are told apart as numbers, and only one of each is looked at. None is the
        # beginning of another, so that zeros behind it do no harm.
        kept = np.minimum(length, 8).astype(np.uint64) * np.uint64(8)
        number = code.word(rows).astype(np.uint64) | code.word(rows, 4).astype(np.uint64) << np.uint64(32)
        number &= np.uint64(_ALL) >> (np.uint64(64) - kept)
        short = length <= 8
        _, sample, which = np.unique(number[short], return_index=True, return_inverse=True)
        found = np.zeros((len(rows), 2), dtype=np.int32)
        found[short] = self._look_at(rows[short][sample])[which]
        found[~short] = self._look_at(rows[~short])
        return found

    def _look_at(self, rows: I64) -> NDArray[np.int32]:
        effects = [self._effect(*each) for each in zip(rows.tolist(), self._code.encodings(rows), strict=True)]
        return np.array(effects, dtype=np.int32).reshape(len(rows), 2)

    def _effect(self, row: int, encoded: bytes) -> tuple[int, int]:
        """Rule (0: not understood) and change of SP of an instruction; they repeat, so each encoding is asked once."""
        known = self._effects.get(encoded)
        if known is None:
            effect = effect_of(self._code.instruction(row))
            known = (_NOT_UNDERSTOOD, 0) if effect is None else (effect.rule, effect.sp_change)
            self._effects[encoded] = known
        return known

    def _falls_through(self, what: NDArray[np.uint16], flow: NDArray[np.uint8], called: Bools, targets: I64) -> Bools:
        """False where it is certain that the instruction behind a call, jump or trap is not reached from it."""
        through: Bools = ~np.isin(flow, _LEFT) & (what != Code.UD2)
        for target in np.unique(targets[called]).tolist():
            if target not in self._never:
                self._never[target] = self._callees.never_return(target)
        through[called] = [not self._never[target] for target in targets[called].tolist()]
        return through

    def _join(self, walks: I64, first: I64, last: I64, which: Bools, *, join: bool) -> None:
        """The jumps to the place where walks stand are sites."""
        counts = np.where(which, last - first, 0)
        total = int(counts.sum())
        if total:
            lanes = np.repeat(np.arange(len(walks)), counts)
            offsets = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
            rows = self._flow.join_from[first[lanes] + offsets]
            conditional = self._code.kinds.condition[self._code.code[rows]] >= 0
            self._found(walks[lanes], rows, np.where(conditional, TAKEN, ALWAYS), join=join)

    def _site(self, walks: I64, rows: I64) -> None:
        """The preceding instruction is a site that goes on to the next."""
        what = self._code.code[rows]
        conditional = self._code.kinds.condition[what] >= 0
        self._found(walks, rows, np.where(conditional, FALLTHROUGH, ALWAYS), join=False)
        self.found[-1]["delta"][what == Code.PUSH_R64] -= _WORD

    def _found(self, walks: I64, rows: I64, edges: I64, *, join: bool) -> None:
        sites = np.zeros(len(walks), TAIL_SITE)
        sites["ret"], sites["row"], sites["edge"], sites["join"] = walks, rows, edges, join
        sites["delta"], sites["rule"] = self._delta[walks], self._rule[walks]
        self.found.append(sites)

    def _head(self, walks: I64, why: str, callees: I64 | int = 0) -> None:
        """Walks end without an emulated instruction."""
        returns = self.returns
        returns["head"][walks], returns["delta"][walks] = self._at[walks], self._delta[walks]
        returns["rule"][walks], returns["callee"][walks], returns["why"][walks] = self._rule[walks], callees, why

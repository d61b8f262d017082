"""What result registers will hold at a RET, told at the exit sites before it.

Between the two the code runs straight. Walked backwards from the RET, each instruction that makes a register that is
needed becomes a step: registers, constants and memory as they are at the site lead to the result. Where they do not,
because an instruction is not understood or memory may change in between, there is no plan, and the RET is probed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from iced_x86 import FlowControl, Mnemonic

from funcrec.target.columns import I64, Bools, Instructions
from funcrec.target.effects import effect_of
from funcrec.target.flow import Flow
from funcrec.target.steps import R11, SP, Meaning, Step, Store, meaning_of
from funcrec.target.tails import FALLTHROUGH, TAKEN, Tails

MAX_STEPS = 8  # of one plan: RESULT_STEPS of bpf/results.h
MAX_ROWS = 1 << 16  # steps of all plans
_WORD = 8
Steps = tuple[Step, ...]
AtEdges = tuple[Steps, Steps]  # steps on the fallthrough and on the taken edge; twice the same where there is one way


@dataclass(frozen=True, slots=True)
class Reads:
    """What is read of a function when it ends.

    Attributes:
        registers: number -> its lowest bytes that matter.
        words: registers that hold the words of one value (string, slice, interface), in their order there.
        memory: stack, or what pointers lead to, is read as well.
    """

    registers: dict[int, int] = field(default_factory=dict)
    words: tuple[tuple[int, ...], ...] = ()
    memory: bool = False

    def __or__(self, other: "Reads") -> "Reads":
        wider = {at: max(self.registers.get(at, 0), size) for at, size in other.registers.items()}
        return Reads(self.registers | wider, self.words + other.words, self.memory or other.memory)


@dataclass(frozen=True, slots=True)
class Results:
    """How to get at the results of some functions.

    Attributes:
        tails: the paths to all RETs; those whose results are not known before are alone.
        steps: address of an exit site -> what to do there; nothing where all registers are as at the RET.
    """

    tails: Tails
    steps: dict[int, AtEdges]


def plan_results(flow: Flow, tails: Tails, reads: Sequence[Reads | None], wanted: Bools, entries: I64) -> Results:
    """Find the results of some functions at their exit sites, or leave their RETs alone.

    Args:
        flow: control flow of m functions.
        tails: all paths to their RETs.
        reads: what is read of each of the m; None: all of it at its RETs.
        wanted: bool, m: the functions whose results are wanted.
        entries: addresses of entry sites: one probe cannot read both arguments and results.
    """
    returns = tails.returns.copy()
    mine: Bools = wanted[returns["function"]]
    returns["callee"][mine] = 0  # the callee's exit does not know the caller's results
    tails = Tails(returns, tails.sites)
    places = _places(flow, tails, mine)
    taken = set(np.flatnonzero(np.isin(flow.code.address, entries)).tolist())
    alone = np.zeros(len(returns), dtype=np.bool_)
    plans: dict[int, AtEdges] = {}
    distinct: set[Steps] = set()
    walker = _Reader(flow.code)
    for at in np.flatnonzero(mine).tolist():
        need = reads[int(returns["function"][at])]
        here = places.get(at, [])
        why = "what they are is not known beforehand" if need is None else ""
        if any(place.row in taken for place in here):
            why = "the same probe is the entry"
        walk = _Walk(walker, int(returns["row"][at]), need or Reads(), here)
        why = why or walk.run()
        if not why:
            distinct.update(walk.plans.values())
            why = "there are too many ways to them" if MAX_STEPS * len(distinct) > MAX_ROWS else ""
        if why:
            alone[at] = True
            returns["why"][at] = f"return; results are read there: {why}"
            continue
        for place, steps in walk.plans.items():
            before = plans.get(place.row, ((), ()))
            plans[place.row] = (
                steps if place.edge & FALLTHROUGH else before[0],
                steps if place.edge & TAKEN else before[1],
            )
    whys = returns["why"].copy()
    tails = tails.alone(alone, "")
    tails.returns["why"][alone] = whys[alone]
    rows = [row for row, steps in plans.items() if any(steps)]
    return Results(tails, dict(zip(flow.code.address[rows].tolist(), (plans[row] for row in rows), strict=True)))


class _Place(NamedTuple):
    """A site of some RET: its row, the outcomes of a jump that lead there, the row where the tail begins."""

    row: int
    edge: int
    start: int


def _places(flow: Flow, tails: Tails, wanted: Bools) -> dict[int, list[_Place]]:
    """The sites of each wanted RET, by its position; a head is one, those that jump to it are not."""
    code, returns = flow.code, tails.returns
    sites = tails.sites[wanted[tails.sites["ret"]] & ~tails.sites["join"]]
    rows = sites["row"]
    conditional = code.flow[rows] == FlowControl.CONDITIONAL_BRANCH
    leads = (code.flow[rows] == FlowControl.UNCONDITIONAL_BRANCH) | (conditional & (sites["edge"] == TAKEN))
    starts = rows.copy()  # it goes on to the next one: what it does itself is still to come
    starts[conditional] += 1
    starts[leads] = code.row_at(code.targets(rows[leads]), returns["function"][sites["ret"][leads]])
    found: dict[int, list[_Place]] = {}
    columns = (sites["ret"].tolist(), rows.tolist(), sites["edge"].tolist(), starts.tolist())
    for ret, row, edge, start in zip(*columns, strict=True):
        found.setdefault(ret, []).append(_Place(row, edge, start))
    headed = wanted & (returns["head"] >= 0) & (returns["head"] != returns["row"])
    for ret in np.flatnonzero(headed).tolist():
        head = int(returns["head"][ret])
        found.setdefault(ret, []).append(_Place(head, FALLTHROUGH | TAKEN, head))
    return found


class _Need(NamedTuple):
    """Lowest bytes of a register that matter, and the result that it is as it is (-1: it takes part in one)."""

    size: int
    result: int


class _Loaded(NamedTuple):
    """A word out of memory that others may write, and the result that it is."""

    result: int
    where: tuple[int, ...]
    number: int


class _Reader:
    """What instructions mean; each encoding is looked at once, unless its address matters."""

    def __init__(self, code: Instructions) -> None:
        self._code = code
        self._known: dict[bytes, tuple[Meaning, int, int, str]] = {}

    def at(self, row: int) -> tuple[Meaning, int, int, str]:
        """Meaning, FlowControl, bytes added to SP, text."""
        encoded = self._code.bytes_of(row)
        known = self._known.get(encoded)
        if known is None:
            instruction = self._code.instruction(row)
            effect = effect_of(instruction)
            change = -_WORD if instruction.mnemonic == Mnemonic.PUSH else effect.sp_change if effect else 0
            known = meaning_of(instruction), instruction.flow_control, change, str(instruction)
            if not instruction.is_ip_rel_memory_operand:
                self._known[encoded] = known
        return known


class _Walk:
    """From one RET back to the sites before it."""

    def __init__(self, reader: _Reader, row: int, reads: Reads, places: Sequence[_Place]) -> None:
        self._reader, self._position, self._reads = reader, row, reads
        self._starts: dict[int, list[_Place]] = {}
        for place in places:
            self._starts.setdefault(place.start, []).append(place)
        self.plans: dict[_Place, Steps] = {}
        self._needed = {register: _Need(size, register) for register, size in reads.registers.items()}
        self._steps: list[Step] = []
        self._loaded: list[_Loaded] = []
        self._epochs = [0] * 16  # of each register: how often it was written between here and the RET
        self._delta = 0

    def run(self) -> str:
        """Fill `plans`; return why there are none."""
        first = min(self._starts, default=self._position)
        while True:
            here = self._starts.get(self._position, ())
            why = self._unsteady() if here else ""
            if why:
                return why
            self.plans.update(dict.fromkeys(here, tuple(reversed(self._steps))))
            if self._position == first:
                return ""
            self._position -= 1
            why = self._back()
            if why:
                return why

    def _back(self) -> str:
        """Take the instruction at the position into account; return why nothing before it can know the results."""
        meaning, flow, change, text = self._reader.at(self._position)
        if flow == FlowControl.CALL:  # a write barrier: R11 is all that it changes
            if self._reads.memory or self._loaded or self._frame_loads():
                return "a write barrier runs before it"
            return "a write barrier sets it" if R11 in self._needed else ""
        after, self._delta = self._delta, self._delta + change
        for register in meaning.writes:
            self._epochs[register] += 1
        return self._made(meaning, text) or (self._stored(meaning.store, after, text) if meaning.store else "")

    def _made(self, meaning: Meaning, text: str) -> str:
        """Replace what the instruction makes by what it makes it of."""
        wanted = [register for register in meaning.writes if register in self._needed]
        if not wanted:
            return ""
        step = meaning.step
        need = self._needed[wanted[0]]
        if step is None or len(wanted) > 1 or need.size > meaning.size:
            return f"what `{text}` makes is not known before it"
        if len(self._steps) == MAX_STEPS:
            return "it takes too many steps"
        del self._needed[wanted[0]]
        if step.base == SP:
            step = step._replace(number=step.number - self._delta)
        elif step.second == SP:
            return f"what `{text}` makes is not known before it"
        shared = step.load and (step.base != SP or step.second < 16)
        if shared:
            whole = need.result >= 0 and step.load == _WORD
            where = (step.base, self._epoch(step.base), step.second, self._epoch(step.second), step.shift)
            if not whole:
                return f"what `{text}` loads may change before it"
            self._loaded.append(_Loaded(need.result, where, step.number))
        self._steps.append(step)
        plain = step.is_move
        for source in (step.base, step.second):
            if source < 16 and source != SP:
                known = self._needed.get(source)
                size = need.size if plain else meaning.source_size
                result = need.result if plain else -1
                if known is not None:
                    size, result = max(size, known.size), known.result if known.result >= 0 else result
                self._needed[source] = _Need(size, result)
        return ""

    def _epoch(self, register: int) -> int:
        return self._epochs[register] if register < 16 else 0

    def _frame_loads(self) -> list[Step]:
        return [step for step in self._steps if step.load and step.base == SP]

    def _stored(self, store: Store, after: int, text: str) -> str:
        """What is stored between a site and a load is not there yet at the site."""
        why = f"`{text}` writes memory before it"
        place, size = store
        if place is None or place.base != SP or place.second < 16:
            return why if self._reads.memory or self._loaded or self._frame_loads() else ""
        number = place.number - (after if place.pushed else self._delta)
        if number + size > 0:  # not in the own frame
            return why if self._reads.memory or self._loaded or self._frame_loads() else ""
        if any(step.base < 16 for step in self._steps if step.load and step.base != SP):
            return why
        meets = any(step.number < number + size and number < step.number + step.load for step in self._frame_loads())
        return why if meets else ""

    def _unsteady(self) -> str:
        """A word that others may change before the function loads it is none that can be told beforehand.

        The compiler loads atomics like any other word. But the words of a string, slice or interface are not loaded
        from side by side by any of sync/atomic, and what is not atomic does not change under a program without races.
        """
        for one in self._loaded:
            if not any(self._beside(one, other) for other in self._loaded):
                return "what it loads may change before it"
        return ""

    def _beside(self, one: _Loaded, other: _Loaded) -> bool:
        for words in self._reads.words:
            if one.result in words and other.result in words and one.result != other.result:
                apart = words.index(one.result) - words.index(other.result)
                if one.where == other.where and one.number - other.number == _WORD * apart and abs(apart) == 1:
                    return True
        return False

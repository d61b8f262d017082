"""Walk back from a RET to the last emulated instructions before it: one is passed on every path, as the last.

Between such a site and its RET the code runs straight, so a hit there (of a conditional jump: on that edge) is a
return, and no return is without one. Where a path comes out of a call there is none: the first instruction behind the
call, the head, is single-stepped as the RET would be; or the callee's own exit tells that its caller ends as well
(chain).
"""

from collections.abc import Callable
from dataclasses import dataclass

from iced_x86 import Code, FlowControl, Instruction

from funcrec.target.body import Body
from funcrec.target.effects import Effect, Rule, effect_of
from funcrec.target.instructions import condition_code, is_emulated

FALLTHROUGH, TAKEN, ALWAYS = 1, 2, 3
_MAX_TAIL = 64  # instructions: some 100 ns between the site and the RET
_WORD = 8


@dataclass(frozen=True, slots=True)
class Callees:
    """What has to be known of called functions, each by its entry address.

    Attributes:
        never_return: a call of it does not come back.
        keeps_registers: it is a write barrier: returns always, keeps R14, and is of no interest itself.
    """

    never_return: Callable[[int], bool]
    keeps_registers: Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class TailSite:
    """An instruction that can be the last emulated one before a RET.

    Attributes:
        instruction: at the site.
        edge: outcomes of a conditional jump that lead to the RET.
        sp_delta: bytes from SP at the site up to SP at function entry.
        rule: what the tail behind it touches.
    """

    instruction: Instruction
    edge: int
    sp_delta: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class Return:
    """All paths to one RET.

    Attributes:
        instruction: the RET.
        sites: where paths are seen, those in `joins` left out.
        head: first instruction of a tail that no emulated one precedes, or None; the RET itself when nothing is known.
        joins: sites that jump to the head: a probe on the head serves them too, a chain does not.
        callee: entry of the function whose direct call is the only other way to the head, or 0.
        why: what stands before the head.
    """

    instruction: Instruction
    sites: tuple[TailSite, ...]
    head: TailSite | None = None
    joins: tuple[TailSite, ...] = ()
    callee: int = 0
    why: str = ""


class TailReader:
    """Finds the paths of one executable's functions.

    Args:
        callees: see `Callees`.
        allowed: what a tail may touch.
    """

    def __init__(self, callees: Callees, allowed: Rule) -> None:
        self._callees = callees
        self._allowed = allowed
        self._effects: dict[bytes, Effect | None] = {}

    def read(self, body: Body, code: bytes, position: int) -> Return:
        """All paths to the RET at a position of the body."""
        end = body.instructions[position]
        sites: list[TailSite] = []
        delta, rule = 0, Rule.REGISTERS
        at = position
        while True:
            here = body.instructions[at]
            joins = self._joins(body, here.ip, delta, rule)
            before = body.instructions[at - 1] if at else None
            flow = body.flows[at - 1]
            stop = self._stop(body, here, before, joins, position - at)
            if before is not None and joins is not None and not stop:
                site = self._site_before(before, delta, rule)
                if site is not None:
                    return Return(end, (*sites, *joins, site))
                if flow == FlowControl.NEXT:
                    effect = self._effect(before, code, body)
                    if effect is not None and effect.rule <= self._allowed:
                        sites += joins
                        delta += effect.sp_change
                        rule = max(rule, effect.rule)
                        at -= 1
                        continue
                    stop = "an instruction that must not lie between" if effect is None else "an access that may fault"
                elif not self._falls_through(before, flow):
                    if joins:
                        return Return(end, (*sites, *joins))
                    stop = "nobody known"  # who comes here is not known
                elif before.code == Code.CALL_REL32_64:
                    head, callee = TailSite(here, ALWAYS, delta, rule), before.near_branch_target
                    return Return(end, tuple(sites), head, tuple(joins), callee, "a call")
                else:
                    stop = "an indirect call" if flow == FlowControl.INDIRECT_CALL else "an interrupt"
            return Return(end, tuple(sites), TailSite(here, ALWAYS, delta, rule), why=stop)

    def _stop(
        self, body: Body, here: Instruction, before: Instruction | None, joins: list[TailSite] | None, length: int
    ) -> str:
        """Why the walk must not go on, whatever the preceding instruction is; "" when it may."""
        if before is None:
            return "the entry"
        if joins is None:
            return "a jump that is not emulated"
        if here.ip in body.heads:
            return "a switch"
        return "too long a way" if length >= _MAX_TAIL else ""

    def _joins(self, body: Body, address: int, delta: int, rule: Rule) -> list[TailSite] | None:
        """Sites at the jumps to an address; None when one of them is not emulated."""
        found = []
        for position in body.joins.get(address, ()):
            jump = body.instructions[position]
            if not is_emulated(jump):
                return None
            found.append(TailSite(jump, TAKEN if condition_code(jump) >= 0 else ALWAYS, delta, rule))
        return found

    def _site_before(self, before: Instruction, delta: int, rule: Rule) -> TailSite | None:
        """The site that the preceding instruction is, if it is one and goes on to the next."""
        if before.code == Code.CALL_REL32_64:
            barrier = self._callees.keeps_registers(before.near_branch_target)
            return TailSite(before, ALWAYS, delta, rule) if barrier else None
        if not is_emulated(before) or before.flow_control == FlowControl.UNCONDITIONAL_BRANCH:
            return None
        if condition_code(before) >= 0:
            return TailSite(before, FALLTHROUGH, delta, rule)
        return TailSite(before, ALWAYS, delta - _WORD if before.code == Code.PUSH_R64 else delta, rule)

    def _falls_through(self, before: Instruction, flow: int) -> bool:
        """True unless it is certain that the instruction behind a call, jump or trap is not reached from it."""
        if flow in (FlowControl.UNCONDITIONAL_BRANCH, FlowControl.INDIRECT_BRANCH, FlowControl.RETURN):
            return False
        if before.code == Code.UD2:
            return False
        return not (before.code == Code.CALL_REL32_64 and self._callees.never_return(before.near_branch_target))

    def _effect(self, instruction: Instruction, code: bytes, body: Body) -> Effect | None:
        at = instruction.ip - body.address
        encoded = code[at : at + instruction.len]
        try:
            return self._effects[encoded]
        except KeyError:
            effect = self._effects[encoded] = effect_of(instruction)
            return effect

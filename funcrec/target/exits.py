"""How each RET of many functions is reached, checked against the unwinder's own table.

A thin joint: `flow.py` follows the jumps, `tails.py` walks back, here the stack offsets that the walk found are
compared with what pclntab says (pcsp). A RET about which they disagree is reported as known by nothing but itself.
"""

import re

import numpy as np

from funcrec.target.columns import I64, Bools
from funcrec.target.effects import Rule
from funcrec.target.executable import Executable
from funcrec.target.flow import Flow
from funcrec.target.instructions import is_probeable
from funcrec.target.noreturn import NeverReturns
from funcrec.target.tails import Callees, Tails, read_tails

_BARRIER = re.compile(r"runtime\.gcWriteBarrier\w*")


class ExitReader:
    """Reads the exits of compiled functions of one executable; x86-64 only.

    Args:
        executable: the program.
        allowed: what may happen between a site and its RET.
    """

    def __init__(self, executable: Executable, allowed: Rule) -> None:
        self._executable = executable
        self._allowed = allowed
        functions = executable.functions
        barriers = [
            int(functions.addresses[index])
            for index, name in enumerate(functions.symbols)
            if name.startswith("runtime.gcWrite") and _BARRIER.fullmatch(name)
        ]
        self._barriers = np.array(barriers, dtype=np.int64)

    def read(self, flow: Flow, functions: Bools) -> Tails:
        """All RETs of some functions whose paths are known; `functions` bool, m."""
        returning = flow.code.begins[np.unique(flow.code.function_of(flow.returns))]
        callees = Callees(NeverReturns(self._executable, returning.tolist()), self._barriers)
        tails = read_tails(flow, functions, callees, self._allowed)
        returns, sites = tails.returns, tails.sites
        wrong = np.zeros(len(returns), dtype=np.bool_)
        wrong[sites["ret"][self._differs(flow, sites["row"], sites["delta"])]] = True
        headed = np.flatnonzero(returns["head"] >= 0)
        heads = returns["head"][headed]
        wrong[headed[self._differs(flow, heads, returns["delta"][headed])]] = True
        refused = np.zeros(len(returns), dtype=np.bool_)
        refused[headed] = [not is_probeable(encoded) for encoded in flow.code.encodings(heads)]
        tails = tails.alone(wrong & ~refused, "code whose stack offsets are in doubt")
        return tails.alone(refused, "an instruction that takes no probe")

    def _differs(self, flow: Flow, rows: I64, deltas: I64) -> I64:
        return np.flatnonzero(self._executable.frame_sizes(flow.code.address[rows]) != deltas)

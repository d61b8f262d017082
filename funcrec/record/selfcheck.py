"""Does what the probes read of the Go runtime make sense? A recording that would have to guess is refused.

The kernel's program counts hits without a believable goroutine. The offsets behind the believed ones are tested on the
first event of every goroutine: its thread works for it, it began with a function of the binary, and Go code made it.
"""

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import TargetError
from funcrec.record.rings import Rows
from funcrec.target.executable import Executable
from funcrec.units import format_count

_ENOUGH_HITS = 1000
_ENOUGH_GOROUTINES = 3
_NEARLY_ALL = 0.95
_MAX_GOID = 1 << 48


class SelfCheck:
    """Judges the beginning of a recording.

    Args:
        site_address: of each site of the plan, as linked.
        executable: of the traced processes.
    """

    def __init__(self, site_address: NDArray[np.int64], executable: Executable) -> None:
        self._executable = executable
        self._site_address = site_address
        # The goroutines of a plugin were started by the program that loaded it.
        self._knows_starts = executable.settings.get("-buildmode") not in ("plugin", "shared")
        self._goroutines = self._strange = 0

    def saw(self, facts: Rows) -> None:
        """Take the facts of goroutines that appeared."""
        strange = (facts["current"] == 0) | (facts["goid"] >= _MAX_GOID)
        if self._knows_starts:
            bias = facts["ip"].astype(np.int64) - self._site_address[facts["site"]]
            start, made_at = (facts[field].astype(np.int64) for field in ("startpc", "gopc"))
            low, high = self._executable.text
            # Those for threads that C started have neither.
            strange |= ~np.isin(start - bias, self._executable.functions.addresses) & (start != 0)
            strange |= ((made_at - bias < low) | (made_at - bias > high)) & (made_at != 0)
        self._goroutines += len(facts)
        self._strange += int(strange.sum())

    def judge(self, hits: int, strange: int, *, final: bool = False) -> None:
        """Refuse to go on when what was read cannot be right.

        Args:
            hits: so far, that had a goroutine.
            strange: so far, that had none.
            final: there will be no more.

        Raises:
            TargetError: nearly everything read is impossible.
        """
        if strange >= _ENOUGH_HITS and strange > _NEARLY_ALL * (strange + hits):
            raise self._refusal(f"{format_count(strange)} of {format_count(strange + hits)} hits were in no goroutine")
        enough = 1 if final else _ENOUGH_GOROUTINES
        if self._strange >= enough and self._strange > _NEARLY_ALL * self._goroutines:
            what = f"{format_count(self._strange)} of {format_count(self._goroutines)}"
            raise self._refusal(f"what was read of {what} goroutines is impossible")

    def _refusal(self, finding: str) -> TargetError:
        executable = self._executable
        layout = executable.runtime_layout
        offsets = f"g.goid {layout.goid}, g.startpc {layout.startpc}, m.curg {layout.curg}"
        return TargetError(
            f"{finding}: {executable.path} ({executable.go_version}) does not lay out its runtime as funcrec thinks "
            f"({offsets})",
            remedy="record ordinary Go functions; if these were, build with the Go release it names, or report this",
        )


def left_out(hits: int) -> str:
    """One line about hits that had no goroutine and so are not in the trace, "" when there are none."""
    if not hits:
        return ""
    what = "1 hit" if hits == 1 else f"{format_count(hits)} hits"
    return f"{what} left out: no goroutine could be told (in C, in assembly, or before the first goroutine)"

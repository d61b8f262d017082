"""`make bench-guard`: has a traced call become much dearer than an empty program at the same sites?

A ratio within one run says so on any machine. The limits leave room for a busy one, and a run that is over them is
tried again: what it must find is a change that costs the target noticeably more.
"""

import sys

from tests.bench import cost

_LIMITS = {cost.AT_SAME_SITES: 1.5, cost.AT_EMULATED_SITES: 2.5}
_TRIES = 3


def main() -> None:
    """Print the ratios; exit with 1 when they are over their limits in every try."""
    for _ in range(_TRIES):
        ratios = {what: ratio for what, ratio, _ in cost.measure() if what in _LIMITS}
        for what, ratio in ratios.items():
            print(f"{ratio:6.3f}  <= {_LIMITS[what]}  {what}", flush=True)
        if all(ratio <= _LIMITS[what] for what, ratio in ratios.items()):
            return
    sys.exit("a traced call costs more than it may; python -m tests.bench cost has all figures")


main()

"""One hostile file through one target: a finding when anything but a result or an honest refusal comes of it."""

from __future__ import annotations

import resource
import signal
import sys
import traceback
import warnings
from dataclasses import dataclass
from types import FrameType

from funcrec.errors import TraceError, UsageError
from tests.fuzz.targets import Target

LIMIT_S = 2.0
LIMIT_BYTES = 512 << 20
_STUCK_S = 60  # of waiting, for whatever does not even take CPU time


class TooSlow(BaseException):
    """No Exception, so that no handler of the code under test takes it."""


@dataclass(frozen=True)
class Finding:
    """What went wrong and where; equal for the same fault."""

    kind: str
    place: str
    text: str


def prepare() -> None:
    """Make this process fit for many cases: one processor (views use more as processes), warnings are errors."""
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGPROF, _alarm)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as statm:
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + LIMIT_BYTES + (256 << 20), hard))


def _alarm(number: int, frame: FrameType | None) -> None:
    raise TooSlow


def run(target: Target, path: str) -> Finding | None:
    """Run a case; `prepare` was called."""
    _set_timers(_STUCK_S, LIMIT_S)
    try:
        output = target.run(path)
        _set_timers(0, 0)
        target.check(output)
    except TraceError:
        pass
    except (Exception, TooSlow) as error:
        _set_timers(0, 0)
        if isinstance(error, UsageError) and target.refuses:
            return None
        return Finding(type(error).__name__, _place(error), f"{target.name}: {str(error)[:200]}")
    finally:
        _set_timers(0, 0)
    return None


def _set_timers(real_s: float, cpu_s: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, real_s)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)  # other programs on the machine do not count


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/funcrec/" in frame.filename]
    return f"{frames[-1].filename.rpartition('/funcrec/')[2]}:{frames[-1].lineno}" if frames else "the output"


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

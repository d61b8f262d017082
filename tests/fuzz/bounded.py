"""Run targets on a file in a process of their own, with as little memory and time as the promise allows.

python -m tests.fuzz.bounded FILE TARGET...
"""

from __future__ import annotations

import os
import resource
import sys

from funcrec.errors import FuncrecError
from tests.fuzz.cases import LIMIT_BYTES, LIMIT_S
from tests.fuzz.targets import targets

PATIENCE = 5  # processors differ; what is looked for grows without bound


class _Sink:
    """Standard output that forgets what it was given."""

    def write(self, data: object) -> int:
        return len(data)  # type: ignore[arg-type]

    def flush(self) -> None:
        pass


def main() -> int:
    """Run them, print for each what came of it and what it took."""
    path, *names = sys.argv[1:]
    by_name = {target.name: target for target in targets()}
    for name in names:
        child = os.fork()
        if child == 0:
            mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: SIM115
            resource.setrlimit(resource.RLIMIT_AS, (mapped + LIMIT_BYTES,) * 2)
            resource.setrlimit(resource.RLIMIT_CPU, (int(LIMIT_S * PATIENCE),) * 2)
            try:
                by_name[name].run(path, _Sink())
                outcome = "a result"
            except FuncrecError as error:
                outcome = type(error).__name__
            used = resource.getrusage(resource.RUSAGE_SELF)
            print(f"{name}: {outcome}, {used.ru_utime + used.ru_stime:.1f} s, {used.ru_maxrss >> 10} MB", flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            print(f"{name}: died", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

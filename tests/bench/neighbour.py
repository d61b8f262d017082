"""How long another tool waits for a probe of its own while a recorder of a large binary comes, stays and goes."""

import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from funcrec.record.attach_multi import MultiAttacher
from funcrec.target.executable import Executable
from tests.bench.attached import empty_program
from tests.bench.recording import FUNCREC, large
from tests.bench.target import HotProgram

_PAUSE_S = 0.01


def measure(output: Path) -> list[tuple[str, float, str]]:
    """Return rows (what, figure, goal)."""
    program = empty_program()
    with HotProgram() as hot:
        path = str(hot.binary)
        executable = Executable.open(path)
        number = executable.functions.names.index("main.framed")
        offset = executable.offset_of(executable.functions[number].address)
        if offset is None:
            raise RuntimeError("main.framed is not in the file")
        alone = _attaching(program, path, offset, lambda: time.sleep(3))
        meanwhile = _attaching(program, path, offset, lambda: _record_all(output))
    return [
        ("ms until a probe of another tool is there, median", 1e3 * statistics.median(alone), ""),
        ("the longest", 1e3 * max(alone), ""),
        ("while all of hugo is armed, recorded and let go, median", 1e3 * statistics.median(meanwhile), ""),
        ("the longest meanwhile", 1e3 * max(meanwhile), ""),
    ]


def _record_all(output: Path) -> None:
    command = [FUNCREC, "record", "-q", "-u", "*", large(), "--duration", "1s", "-o", output]
    subprocess.run(command, stderr=subprocess.DEVNULL, check=True)


def _attaching(program: int, path: str, offset: int, meanwhile: Callable[[], None]) -> list[float]:
    """Seconds that each of many probes took to attach until something has ended."""
    took = []
    other = threading.Thread(target=meanwhile)
    other.start()
    while other.is_alive():
        started = time.perf_counter()
        (link,) = MultiAttacher(program, path).attach([offset], [0], [])
        took.append(time.perf_counter() - started)
        link.close()
        time.sleep(_PAUSE_S)
    other.join()
    return took

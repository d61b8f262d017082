"""Wall clocks that are set and machines that sleep: times are those of the monotonic clock, whatever the others say."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import funcrec
from tests.traces import END, START, Made, closing, random_events, snapshot

HOUR = 3_600 * 10**9


def _trace(path: Path, realtime_ns: int, boottime_ns: int) -> Path:
    made = Made(snapshot())
    for at in range(3):
        made.writer.events(random_events(at, 30, span=1 << 30))
        later = START.monotonic_ns + at * 10**9
        made.writer.clock(
            replace(
                START,
                monotonic_ns=later,
                boottime_ns=later + at * boottime_ns,
                realtime_ns=START.realtime_ns + at * realtime_ns,
            )
        )
    made.writer.close(replace(closing(90), clock=END))
    path.write_bytes(made.bytes())
    return path


@pytest.mark.parametrize(
    ("realtime_ns", "boottime_ns"),
    [(-HOUR, 0), (HOUR, 0), (0, 8 * HOUR)],
    ids=["set back", "set forward", "suspended"],
)
@pytest.mark.parametrize("view", [("report", "--format", "jsonl"), ("stat", "--format", "csv"), ("hist",)])
def test_other_clocks_move_no_call(tmp_path: Path, view: tuple[str, ...], realtime_ns: int, boottime_ns: int) -> None:
    name, *options = view
    steady = funcrec(name, _trace(tmp_path / "trace.zst", 1, 0), *options).stdout
    stepping = funcrec(name, _trace(tmp_path / "trace.zst", realtime_ns, boottime_ns), *options).stdout
    assert stepping == steady

"""A recording with values, as long as one likes: a short one of a real program, again and again."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from funcrec.trace.reader import TraceReader
from funcrec.trace.records import Closing, SnapshotDelta
from funcrec.trace.writer import TraceWriter
from tests.conftest import funcrec
from tests.toolchain import go_build

_SOURCE = Path(__file__).parent / "nested"


def record_nested(path: Path) -> None:
    """Record calls with eight values, some of them nested."""
    funcrec("record", "-q", "-A", "-R", "-u", "main.serve", go_build(_SOURCE), "-o", path, "--")


def repeat(short: Path, path: Path, calls: int) -> None:
    """Write the events and values of a trace, later each time, until there are so many calls."""
    with TraceReader(short) as reader, path.open("wb") as file:
        blocks = [(reader.events(block.number), reader.values(block.number)) for block in reader.blocks]
        span = max(int(events.time_ns.max()) for events, _ in blocks) - reader.header.clock.monotonic_ns + 1000
        writer = TraceWriter(file, reader.header)
        tables = (reader.functions, reader.sites, reader.call_sites, reader.skipped, reader.types, reader.plans)
        writer.snapshot(SnapshotDelta(*tables))
        writer.processes(reader.processes)
        times = -(-calls * 2 // sum(len(events.time_ns) for events, _ in blocks))
        for number in range(times):
            for events, values in blocks:
                writer.events(replace(events, time_ns=events.time_ns + np.int64(number * span)), values)
        assert reader.closing is not None
        clock = reader.closing.clock
        writer.close(
            Closing(replace(clock, monotonic_ns=clock.monotonic_ns + times * span), reader.closing.events * times, 0)
        )

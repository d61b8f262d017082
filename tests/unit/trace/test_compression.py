"""Frames of records: the same content comes out, and small records do not cost more than large ones."""

import io

import numpy as np
import pytest
import zstandard

from funcrec.trace.compression import compressed
from funcrec.trace.records import EventColumns
from funcrec.trace.writer import TraceWriter
from tests.traces import START, header, snapshot


@pytest.mark.parametrize("length", [1023, 1024, 5000])
@pytest.mark.parametrize("planes", [0, 1, 2, 3])
def test_what_is_compressed_comes_back(length, planes):
    column = np.random.default_rng(1).bytes(length * planes)
    raw = b"before" + column + b"after"
    frame = compressed(zstandard.ZstdCompressor(write_checksum=True), raw, column, length)
    assert zstandard.frame_content_size(frame) == len(raw)
    assert zstandard.decompress(frame) == raw


def test_four_blocks_take_as_much_as_one():
    """Times have a noisy low byte and a calm high one."""
    n = 1 << 17
    one = np.ones(n, np.uint32)
    events = EventColumns(
        START.monotonic_ns + np.cumsum(np.random.default_rng(2).normal(900, 200, n).astype(np.int64)),
        one, one.astype(np.uint64), np.zeros(n, np.uint64), one, np.arange(n, dtype=np.uint32) % 2, 64 * one, one * 0,
    )  # fmt: skip
    whole, quarters = (_size(events, n // parts) for parts in (1, 4))
    assert quarters < 1.05 * whole


def test_who_has_time_writes_less():
    """The same events but for the last one's time, which says how many there are a second."""
    n = 1 << 16
    random = np.random.default_rng(3)
    ways = random.integers(0, 64, (200, 24))
    steps = ways[random.pareto(1, n // 24 + 1).astype(int) % len(ways)].ravel()[:n]
    times = START.monotonic_ns + np.cumsum(random.integers(0, 256, n))
    one = np.ones(n, np.uint32)
    sizes = []
    for pause_ns in (0, 60_000_000_000):
        times[-1] += pause_ns
        events = EventColumns(
            times, one, one.astype(np.uint64), np.zeros(n, np.uint64), one, one % 2,
            8 * np.cumsum(steps).astype(np.uint32), one * 0,
        )  # fmt: skip
        sizes.append(_size(events, n))
    assert sizes[1] < 0.99 * sizes[0]


def _size(events: EventColumns, most: int) -> int:
    writer = TraceWriter(io.BytesIO(), header())
    writer.snapshot(snapshot())
    before = writer.bytes_written
    for first in range(0, len(events), most):
        writer.events(EventColumns(*(getattr(events, name)[first : first + most] for name in events.__slots__)))
    return writer.bytes_written - before

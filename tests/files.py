"""Trace files made of traces in memory, for tests of commands."""

from pathlib import Path

from funcrec.report.trace import Trace
from funcrec.trace.records import ClockReading, Closing, SnapshotDelta
from funcrec.trace.writer import TraceWriter


def write_trace(path: Path, trace: Trace) -> Path:
    """Write what a trace in memory holds, closed cleanly."""
    source = trace.reader
    with open(path, "wb") as file:
        writer = TraceWriter(file, source.header)
        writer.snapshot(SnapshotDelta(functions=source.functions, sites=source.sites, call_sites=source.call_sites))
        for part in source.parts:
            writer.events(part)
        if source.processes:
            writer.processes(source.processes)
        if source.goroutines:
            writer.goroutines(source.goroutines)
        if source.lost:
            writer.lost(source.lost)
        end_ns = max([trace.start_ns, *(int(part.time_ns.max(initial=0)) for part in source.parts)])
        clock = ClockReading(end_ns, end_ns, 10**18 + end_ns)
        writer.close(Closing(clock, sum(map(len, source.parts)), trace.lost_events))
    return path

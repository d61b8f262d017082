"""Add golden traces and listings that are missing: `python -m tests.golden.make`.

A trace that exists is never written again: it is what that version wrote. With --listings the listings of all traces
are written again, for the commit that changes a view on purpose.
"""

import argparse
import io
import os
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from funcrec.trace.reader import TraceReader
from funcrec.trace.records import VERSION, SnapshotDelta
from funcrec.trace.writer import TraceWriter
from tests.calltrees import random_tree_events
from tests.conftest import funcrec
from tests.golden.synthetic import write_synthetic
from tests.golden.test_golden import EXISTING, GOLDEN, listing
from tests.property.test_excerpt import written
from tests.toolchain import PROGRAMS, go_build


def write_cut(file: BinaryIO) -> None:
    """The synthetic trace as a killed recorder leaves it, cut inside a record."""
    whole = io.BytesIO()
    write_synthetic(whole)
    file.write(whole.getvalue()[: whole.tell() * 3 // 4])


def write_blocks(file: BinaryIO) -> None:
    """Calls that outlast the blocks they begin in, and some that outlast the trace (format 1.1: SPANS records)."""
    made = random_tree_events(random.Random(11), 240, panics=0.01)
    file.write(written([made[low : low + 30] for low in range(0, len(made), 30)], ("main.a", "main.b", "main.c")))


def write_real(file: BinaryIO) -> None:
    """A real program, recorded: panics recovered at many depths."""
    _record(file, "workload", ["-u", "main.*"], ["panics"])


def write_values(file: BinaryIO) -> None:
    """A real program, recorded with values: every kind of them, and some that were redacted."""
    functions = ("ints", "text", "slices", "structs", "pointers", "maps", "interfaces", "failures", "times", "many")
    wanted = [word for name in functions for word in ("-u", f"main.{name}")]
    _record(file, "values", ["-A", "-R", "--redact", "age", *wanted], [])


def write_function_values(file: BinaryIO) -> None:
    """A real program, recorded with functions as values: arguments, results, fields, in interfaces, closures."""
    wanted = ["-u", "main.functions", "-u", "main.apply", "-u", "main.counter", "-u", "main.counter.func1"]
    _record(file, "values", ["-A", "-R", *wanted], [])


def _record(file: BinaryIO, program: str, options: list[str], arguments: list[str]) -> None:
    """Record a program of the tests from start to end, and write what does not tell of the machine."""
    binary = go_build(PROGRAMS / program, flags=["-trimpath"])
    with tempfile.TemporaryDirectory() as folder:
        recorded = Path(folder) / "trace.zst"
        command = ["record", *options, binary, "-o", recorded, "--", *arguments]
        funcrec(*command, cwd=folder, env=os.environ | {"TRUTH": "log"})
        with TraceReader(recorded) as reader:
            argv = ["funcrec", "record", *options, f"./{program}", "--", *arguments]
            _copy(reader, file, argv, [f"./{program}", *arguments])


def _copy(reader: TraceReader, file: BinaryIO, argv: list[str], command: list[str]) -> None:
    """Write what a reader has, without what tells of the machine it was recorded on."""
    kernel = str(reader.header.host["kernel"]).split("-")[0]
    host = reader.header.host | {"hostname": "golden", "kernel": kernel}
    target = reader.header.target | {"path": command[0]}
    writer = TraceWriter(file, replace(reader.header, argv=argv, host=host, target=target))
    writer.snapshot(
        SnapshotDelta(
            reader.functions,
            reader.sites,
            reader.call_sites,
            reader.skipped,
            reader.types,
            reader.plans,
            reader.code,
        )
    )
    writer.processes([replace(p, exe=command[0], command=command) for p in reader.processes])
    writer.goroutines(reader.goroutines)
    for block in reader.blocks:
        writer.events(reader.events(block.number), reader.values(block.number))
    writer.lost(reader.lost)
    for reading in reader.clocks[1:]:
        writer.clock(reading)
    for note in reader.notes:
        writer.note(note)
    assert reader.closing is not None
    writer.close(reader.closing)


MADE: dict[str, Callable[[BinaryIO], None]] = {
    "synthetic": write_synthetic,
    "cut": write_cut,
    "real": write_real,
    "values": write_values,
    "function-values": write_function_values,
    "blocks": write_blocks,
}


def main() -> None:
    """Add what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listings", action="store_true", help="write the listings of all traces again")
    again = parser.parse_args().listings
    folder = GOLDEN / f"v{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in MADE.items():
        path = folder / f"{name}.zst"
        if path.exists():
            continue
        if name == "real" and os.geteuid() != 0:
            print(f"{path.relative_to(GOLDEN)}: needs root to record; left out")
            continue
        whole = io.BytesIO()
        write(whole)
        path.write_bytes(whole.getvalue())
        print(f"{path.relative_to(GOLDEN)}: added")
    for trace in sorted(GOLDEN.glob("v*/*.zst")):
        for name, command in EXISTING.items():
            path = trace.with_suffix("") / name
            if again or not path.exists():
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(listing(trace, command))
                print(f"{path.relative_to(GOLDEN)}: written")


if __name__ == "__main__":
    main()

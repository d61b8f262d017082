"""`make bench`: every figure in one run, as a table and as JSON in bench/results/.

Absolute times say little on a shared machine; figures are ratios within the run, or come with the machine's name.
"""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import answers, cost, exits, latency, neighbour, peers, recording, reporting, values
from tests.toolchain import DEFAULT, ROOT

Row = tuple[str, float, str]
RESULTS = ROOT / "bench" / "results"


def _parts(folder: Path) -> dict[str, Callable[[], list[Row]]]:
    return {
        "cost": cost.measure,
        "exits": exits.measure,
        "latency": latency.measure,
        "start": lambda: recording.measure_start(folder / "start.zst"),
        "neighbour": lambda: neighbour.measure(folder / "neighbour.zst"),
        "drain": lambda: recording.measure_drain(folder / "drain.zst"),
        "report": reporting.measure,
        "parts": reporting.measure_parts,
        "answers": answers.measure,
        "values": values.measure,
        "peers": peers.measure,
    }


def main(wanted: list[str]) -> None:
    """Measure the parts named, or all; each is a run of its own, and what the day has of the others stays."""
    path = RESULTS / f"{time.strftime('%Y-%m-%d')}.json"
    rows = json.loads(path.read_text())["rows"] if wanted and path.exists() else []
    rows = [row for row in rows if row["part"] not in wanted]
    with tempfile.TemporaryDirectory() as folder:
        for part, measure in _parts(Path(folder)).items():
            if wanted and part not in wanted:
                continue
            for what, figure, goal in measure():
                print(f"{part:9} {figure:9.3f}  {goal:17} {what}", flush=True)
                rows.append({"part": part, "what": what, "figure": round(figure, 4), "goal": goal})
    system = platform.uname()
    RESULTS.mkdir(parents=True, exist_ok=True)
    result = {
        "when": time.strftime("%Y-%m-%d"),
        "kernel": system.release,
        "machine": system.machine,
        "cpus": os.cpu_count(),
        "load": [round(each, 2) for each in os.getloadavg()],
        "go": DEFAULT,
        "python": platform.python_version(),
        "tools": peers.versions(),
        "rows": rows,
    }
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {path.relative_to(ROOT)}")


main(sys.argv[1:])

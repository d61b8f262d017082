import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from funcrec.errors import HostError, TraceError
from funcrec.report.cluster import TraceFile, run_tasks
from funcrec.report.trace import Trace
from funcrec.trace.records import CallSite
from tests.calltrees import make_trace, random_tree_events
from tests.conftest import funcrec, wait_until
from tests.files import write_trace


def read(file: TraceFile, request: str) -> tuple[str, str, int]:
    if not os.path.exists(file.path):
        raise TraceError(f"no trace at {file.name}", remedy="record one")
    with open(file.path) as stream:
        return file.name, request + stream.read(), os.getpid()


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    for number in range(3):
        (tmp_path / str(number)).write_text(f"content {number}")
    return [str(tmp_path / str(number)) for number in range(3)]


def test_a_single_trace_is_read_in_this_process(names: list[str]) -> None:
    assert run_tasks(read, names[:1], "a ") == [(names[0], "a content 0", os.getpid())]


def test_results_come_in_the_order_of_the_traces(names: list[str]) -> None:
    assert [result[:2] for result in run_tasks(read, names, "")] == [
        (name, f"content {number}") for number, name in enumerate(names)
    ]


def test_errors_cross_processes_whole(names: list[str]) -> None:
    with pytest.raises(TraceError) as caught:
        run_tasks(read, [*names, "missing"], "")
    assert (caught.value.cause, caught.value.remedy) == ("no trace at missing", "record one")


def random_trace(seed: int) -> Trace:
    sites = [CallSite(0x10 + at, "main.main", at, "/src/main.go", 7 + at) for at in range(2)]
    return make_trace([random_tree_events(random.Random(seed), 500)], call_sites=sites)


def dask(*arguments: str) -> "subprocess.Popen[bytes]":
    # Workers import the task from this very file.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [str(Path(sys.executable).with_name("dask")), *arguments, "--no-dashboard"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def stop(processes: "list[subprocess.Popen[bytes]]") -> None:
    for process in reversed(processes):
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, "list[subprocess.Popen[bytes]]"]]:
    """The address of a real scheduler without workers, and the processes to stop in the end."""
    place = tmp_path / "scheduler.json"
    processes = [dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(place))]
    try:
        wait_until(lambda: place.exists() and place.stat().st_size > 0, "the scheduler listens")
        yield json.loads(place.read_text())["address"], processes
    finally:
        stop(processes)


def test_a_scheduler_with_workers_runs_the_same_tasks(
    names: list[str], scheduler: tuple[str, "list[subprocess.Popen[bytes]]"]
) -> None:
    address, processes = scheduler
    with pytest.raises(HostError, match="has no workers"):
        run_tasks(read, names, "", cluster=address)
    processes.append(dask("worker", address, "--nworkers", "2", "--nthreads", "1"))
    with Client(address) as client:
        client.wait_for_workers(2, timeout=60)
    results = run_tasks(read, names, "a ", cluster=address)
    assert [result[:2] for result in results] == [(name, f"a content {at}") for at, name in enumerate(names)]
    assert os.getpid() not in {result[2] for result in results}
    with pytest.raises(TraceError, match="no trace at missing"):
        run_tasks(read, [*names, "missing"], "", cluster=address)
    traces = [str(write_trace(Path(f"{name}.zst"), random_trace(seed))) for seed, name in enumerate(names)]
    for view in (["stat"], ["hist", "--by", "func"], ["graph"], ["goroutines"], ["diff"]):
        command = [*view, *(traces[:2] if view == ["diff"] else traces), "--format", "json"]
        assert funcrec(*command, "--cluster", address).stdout == funcrec(*command).stdout


def test_no_scheduler_is_explained() -> None:
    with pytest.raises(HostError, match="no Dask scheduler answers"):
        run_tasks(read, ["x"], "", cluster="tcp://127.0.0.1:1")

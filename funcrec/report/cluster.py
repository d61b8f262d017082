"""One task per trace: here, in a pool of processes, or on a Dask scheduler. Nothing distributed is written by hand.

A task is a function of a module (so that it can be named to another process) from a `TraceFile` and a request to
something small; its results are merged by who asked. Errors arrive as they would without processes between.
"""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from funcrec.errors import FuncrecError, HostError, UsageError

Request = TypeVar("Request")
Result = TypeVar("Result")

_CONNECT_S = 5
_STDIN = "-"


@dataclass(frozen=True, slots=True)
class TraceFile:
    """A trace to work on: where any process of this machine or cluster finds it, and what its user calls it."""

    path: str
    name: str


def run_tasks(
    task: Callable[[TraceFile, Request], Result],
    names: Sequence[str],
    request: Request,
    *,
    cluster: str | None = None,
) -> list[Result]:
    """Run a task on every trace and return the results in the order of the traces.

    Args:
        task: function of a module; must not write to stdout or stderr.
        names: paths of traces, as typed, `-` for standard input. On a cluster, all workers must see them under the same
            absolute paths.
        request: passed to every task.
        cluster: address of a Dask scheduler such as `tcp://host:8786`; None uses the processors of this machine.

    Raises:
        UsageError: standard input is for a cluster.
        HostError: no such scheduler, no workers, or the extra `[cluster]` is not installed.
        FuncrecError: whatever a task raises.
    """
    files = [TraceFile(name if name == _STDIN else os.path.abspath(name), name) for name in names]
    piped = _STDIN in names
    if cluster is not None:
        if piped:
            raise UsageError(
                "the workers of a cluster cannot read standard input", remedy="give a path that all of them see"
            )
        return _on_cluster(task, files, request, cluster)
    processes = 1 if piped else min(len(files), _processors())  # standard input is this process's own
    if processes < 2:
        return [task(file, request) for file in files]
    # Forking is the faster start, but not safe when other threads may hold locks.
    lone = sys.platform == "linux" and threading.active_count() == 1
    context = multiprocessing.get_context("fork" if lone else "spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return list(pool.map(task, files, [request] * len(files)))


def _processors() -> int:
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available is not None else os.cpu_count() or 1


def _on_cluster(
    task: Callable[[TraceFile, Request], Result], files: list[TraceFile], request: Request, address: str
) -> list[Result]:
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise HostError("--cluster needs Dask", remedy="pip install 'funcrec[cluster]'") from error
    try:
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise HostError(
            f"no Dask scheduler answers at '{address}'", remedy="start one with `dask scheduler`, or name its address"
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise HostError(
                f"the Dask scheduler at '{address}' has no workers", remedy=f"start one with `dask worker {address}`"
            )
        futures = [client.submit(task, file, request, pure=False) for file in files]
        try:
            results: list[Result] = client.gather(futures)
        except FuncrecError:
            raise
        except Exception as error:
            raise HostError(
                f"a task failed on the cluster: {type(error).__name__}: {error}",
                remedy="check that every worker has this version of funcrec and sees the traces under the same paths",
            ) from error
        return results

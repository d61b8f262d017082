"""Processes that come and go: nothing of them stays, in the recorder or in the kernel's list."""

import subprocess
import sys
import time

from funcrec.record.processes import ProcessTable, identity_of
from funcrec.record.scope import Scope


def _ended() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_strangers_are_forgotten_once_their_last_events_are_in() -> None:
    scope = Scope(identity_of(sys.executable), [], None)
    listed: set[int] = set()
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    scope._known[stranger.pid] = False
    listed.add(stranger.pid)
    scope.retire(listed.discard)
    assert scope.strangers == [stranger.pid]
    stranger.communicate(b"\n")
    scope.retire(listed.discard)
    assert scope.strangers == [stranger.pid]  # its last events may still be on the way
    scope.retire(listed.discard)
    assert scope.strangers == []
    assert not listed


def test_late_events_do_not_bring_a_process_back() -> None:
    table = ProcessTable()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    seen_ns = time.monotonic_ns()
    record = table.see(child.pid, seen_ns)
    assert record is not None
    assert record.exe
    child.communicate(b"\n")
    ended_ns = time.monotonic_ns()
    (end,) = table.ended(ended_ns)
    assert (end.pid, end.end_ns, end.exe) == (child.pid, ended_ns, record.exe)
    assert table.see(child.pid, ended_ns - 1) is None
    assert table.see(child.pid, ended_ns + 1) is not None  # the number was given out again
    assert len(table.ended(ended_ns + 2)) == 1


def test_what_ended_long_ago_is_not_kept() -> None:
    table = ProcessTable()
    for number in range(20):
        now_ns = number * 5_000_000_000
        table.see(_ended(), now_ns)
        table.ended(now_ns)
    assert len(table._ended) <= 3
    assert table.alive == []

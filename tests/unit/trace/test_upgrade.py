"""The chain of upgrades, tried on steps of its own: version 1 has none yet."""

import pytest

from funcrec.errors import TraceError
from funcrec.trace.records import VERSION, RecordType
from funcrec.trace.upgrade import STEPS, check_version, upgrade


def _rename(kind, body):
    return {"new": body["old"], "kind": kind} if kind == RecordType.NOTE else body


def _double(kind, body):
    return {**body, "new": 2 * body["new"]} if kind == RecordType.NOTE else body


def test_steps_run_in_order_from_the_version_of_the_file():
    steps = {1: _rename, 2: _double}
    assert upgrade(RecordType.NOTE, {"old": 4}, 1, newest=3, steps=steps) == {"new": 8, "kind": RecordType.NOTE}
    assert upgrade(RecordType.NOTE, {"new": 4}, 2, newest=3, steps=steps) == {"new": 8}
    assert upgrade(RecordType.CLOCK, {"old": 4}, 1, newest=3, steps=steps) == {"old": 4}


def test_the_newest_version_passes_unchanged():
    body = {"x": 1}
    assert upgrade(RecordType.NOTE, body, VERSION) is body


def test_there_is_a_step_from_every_older_version():
    assert sorted(STEPS) == list(range(1, VERSION))


def test_unknown_versions_are_refused():
    check_version(VERSION, 99, "x")
    for version in (0, VERSION + 1):
        with pytest.raises(TraceError, match="version"):
            check_version(version, 0, "x")

"""Values of a real recording, rendered many at once: the fast way is taken, and says what decoding one by one says."""

import numpy as np
import pytest

from funcrec.report.arguments import call_values, value_texts
from funcrec.report.capturememory import Captures
from funcrec.report.trace import Trace
from funcrec.report.valuecells import Cells, compact
from funcrec.report.valuejson import JsonRenderer
from tests.golden.test_golden import TRACES


@pytest.mark.parametrize("path", TRACES, ids=lambda trace: f"{trace.parent.name}-{trace.stem}")
def test_texts_are_the_values(path):
    trace = Trace(path)
    calls = trace.table()
    rows = np.arange(len(calls))[::-1]
    arguments, results = value_texts(trace, calls, rows)
    pairs = call_values(trace, calls, rows)
    assert arguments == [compact(pair[0]) for pair in pairs]
    assert results == [compact(pair[1]) for pair in pairs]


def test_nothing_that_was_read_is_left_to_the_slow_way(monkeypatch):
    left, seen = [], []
    render = JsonRenderer.render

    def watched(self: JsonRenderer, captures: Captures, *, result: bool) -> Cells:
        cells = render(self, captures, result=result)
        left.append(int(np.count_nonzero(captures.hard)))
        seen.append(len(captures))
        return cells

    monkeypatch.setattr(JsonRenderer, "render", watched)
    trace = Trace(next(path for path in TRACES if path.stem == "values"))
    calls = trace.table()
    value_texts(trace, calls, np.arange(len(calls)))
    assert sum(seen) == 2 * len(calls)
    assert sum(left) == 0

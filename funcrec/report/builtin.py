"""What every call has, by its name in expressions; other names are those of fetched values."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from funcrec.errors import UsageError
from funcrec.report.calls import Calls, State
from funcrec.report.columns import ValueColumn

if TYPE_CHECKING:
    from funcrec.report.trace import Trace


def _durations(_: "Trace", calls: Calls) -> ValueColumn:
    return ValueColumn.numbers(calls.end_ns - calls.start_ns, calls.end_ns >= 0)


def _functions(trace: "Trace", calls: Calls) -> ValueColumn:
    return ValueColumn.texts(calls.function, tuple(function.name for function in trace.functions))


def _callers(trace: "Trace", calls: Calls) -> ValueColumn:
    labels = ("", *(site.name for site in trace.call_sites))
    named = np.array([bool(label) for label in labels])
    return ValueColumn.texts(calls.caller, labels, named[calls.caller])


BUILT_IN: dict[str, Callable[["Trace", Calls], ValueColumn]] = {
    "dur": _durations,
    "self": lambda _, calls: ValueColumn.numbers(calls.self_ns, calls.end_ns >= 0),
    "start": lambda trace, calls: ValueColumn.numbers(calls.start_ns - trace.start_ns),
    "depth": lambda _, calls: ValueColumn.numbers(calls.depth.astype(np.int64)),
    "goid": lambda _, calls: ValueColumn.numbers(calls.goid),
    "pid": lambda _, calls: ValueColumn.numbers(calls.pid.astype(np.int64)),
    "tid": lambda _, calls: ValueColumn.numbers(calls.tid.astype(np.int64)),
    "func": _functions,
    "caller": _callers,
    "state": lambda _, calls: ValueColumn.texts(calls.state, tuple(state.label for state in State)),
}


def unknown_name(name: str, others: list[str]) -> UsageError:
    """The error for a name that neither every call has nor any function of the trace."""
    near = get_close_matches(name, [*BUILT_IN, *others], 3)
    remedy = "did you mean " + " or ".join(near) + "?" if near else "every call has " + ", ".join(BUILT_IN)
    return UsageError(f"nothing in the trace is called '{name}'", remedy=remedy)

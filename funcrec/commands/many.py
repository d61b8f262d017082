"""What the views over many traces share: the option for a cluster, and what is said in the end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from funcrec.commands.options import warn
from funcrec.errors import ExitCode
from funcrec.report.request import OutputRequest

if TYPE_CHECKING:
    from funcrec.report.facts import Facts

ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", metavar="ADDRESS", help="Run on a Dask scheduler, one task per trace."),
]


def conclude(facts: "Sequence[Facts]", output: OutputRequest) -> int:
    """Say on stderr what stdout has no room for, and return the exit code."""
    shown, calls = sum(each.shown for each in facts), sum(each.calls for each in facts)
    if shown == 0:
        warn(f"0 of {calls} calls match")
    for each in facts:
        for line in each.shortcomings:
            warn(f"{each.file}: {line}")
    incomplete = any(each.shortcomings for each in facts)
    return int(ExitCode.ENVIRONMENT) if output.strict and incomplete else int(ExitCode.DONE)

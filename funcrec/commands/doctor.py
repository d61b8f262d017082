"""`funcrec doctor`: can this machine record?"""

import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from funcrec.errors import ExitCode


class DoctorFormat(StrEnum):
    """Output formats of `doctor`."""

    TEXT = "text"
    JSON = "json"


def command(
    format: Annotated[DoctorFormat, typer.Option("--format", help="text or json.")] = DoctorFormat.TEXT,
    debug: Annotated[bool, typer.Option("-d", "--debug", help="Show tracebacks.")] = False,
) -> int:
    """Try everything that recording needs: found or missing, and what to do. Exit 3 when something is missing."""
    from funcrec.record.capability import Status, requirements

    found = []
    for requirement in requirements():
        found.append(requirement)
        if format == DoctorFormat.TEXT:
            print(f"{requirement.status:8} {requirement.name:12} {requirement.detail}")
            if requirement.remedy:
                print(f"{'':21} try: {requirement.remedy}")
    able = not any(requirement.status == Status.MISSING for requirement in found)
    if format == DoctorFormat.JSON:
        print(json.dumps({"version": 1, "able": able, "requirements": [asdict(requirement) for requirement in found]}))
    else:
        print("this machine can record" if able else "this machine cannot record until that is fixed")
    return int(ExitCode.DONE if able else ExitCode.ENVIRONMENT)

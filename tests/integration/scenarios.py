"""Which functions each scenario of `tests/programs/workload` logs, as patterns for `record`."""

import shutil
from pathlib import Path
from typing import Any

from tests.toolchain import DEFAULT, PROGRAMS, go_build, strip

WORKLOAD = PROGRAMS / "workload"

_PANICS = [
    *("guard", "dive", "throw", "nested", "rescued", "rescue", "cleanup"),
    *("cleaned", "again", "rethrow", "replaced", "detour"),
]

FUNCTIONS = {
    "recursion": ["descend", "other"],
    "many": ["outer", "inner"],
    "threads": ["hop", "step"],
    "preemption": ["spin", "leaf"],
    "panics": _PANICS,
    "goexit": [*_PANICS, "leave"],
    "methods": [
        *("Point.*", "(*Point).*", "Buoy.*", "moveAny", "normAny"),
        *("largest*", "(*Stack*).Push", "apply", "methods.func1"),
    ],
    "inlining": ["target"],
    "statements": ["plain", "postponed"],
    "rangefunc": ["upTo", "walk", "cleanup"],
    "exit": ["stay", "cleanup", "quit"],
    "killed": ["stay", "cleanup"],
    "fatal": ["stay", "cleanup", "doomed"],
    "status": ["cleanup"],
    "children": ["descend", "other", "cleanup"],
    "reexec": ["reborn", "descend", "other", "cleanup"],
    "attach": ["held", "inner", "descend", "other"],
    "flood": ["tick"],
}
BASICS = ("recursion", "panics", "goexit", "methods", "inlining", "statements")
FUNCTIONS["basics"] = list(dict.fromkeys(name for scenario in BASICS for name in FUNCTIONS[scenario]))
_CGO = {"CGO_ENABLED": "1"}
# How programs are built: arguments of `go_build`.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "unoptimised": {"flags": ("-gcflags=-N -l",)},
    "stripped": {"flags": ("-ldflags=-s -w",)},
    "pie": {"flags": ("-buildmode=pie",)},
    "pie-stripped": {"flags": ("-buildmode=pie", "-ldflags=-s -w")},
    "trimpath": {"flags": ("-trimpath",)},
    "plain-dwarf": {"flags": ("-ldflags=-compressdwarf=false",)},
    "avx2": {"env": {"GOAMD64": "v3"}},
    "external": {"flags": ("-ldflags=-linkmode=external",), "env": _CGO},
    "external-pie": {"flags": ("-buildmode=pie", "-ldflags=-linkmode=external"), "env": _CGO},
    "static": {"flags": ("-ldflags=-linkmode=external -extldflags=-static",), "env": _CGO},
    "static-pie": {"flags": ("-buildmode=pie", "-ldflags=-linkmode=external -extldflags=-static-pie"), "env": _CGO},
    "race": {"flags": ("-race",), "env": _CGO},
}
STRIPPED_AFTER = "stripped-after"  # by binutils instead of by the linker


def patterns(scenario: str) -> list[str]:
    """What follows -u, once each."""
    return [f"main.{name}" for name in FUNCTIONS[scenario]]


def own_workload(folder: Path) -> Path:
    """Return a copy for recordings of every process: probes belong to the file, which tests run in parallel share."""
    return Path(shutil.copy(workload(), folder / "workload"))


def workload(version: str = DEFAULT, variant: str = "default") -> Path:
    """Build the program.

    Args:
        version: of the toolchain.
        variant: a key of `VARIANTS`, or `STRIPPED_AFTER`.
    """
    if variant == STRIPPED_AFTER:
        return strip(go_build(WORKLOAD, version=version))
    return go_build(WORKLOAD, version=version, **VARIANTS[variant])

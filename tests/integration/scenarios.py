"""Which functions each scenario of `tests/programs/workload` logs, as patterns for `record`."""

import shutil
from pathlib import Path

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
VARIANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "default": {},
    "unoptimised": {"flags": ("-gcflags=-N -l",)},
    "stripped": {"flags": ("-ldflags=-s -w",)},
    "pie": {"flags": ("-buildmode=pie",)},
}


def patterns(scenario: str) -> list[str]:
    """What follows -u, once each."""
    return [f"main.{name}" for name in FUNCTIONS[scenario]]


def own_workload(folder: Path) -> Path:
    """Return a copy for recordings of every process: probes belong to the file, which tests run in parallel share."""
    return Path(shutil.copy(workload(), folder / "workload"))


def workload(version: str = DEFAULT, variant: str = "default") -> Path:
    """Build the program; `stripped-after` is stripped by binutils instead of by the linker."""
    if variant == "stripped-after":
        return strip(go_build(WORKLOAD, version=version))
    return go_build(WORKLOAD, version=version, **VARIANTS[variant])

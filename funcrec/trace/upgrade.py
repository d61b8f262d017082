"""Older format versions: a chain of small steps, each from one version to the next.

The reader takes a body apart as the newest version has it; a file of version N passes each body through the steps
N -> N+1 -> ... first. Changing the format means: raise `records.VERSION`, add one step here, one entry in
`formats/CHANGELOG.md`, one golden trace; never touch the older ones.
"""

from collections.abc import Callable, Mapping
from typing import Any

from funcrec.errors import TraceError
from funcrec.trace.records import VERSION

# (record type, body of version N) -> body of version N + 1; the step may keep, change or replace the map.
Step = Callable[[int, dict[str, Any]], dict[str, Any]]

STEPS: Mapping[int, Step] = {}

# Features that a file may require of its readers, and that this one has.
KNOWN_FEATURES: frozenset[str] = frozenset()


def upgrade(
    kind: int, body: dict[str, Any], version: int, *, newest: int = VERSION, steps: Mapping[int, Step] = STEPS
) -> dict[str, Any]:
    """Bring a record body from `version` to the newest one.

    Args:
        kind: the record type.
        body: the msgpack map as it is in the file.
        version: of the file it comes from.
        newest, steps: the chain, for tests.
    """
    for step in range(version, newest):
        body = steps[step](kind, body)
    return body


def check_version(version: int, minor: int, where: str) -> None:
    """Refuse a file of a version that this reader does not know.

    Raises:
        TraceError: a newer version, or none at all.
    """
    if not 1 <= version <= VERSION:
        raise TraceError(
            f"{where} has trace format version {version}.{minor}, this funcrec reads versions 1 to {VERSION}",
            remedy="install a newer funcrec: pip install -U funcrec",
        )


def check_features(required: list[str], where: str) -> None:
    """Refuse a file that needs something of its readers that this one does not have.

    Raises:
        TraceError: an unknown required feature.
    """
    unknown = [name for name in required if name not in KNOWN_FEATURES]
    if unknown:
        raise TraceError(
            f"{where} needs {', '.join(unknown)!a} of its reader, which this funcrec does not have",
            remedy="install a newer funcrec: pip install -U funcrec",
        )

"""Build a demonstration program as `.cache/demo/NAME`: `python demo/build.py NAME`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.toolchain import CACHE, ROOT, go_build

# Name -> folder and flags of the build.
PROGRAMS: dict[str, tuple[str, list[str]]] = {
    "shop": ("shop", []),
    "packets-before": ("packets", []),
    "packets-after": ("packets", ["-tags=after"]),
}


def main(name: str) -> None:
    """Build it, or find it built."""
    folder, flags = PROGRAMS[name]
    target = CACHE / "demo" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(go_build(ROOT / "demo" / folder, flags=flags, name=name))


main(sys.argv[1])

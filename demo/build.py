"""Build the demonstration program as `.cache/demo/shop`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.toolchain import CACHE, ROOT, go_build

target = CACHE / "demo" / "shop"
target.parent.mkdir(parents=True, exist_ok=True)
target.unlink(missing_ok=True)
target.symlink_to(go_build(ROOT / "demo" / "shop"))

"""Builds guided by a profile: hot calls are inlined, or no longer made through interfaces and function values."""

import gzip
import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Recorder, funcrec
from tests.integration.scenarios import WORKLOAD, patterns, workload
from tests.toolchain import DEFAULT, go_environment, go_tool


@pytest.mark.slow
@pytest.mark.parametrize("version", [DEFAULT, "1.27.3"])
def test_a_build_guided_by_a_recording(record: Recorder, version: str, tmp_path: Path) -> None:
    first, profile, guided = tmp_path / "first.zst", tmp_path / "calls.pprof", tmp_path / "guided"
    launch = ("-o", first, workload(version), "--", "basics")
    funcrec("record", "-u", "main.*", *launch, env=os.environ | {"TRUTH": str(tmp_path / "first.log")})
    funcrec("export", first, "-o", profile)
    # The compiler takes counts by one name only; field 6 of a profile is a string.
    profile.write_bytes(
        gzip.compress(gzip.decompress(profile.read_bytes()).replace(b"\x32\x05calls", b"\x32\x07samples"))
    )
    build = [go_tool(version), "build", "-buildvcs=false", f"-pgo={profile}", "-gcflags=-m", "-o", guided, "."]
    done = subprocess.run(build, cwd=WORKLOAD, env=go_environment(version), capture_output=True, text=True, check=True)
    assert "PGO devirtualizing" in done.stderr
    trace = record(guided, patterns("basics"), launch_args=["basics"])
    # Calls of copies that were inlined are in the log, but have no code of their own.
    selected = [word for name in patterns("basics") for word in ("-u", name)]
    listed = json.loads(funcrec("list", *selected, guided, "--format", "json").stdout)
    whole = {row["name"] for row in listed["functions"] if not row["inlined_into"]}
    assert {"main.moveAny", "main.descend", "main.guard", "main.dive"} <= whole
    recorded = Counter((call["func"], call["state"]) for call in trace.calls if call["func"] in whole)
    logged = Counter((row["func"], row["state"]) for row in trace.truth if row["func"] in whole)
    assert recorded == logged
    assert trace.info["lost"] == 0

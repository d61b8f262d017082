"""Traces of later versions: minor ones are read as far as they are known, major ones refused, by every view."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from funcrec.errors import TraceError, UsageError
from funcrec.trace.framing import Prefix
from funcrec.trace.records import MINOR, VERSION, RecordType
from tests.conftest import funcrec
from tests.fuzz.anatomy import Anatomy, Part, put_together, take_apart
from tests.fuzz.corpus import GOLDEN
from tests.fuzz.targets import Target, targets

TRACES = [GOLDEN / "v1" / name for name in ("synthetic.zst", "values.zst")]
ROWS = ("processes", "losses")


def _later(trace: Path) -> Anatomy:
    """The same with what a later minor version may add anywhere: records, record versions, fields, columns of rows."""
    anatomy = take_apart(trace.read_bytes())
    for part in anatomy.parts:
        if isinstance(part.body, dict) and part.prefix.type != RecordType.INDEX:
            part.body = {name: _longer(name, value) for name, value in part.body.items()} | {"later": [1, {"x": None}]}
            part.packed = None
    nothing = {name: 0 for name in Prefix.__dataclass_fields__}
    for changes in ({"type": 77, "version": 1}, {"type": RecordType.LOST, "version": 2}):
        anatomy.parts.insert(-1, Part(Prefix(**(nothing | changes)), {"record": "later", "n": 3}))
    return anatomy


def _longer(name: str, value: Any) -> Any:
    if name in ROWS:
        return [[*row, "later"] for row in value]
    if isinstance(value, dict) and isinstance(value.get("rows"), list):
        return value | {"rows": [[*row, "later"] if isinstance(row, list) else row for row in value["rows"]]}
    return value


def _output(target: Target, path: Path) -> bytes | str:
    try:
        return target.run(str(path))
    except UsageError as error:  # it has no values, for one
        return str(error)


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.stem)
def test_a_later_minor_version_is_read(tmp_path: Path, trace: Path) -> None:
    anatomy = _later(trace)
    anatomy.head = replace(anatomy.head, minor=MINOR + 7)
    path = tmp_path / "trace.zst"  # which views print
    views = [target for target in targets() if target.command != "info"]
    path.write_bytes(trace.read_bytes())
    now = [_output(target, path) for target in views]
    path.write_bytes(put_together(anatomy))
    for target, output in zip(views, now, strict=True):
        assert _output(target, path) == output, target.name
    told = funcrec("info", path)
    assert f"format {VERSION}.{MINOR + 7}" in told.stdout
    for kind in ("1 record of type 77, version 1", "1 record of type 5, version 2"):
        assert kind in told.stdout
        assert kind in told.stderr


def test_a_later_version_is_named_and_refused_by_all(tmp_path: Path) -> None:
    anatomy = take_apart(TRACES[0].read_bytes())
    anatomy.head = replace(anatomy.head, version=VERSION + 1)
    path = tmp_path / "trace.zst"
    path.write_bytes(put_together(anatomy))
    for target in targets():
        with pytest.raises(TraceError, match=rf"version {VERSION + 1}\.0") as refusal:
            target.run(str(path))
        assert refusal.value.remedy, target.name
    done = funcrec("stat", path, check=False)
    assert done.returncode == 5
    assert "  try: " in done.stderr
    assert not done.stdout


def test_check_walks_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.zst"
    path.write_bytes(TRACES[0].read_bytes())
    assert funcrec("info", path, "--check").returncode == 0
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert funcrec("info", path, "--check", check=False).returncode == 5

import os
import stat

import pytest

from funcrec.errors import FuncrecError, UsageError
from funcrec.report.export.formats import ExportFormat, format_of
from funcrec.report.export.output import opened


def write(out, pieces):
    with opened(out) as file:
        for piece in pieces:
            file.write(piece)


def test_a_new_file_is_private(tmp_path):
    path = tmp_path / "out"
    write(str(path), [b"ab", b"c"])
    assert path.read_bytes() == b"abc"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["out"]


def test_an_existing_file_is_replaced_whole_and_keeps_its_mode(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with path.open("rb") as reader:
        write(str(path), [b"new"])
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def pieces():
        yield b"half"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(str(path), pieces())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("target_exists", [True, False])
def test_a_link_is_not_followed(tmp_path, target_exists):
    target, link = tmp_path / "target", tmp_path / "link"
    if target_exists:
        target.write_bytes(b"precious")
    link.symlink_to(target)
    with pytest.raises(UsageError):
        write(str(link), [b"x"])
    assert target.exists() == target_exists
    assert not target_exists or target.read_bytes() == b"precious"


def test_devices_and_pipes_are_written_to():
    write("/dev/null", [b"x"])
    read_end, write_end = os.pipe()
    write(f"/dev/fd/{write_end}", [b"through"])
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read() == b"through"


def test_folders_and_missing_folders_are_errors(tmp_path):
    with pytest.raises(UsageError):
        write(str(tmp_path), [b"x"])
    with pytest.raises(FuncrecError, match="No such file"):
        write(str(tmp_path / "none" / "out"), [b"x"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.json", "chrome"),
        ("a.speedscope.json", "speedscope"),
        ("a.perfetto-trace", "perfetto"),
        ("a.pftrace", "perfetto"),
        ("a.pb.gz", "pprof"),
        ("A.HTML", "html"),
        ("b.jsonl", "jsonl"),
    ],
)
def test_the_suffix_tells_the_format(name, expected):
    assert format_of(name, None) == expected


def test_a_format_asked_for_wins_and_an_unknown_suffix_is_an_error():
    assert format_of("a.json", ExportFormat.CSV) == "csv"
    with pytest.raises(UsageError, match="does not say"):
        format_of("-", None)

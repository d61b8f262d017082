"""Recording as an ordinary user who has been given two capabilities."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import truth
from tests.conftest import FUNCREC, LIMIT_S, funcrec
from tests.integration.scenarios import patterns, workload

USER = 65534
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can give capabilities away"
)


def as_user(*capabilities: str) -> list[str]:
    """The prefix of a command for an ordinary user with some capabilities."""
    given = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    ids = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return ["setpriv", *ids, f"--inh-caps={given}", f"--ambient-caps={given}", f"--bounding-set={given}"]


@pytest.fixture
def folder(require_bpf: None) -> Iterator[Path]:
    """A folder of the user's, with the program; pytest's own cannot be entered by others."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        os.chown(path, USER, USER)
        path.chmod(0o755)
        shutil.copy(workload(), path / "workload")
        probe = [*as_user(), "test", "-x", str(FUNCREC), "-a", "-r", str(FUNCREC.parent.parent / "pyvenv.cfg")]
        if subprocess.run(probe).returncode != 0:
            pytest.skip("an ordinary user cannot enter the folder of funcrec")
        yield path


def test_two_capabilities_are_enough(folder: Path) -> None:
    """To start a program and record it; the trace is the user's."""
    trace, log = folder / "trace.zst", folder / "truth"
    which = [part for pattern in patterns("panics") for part in ("-u", pattern)]
    done = funcrec(
        *("record", *which, folder / "workload", "-o", trace, "--", "panics"),
        prefix=as_user("bpf", "perfmon"),
        env=os.environ | {"TRUTH": str(log)},
        cwd=folder,
    )
    assert "0 lost" in done.stderr
    assert (trace.stat().st_uid, trace.stat().st_mode & 0o777) == (USER, 0o600)
    printed = funcrec("report", trace, "--format", "jsonl").stdout
    assert printed.count("\n") == len(truth.read_truth(log))


def test_a_process_of_ones_own(folder: Path) -> None:
    """Whoever may trace a process may look it up in /proc: nothing more is needed for one's own."""
    program = subprocess.Popen(
        [*as_user(), folder / "workload", "attach"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TRUTH": str(folder / "truth")},
    )
    assert program.stdout is not None
    assert program.stdin is not None
    assert program.stdout.readline() == "ready\n"
    which = [part for pattern in patterns("attach") for part in ("-u", pattern)]
    command = [FUNCREC, "record", *which, folder / "workload", "-p", str(program.pid), "-o", folder / "trace.zst"]
    recorder = subprocess.Popen([*as_user("bpf", "perfmon"), *command], stderr=subprocess.PIPE, text=True, cwd=folder)
    assert recorder.stderr is not None
    said = ""
    while "funcrec: recording " not in said:
        line = recorder.stderr.readline()
        assert line, said
        said += line
    program.communicate("go\n", timeout=LIMIT_S)
    said += recorder.communicate(timeout=LIMIT_S)[1]
    assert recorder.returncode == 0, said
    rows = [row for row in truth.read_truth(folder / "truth") if row["func"] != "main.held"]
    assert funcrec("report", folder / "trace.zst", "--format", "jsonl").stdout.count("\n") == len(rows)


@pytest.mark.parametrize("given", [(), ("bpf",), ("perfmon",)])
def test_with_less_it_says_what_is_missing(folder: Path, given: tuple[str, ...]) -> None:
    command = ("record", "-u", "main.descend", folder / "workload", "--", "recursion")
    done = funcrec(*command, prefix=as_user(*given), check=False, cwd=folder)
    assert done.returncode == 3, done.stderr
    assert "CAP_BPF and CAP_PERFMON" in done.stderr
    assert "Traceback" not in done.stderr
    doctor = funcrec("doctor", prefix=as_user(*given), check=False, cwd=folder)
    assert doctor.returncode == 3
    missing = {"bpf", "perfmon"} - set(given)
    for name in missing:
        assert f"CAP_{name.upper()}" in doctor.stdout
    assert "setcap cap_bpf,cap_perfmon" in doctor.stdout or "setpriv" in doctor.stdout


def test_doctor_with_both(folder: Path) -> None:
    done = funcrec("doctor", prefix=as_user("bpf", "perfmon"), check=False, cwd=folder)
    assert done.returncode == 0, done.stdout
    assert f"uid {USER} with CAP_BPF, CAP_PERFMON" in done.stdout
    assert "uprobe_multi" in done.stdout

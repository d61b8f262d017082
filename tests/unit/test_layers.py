"""The walls of the house: what each street may not need, and an installation away from the sources."""

import ast
import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Collection
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.golden.synthetic import write_synthetic
from tests.toolchain import ROOT, go_build

PACKAGE = ROOT / "funcrec"
GOLDEN = ROOT / "formats" / "golden"

# Runs the command line with some modules blocked, as on a machine that does not have them.
_BLOCKED = """
import sys
import asyncio, concurrent.futures.process, getpass, shutil, subprocess, tempfile  # have Windows variants of their own
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r} or name in {blocked!r}:
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Blocker())
import os, signal
for name in {missing!r}:
    for module in (os, signal):
        vars(module).pop(name, None)
from funcrec.cli import run
sys.exit(run(sys.argv[1:]))
"""
# What Windows does not have.
LINUX_ONLY = {"fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "posix", "syslog", "readline", "curses"}
NOT_ON_WINDOWS = {
    *("fork", "geteuid", "getuid", "getgid", "getegid", "sched_getaffinity", "mkfifo", "chown", "fchown"),
    *("killpg", "getpgid", "setsid", "statvfs", "WNOHANG", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY"),
    *("SIGPIPE", "SIGHUP", "SIGCHLD", "SIGWINCH", "SIGUSR1", "pthread_sigmask", "sigtimedwait", "sigwait", "alarm"),
}

# layer -> other layers of ours that it may import; `commands` may import its own layer, inside functions.
ALLOWED = {
    "lang": {"errors", "units"},
    "target": {"errors", "units", "lang"},
    "plan": {"errors", "units", "lang", "target", "collection"},
    "trace": {"errors", "units", "lang", "resources", "ahead"},
    "record": {"errors", "units", "lang", "resources", "plan", "target", "trace"},
    "report": {"errors", "units", "lang", "trace", "collection", "ahead"},
}
FOREIGN = {"elftools": {"target"}, "iced_x86": {"target"}, "bcc": {"record"}}


def _imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names.add(node.module or "")
            if node.module == "funcrec":
                names |= {f"funcrec.{alias.name}" for alias in node.names}
    return names


def _layer(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_layer_imports_only_what_it_may(file: Path) -> None:
    layer, imported = _layer(file), _imports(file)
    for foreign, users in FOREIGN.items():
        if any(name.partition(".")[0] == foreign for name in imported):
            assert layer in users, f"{foreign} belongs to {users}"
    if layer not in ALLOWED:
        return
    ours = {name.split(".")[1] for name in imported if name.startswith("funcrec.") and name != "funcrec.__version__"}
    assert ours <= ALLOWED[layer] | {layer}


def test_no_import_goes_round_in_a_circle() -> None:
    """Neither those at the top of a file, nor those inside functions, nor those for types alone."""
    files = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in PACKAGE.rglob("*.py")}
    graph = {name: (_modules(file) & files.keys()) - {name} for name, file in files.items()}
    assert sum(map(len, graph.values())) > len(files)
    TopologicalSorter(graph).prepare()  # raises, and names the circle


def _modules(file: Path) -> set[str]:
    """What is imported, and what may be a module in it."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return _imports(file) | {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A trace made now, and every golden one."""
    made = tmp_path_factory.mktemp("made") / "synthetic.zst"
    with made.open("wb") as file:
        write_synthetic(file)
    return [made, *sorted(GOLDEN.glob("v*/*.zst"))]


def _run_blocked(
    blocked: set[str], *arguments: str | Path, missing: Collection[str] = (), stdin: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _BLOCKED.format(blocked=blocked, missing=missing), *map(str, arguments)]
    if stdin is None:
        return subprocess.run(command, capture_output=True, text=True, timeout=120)
    with subprocess.Popen(["cat", stdin], stdout=subprocess.PIPE) as cat:  # a pipe, which nobody can seek in
        return subprocess.run(command, stdin=cat.stdout, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("view", ["report", "stat", "hist", "graph", "goroutines", "info", "diff"])
def test_a_trace_comes_from_a_pipe(traces: list[Path], view: str) -> None:
    others = [traces[0]] if view == "diff" else []
    piped = _run_blocked(set(), view, *others, "-", stdin=traces[0])
    named = _run_blocked(set(), view, *others, traces[0])
    assert (piped.returncode, named.returncode) == (0, 0), piped.stderr
    assert piped.stdout.splitlines()[4:] == named.stdout.splitlines()[4:]
    assert piped.stdout


def test_a_cluster_gets_no_pipe(traces: list[Path]) -> None:
    done = _run_blocked(set(), "stat", "-", "--cluster", "tcp://127.0.0.1:1", stdin=traces[0])
    assert done.returncode == 2
    assert "standard input" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["report"],
        ["report", "--format", "jsonl"],
        ["stat"],
        ["hist"],
        ["graph"],
        ["goroutines"],
        ["info"],
        ["export", "-o", "-", "--format", "chrome"],
    ],
    ids=" ".join,
)
def test_reports_work_without_what_only_linux_has(traces: list[Path], words: list[str]) -> None:
    for trace in traces[:2]:
        done = _run_blocked(LINUX_ONLY, words[0], trace, *words[1:], missing=NOT_ON_WINDOWS)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_several_traces_work_without_what_only_linux_has(traces: list[Path]) -> None:
    done = _run_blocked(LINUX_ONLY, "diff", traces[0], traces[0], missing=NOT_ON_WINDOWS - {"fork", "WNOHANG"})
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", ["macosx_13_0_arm64", "macosx_13_0_x86_64", "win_amd64"])
def test_dependencies_are_wheels_everywhere(tmp_path: Path, platform: str, python: str) -> None:
    """No compiler is needed: every dependency has a binary wheel, and what these need has too."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        dependencies = tomllib.load(file)["project"]["dependencies"]
    machine = {"macosx_13_0_arm64": "arm64", "macosx_13_0_x86_64": "x86_64", "win_amd64": "AMD64"}[platform]
    environment = {"platform_machine": machine}
    wanted = [Requirement(text) for text in dependencies]
    needed = [
        f"{each.name}{each.specifier}" for each in wanted if each.marker is None or each.marker.evaluate(environment)
    ]
    assert len(needed) >= 5
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--no-deps"]
    pip += ["--platform", platform, "--python-version", python, "--dest", tmp_path]
    done = subprocess.run([*pip, *needed], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.whl"))) == len(needed)


def test_report_needs_nothing_of_the_live_side(traces: list[Path]) -> None:
    blocked = {"bcc", "elftools", "iced_x86", "funcrec.record", "funcrec.target"}
    for words in (["report"], ["report", "--format", "jsonl"], ["stat"], ["info"]):
        done = _run_blocked(blocked, words[0], traces[0], *words[1:])
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_list_needs_neither_bcc_nor_the_live_side(tmp_path: Path) -> None:
    binary = go_build(ROOT / "tests" / "programs" / "workload")
    done = _run_blocked({"bcc", "funcrec.record"}, "list", "-u", "main.descend", binary)
    assert done.returncode == 0, done.stderr
    assert "main.descend" in done.stdout


def test_help_loads_nothing_heavy() -> None:
    blocked = {"bcc", "elftools", "iced_x86", "numpy", "msgpack", "zstandard"}
    done = _run_blocked(blocked, "--help")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel in an environment of its own: only the dependencies are shared, not the sources."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    shared = Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (folder / "dependencies").mkdir()
    for entry in shared.iterdir():
        if "funcrec" not in entry.name:  # neither the package nor the pointer of the editable install
            (folder / "dependencies" / entry.name).symlink_to(entry)
    (Path(site) / "dependencies.pth").write_text(f"{folder / 'dependencies'}\n")
    return folder


def _run_installed(installed: Path, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment, out of reach of the sources."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [installed / "venv" / "bin" / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=installed, env=environment, timeout=120)


def test_the_wheel_works_away_from_the_sources(installed: Path, traces: list[Path]) -> None:
    found = _run_installed(installed, "python", "-c", "import funcrec; print(funcrec.__file__)").stdout
    assert found.startswith(str(installed))
    binary = go_build(ROOT / "tests" / "programs" / "workload")
    listed = _run_installed(installed, "funcrec", "list", "-u", "main.descend", binary)
    assert listed.returncode == 0, listed.stderr
    assert "main.descend" in listed.stdout
    for trace in traces:
        shown = _run_installed(installed, "funcrec", "report", trace)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout


def test_the_wheel_has_its_data_files(installed: Path) -> None:
    script = "from funcrec.resources import data_path as d; print(d('bpf'), d('formats/trace.md'))"
    found = _run_installed(installed, "python", "-c", script).stdout.split()
    assert len(found) == 2
    assert all(path.startswith(str(installed)) for path in found)

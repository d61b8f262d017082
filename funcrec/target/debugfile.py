"""Where the debug information of an executable is: in it, in a file beside it, or on a server; told by build id.

The places are those of gdb: a file that is named, the executable, /usr/lib/debug/.build-id, the names that
.gnu_debuglink gives, and the servers of DEBUGINFOD_URLS.
"""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from funcrec.errors import TargetError
from funcrec.target.elf import ElfFile

DEBUG_ROOT = Path("/usr/lib/debug")
URLS, CACHE, TIMEOUT = "DEBUGINFOD_URLS", "DEBUGINFOD_CACHE_PATH", "DEBUGINFOD_TIMEOUT"  # debuginfod(8)
_TIMEOUT_S = 30.0
_MOST_BYTES = 4 << 30
_CHUNK_BYTES = 1 << 20


def build_ids(elf: ElfFile) -> tuple[str, str]:
    """The GNU and the Go build id of a file, "" for one that it does not have."""
    gnu, go = elf.note(b"GNU\0", 3), elf.note(b"Go\0\0", 4)
    return gnu.hex() if gnu else "", go.rstrip(b"\0").decode("utf-8", "replace") if go else ""


def debug_file(elf: ElfFile, named: str | None = None) -> str:
    """Path of the file that has an executable's debug information; its own when there is none anywhere.

    Args:
        elf: the executable.
        named: the file that was asked for; None: look for one.

    Raises:
        TargetError: the file that was asked for is of another build, or has none.
    """
    if named is not None:
        return _named(elf, named)
    if _has_debug(elf):
        return elf.path
    gnu, _ = build_ids(elf)
    for candidate in _beside(elf, gnu):
        if candidate.is_file() and _fits(elf, str(candidate)):
            return str(candidate)
    fetched = _fetched(elf, gnu) if gnu else None
    return fetched or elf.path


def _named(elf: ElfFile, named: str) -> str:
    other = ElfFile(named)
    if not _same_build(elf, other):
        raise TargetError(
            f"{named} is of another build than {elf.path}",
            remedy="give the debug file, or the unstripped twin, of this very build: readelf -n shows the build ids",
        )
    if not _has_debug(other):
        raise TargetError(f"{named} has no debug information", remedy="give the file that was not stripped")
    return named


def _has_debug(elf: ElfFile) -> bool:
    section = elf.sections.get(".debug_info")
    return section is not None and section.size > 0


def _same_build(one: ElfFile, other: ElfFile) -> bool:
    """By the GNU build id, or where both have none by Go's."""
    gnu, go = build_ids(one)
    other_gnu, other_go = build_ids(other)
    return gnu == other_gnu if gnu or other_gnu else bool(go) and go == other_go


def _fits(elf: ElfFile, path: str) -> bool:
    with suppress(TargetError):
        other = ElfFile(path)
        return _same_build(elf, other) and _has_debug(other)
    return False


def _beside(elf: ElfFile, gnu: str) -> Iterator[Path]:
    if len(gnu) > 2:
        yield DEBUG_ROOT / ".build-id" / gnu[:2] / f"{gnu[2:]}.debug"
    section = elf.sections.get(".gnu_debuglink")
    if section is None:
        return
    name = bytes(elf.slice(section.offset, section.size)).partition(b"\0")[0]
    if not name or b"/" in name:
        return
    folder = Path(os.path.realpath(elf.path)).parent
    for place in (folder, folder / ".debug", DEBUG_ROOT / str(folder).lstrip("/")):
        yield place / os.fsdecode(name)


def _fetched(elf: ElfFile, gnu: str) -> str | None:
    """From the cache, else from the servers in their order; what does not fit is thrown away."""
    urls = [url for url in os.environ.get(URLS, "").split() if url.startswith(("http://", "https://"))]
    if not urls:
        return None
    kept = _cache() / gnu / "debuginfo"
    if kept.is_file() and _fits(elf, str(kept)):
        return str(kept)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for url in urls:
            if _fetch(f"{url.rstrip('/')}/buildid/{gnu}/debuginfo", elf, kept):
                return str(kept)
    return None


def _cache() -> Path:
    """Where debuginfod's other clients keep their files, of the user who we really are."""
    named = os.environ.get(CACHE)
    return Path(named) if named else Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".cache" / "debuginfod_client"


def _fetch(url: str, elf: ElfFile, kept: Path) -> bool:
    import urllib.error  # late: with TLS it takes 8 MB, and few ask a server
    import urllib.request

    descriptor, partial = tempfile.mkstemp(dir=kept.parent, prefix=".debuginfo-")
    try:
        with os.fdopen(descriptor, "wb") as file, urllib.request.urlopen(url, timeout=_timeout()) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            if size > min(_MOST_BYTES, shutil.disk_usage(kept.parent).free):
                return False
            written = 0
            while chunk := answer.read(_CHUNK_BYTES):
                written += len(chunk)
                if written > _MOST_BYTES:
                    return False
                file.write(chunk)
        if not _fits(elf, partial):
            return False
        os.replace(partial, kept)
        return True
    except (OSError, ValueError, urllib.error.URLError):
        return False  # this server has none, or does not answer: the next one may
    finally:
        with suppress(FileNotFoundError):
            os.unlink(partial)


def _timeout() -> float:
    with suppress(ValueError):
        return max(float(os.environ.get(TIMEOUT, _TIMEOUT_S)), 1.0)
    return _TIMEOUT_S

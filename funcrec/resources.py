"""Find the data folders (`bpf`, `formats`) beside a checkout or inside an installed wheel."""

from pathlib import Path


def data_path(name: str) -> Path:
    """Return the path of a data file or folder, such as `bpf` or `formats/trace.md`.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    for base in (package / "_data", package.parent):
        if (base / name).exists():
            return base / name
    raise FileNotFoundError(f"funcrec's own file {name} is missing beside {package}")

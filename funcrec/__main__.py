"""The `funcrec` command: quiet about Ctrl-C from its first moments, while most of it is still being loaded."""

import sys


def main() -> None:
    """Entry point of the command."""
    try:
        from funcrec.cli import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

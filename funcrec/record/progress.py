"""What the person at the terminal sees while and after recording; stderr only."""

import sys
import time
from pathlib import Path

from funcrec.lang.printable import printable
from funcrec.units import format_count, format_size

_FIRST_S = 1.0
_EVERY_S = 0.5


class Progress:
    """A line that rewrites itself on a terminal, and the closing lines.

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._live = sys.stderr.isatty() and not quiet
        self._quiet = quiet
        self._due = time.monotonic() + _FIRST_S
        self._last = (time.monotonic(), 0)
        self._shown = False

    def update(self, events: int, lost: int, written: int) -> None:
        """Show the state, at most twice a second."""
        now = time.monotonic()
        if not self._live or now < self._due:
            return
        then, before = self._last
        rate = (events - before) / max(now - then, 1e-9)
        self._last, self._due, self._shown = (now, events), now + _EVERY_S, True
        line = (
            f"{format_count(int(rate))} events/s, {format_count(events)} events, "
            f"{format_count(lost)} lost, {format_size(written)}"
        )
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Print lines of their own; names in them come from the traced binary and are made harmless."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr)
            self._shown = False
        if not self._quiet:
            print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)

    def closing(self, output: Path, *, calls: int, events: int, lost: int, written: int) -> None:
        """Say what was recorded and what to type next."""
        self.say(
            f"funcrec: {format_count(calls)} calls ({format_count(events)} events), {format_count(lost)} lost, "
            f"{format_size(written)} in {output}\n  next: funcrec report {output}"
        )

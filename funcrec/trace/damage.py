"""What of a trace cannot be read: told in one line, however much it is."""


class Damage:
    """Places found so far."""

    def __init__(self) -> None:
        self._places: dict[int, str] = {}

    def add(self, offset: int, what: str) -> bool:
        """Note what is wrong at a byte offset; False when the place was known already."""
        if offset in self._places:
            return False
        self._places[offset] = what
        return True

    def describe(self) -> str | None:
        """The first place and how many more there are; None when there are none."""
        if not self._places:
            return None
        offset = min(self._places)
        more = len(self._places) - 1
        rest = f", and {more} more damaged place{'s' if more > 1 else ''}" if more else ""
        return f"at byte {offset} {self._places[offset]}{rest}"

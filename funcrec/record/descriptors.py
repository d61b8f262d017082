"""A link that is nothing but file descriptors."""

import os


class Descriptor:
    """Owns descriptors: closed together, in order.

    Args:
        numbers: open descriptors.
    """

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)

    def close(self) -> None:
        """Close them; safe to call twice."""
        while self._numbers:
            os.close(self._numbers.pop(0))

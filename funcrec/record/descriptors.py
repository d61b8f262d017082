"""A link that is nothing but file descriptors."""

import contextlib
import os
import resource


class Descriptor:
    """Owns descriptors: closed together, in order.

    Args:
        numbers: open descriptors.
    """

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)

    def disarm(self) -> None:
        """See `Link.disarm`: there is nothing else."""
        self.close()

    def close(self) -> None:
        """Close them; safe to call twice."""
        while self._numbers:
            os.close(self._numbers.pop(0))


def make_room() -> None:
    """Allow as many descriptors as this process may ever have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

"""A link that is nothing but file descriptors."""

import os
from collections.abc import Iterable

from funcrec.errors import FuncrecError


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


def hold_all(made: Iterable[Descriptor]) -> list[Descriptor]:
    """All links of some that are made one by one, or none.

    Raises:
        FuncrecError: one could not be made; those before it are closed, the last first.
    """
    links: list[Descriptor] = []
    try:
        for link in made:
            links.append(link)
    except FuncrecError:
        while links:
            links.pop().close()
        raise
    return links

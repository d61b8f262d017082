"""A process that was to be probed has ended."""

from funcrec.errors import FuncrecError


class EndedError(FuncrecError):
    """A process that was to be probed is no longer there.

    Args:
        pid: its number.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(f"process {pid} ended before the probes were in place", remedy="start it again and retry")
        self.pid = pid

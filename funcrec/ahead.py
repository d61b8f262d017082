"""Work that goes ahead on another thread: worth it where it lets go of the interpreter, as numpy and zstd do."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

_FEW = 4  # so little work begins no thread


def mapped_ahead(function: Callable[[Given], Made], arguments: Sequence[Given], depth: int = 4) -> Iterator[Made]:
    """Yield what `map` does; up to `depth` results are made before they are asked for.

    What the function raises is raised where its result would be.
    """
    return map(function, arguments) if len(arguments) <= _FEW else _ahead(function, arguments, depth)


def made_ahead(items: Iterator[Made]) -> Iterator[Made]:
    """Yield items, each made while the one before it is used."""
    end = object()
    for item in _ahead(lambda _: next(items, end), repeat(None), 1):
        if item is end:
            return
        yield item  # type: ignore[misc]  # not the end
        del item  # while the next is waited for


def _ahead(function: Callable[[Given], Made], arguments: Iterable[Given], depth: int) -> Iterator[Made]:
    from concurrent.futures import Future, ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    pending: deque[Future[Made]] = deque()
    try:
        for each in arguments:
            pending.append(pool.submit(function, each))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

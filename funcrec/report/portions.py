"""Events of a trace window by window: all of it or a portion, behind the frames that are open when it begins."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from funcrec.report.letgo import NEVER
from funcrec.report.streams import Index, read_blocks
from funcrec.trace.records import EventColumns

if TYPE_CHECKING:
    from funcrec.report.recording import Recording

FIRST = 1 << 16  # events of the first window, which somebody waits for
_COLUMNS = tuple(EventColumns.__dataclass_fields__)

Part = tuple[EventColumns, Index]  # events and their numbers


@dataclass(frozen=True)
class Carried:
    """k frames that are open between two windows, by id.

    Attributes:
        entries: their entry events. number: i64, of these. image: i64, program of the process. ids: i64.
        callees_ns: i64, time in direct callees so far. called: bool, whether there were any.
    """

    entries: EventColumns
    number: Index
    image: Index
    ids: Index
    callees_ns: Index
    called: NDArray[np.bool_]

    @classmethod
    def none(cls) -> "Carried":
        """Nothing is open."""
        entries = EventColumns(**{name: np.empty(0, _dtype(name)) for name in _COLUMNS})
        return cls.of(entries, np.empty(0, np.int64))

    @classmethod
    def of(cls, entries: EventColumns, number: Index) -> "Carried":
        """Frames of which nothing else is known."""
        nothing = np.zeros(len(number), np.int64)
        return cls(entries, number, nothing, nothing, nothing, np.zeros(len(number), np.bool_))

    def __len__(self) -> int:
        return len(self.number)


def _dtype(name: str) -> type:
    return {"time_ns": np.int64, "goid": np.uint64, "stack": np.uint64}.get(name, np.uint32)


@dataclass(frozen=True)
class Portion:
    """Some of the events of a trace, and what is open when they begin.

    Attributes:
        blocks: numbers of the blocks they are in, ascending.
        carried: frames that are open before.
        to_end: what is open after them stays open.
        choose: says of a block (number and events) which events belong to it; None: all.
        first: the first window has no more than about so many events.
    """

    blocks: Sequence[int]
    carried: Carried
    to_end: bool
    choose: "Callable[[int, EventColumns], NDArray[np.bool_]] | None" = None
    first: int = 1 << 62

    @classmethod
    def all_of(cls, trace: "Recording") -> "Portion":
        """The whole trace."""
        return cls(range(len(trace.reader.blocks)), Carried.none(), to_end=True, first=FIRST)

    def read(self, trace: "Recording") -> Iterator[Part]:
        """Yield the events of each block.

        Raises:
            TraceError: a block cannot be read.
        """
        for number, events in zip(self.blocks, read_blocks(trace, self.blocks), strict=True):
            # Where earlier blocks turned out to be damaged, this one's events have other numbers than before.
            first = trace.reader.blocks[number].first_event
            numbers = np.arange(first, first + len(events))
            if self.choose is None:
                yield events, numbers
                continue
            chosen = np.flatnonzero(self.choose(number, events))
            yield events.take(chosen), numbers[chosen]


def stretches(trace: "Recording", size: int, portion: Portion | None = None) -> Iterator[tuple[list[Part], int]]:
    """Yield the events of each window, and the time before which they all are; at the end NEVER.

    Raises:
        TraceError: a block cannot be read.
    """
    portion = Portion.all_of(trace) if portion is None else portion
    begins = np.array([trace.reader.blocks[number].t_min for number in portion.blocks], dtype=np.int64)
    # Before this time nothing comes any more, once a block has been read.
    horizon = np.append(np.minimum.accumulate(begins[::-1])[::-1][1:], NEVER)
    held: list[Part] = []
    n, wanted = 0, min(size, portion.first)
    for at, part in enumerate(portion.read(trace)):
        held.append(part)
        n += len(part[1])
        if n >= wanted and at < len(begins) - 1:
            ready, held = _split(held, int(horizon[at]))
            n, wanted = sum(len(number) for _, number in held), size
            yield ready, int(horizon[at])
    yield held, NEVER


def _split(parts: list[Part], time_ns: int) -> tuple[list[Part], list[Part]]:
    """What is before a time, and what is not."""
    sides: tuple[list[Part], list[Part]] = ([], [])
    for events, number in parts:
        early = events.time_ns < time_ns
        if early.all():
            sides[0].append((events, number))
            continue
        for side, mask in zip(sides, (early, ~early), strict=True):
            side.append((events.take(np.flatnonzero(mask)), number[mask]))
    return sides

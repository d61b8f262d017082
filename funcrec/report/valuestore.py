"""The captures of a trace, block by block: decoded one by one for showing, or many at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from funcrec.report.capturememory import Captures
from funcrec.report.valuecells import Cells, fixed, grouped
from funcrec.report.valuejson import JsonRenderer
from funcrec.trace.values import Decoder

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

Json = Any
Values = tuple[dict[str, Json], dict[str, Json]]
# Arguments and results: which rows, and their values as a JSON object each; rows in none of them have none.
Sides = tuple[list[tuple[NDArray[np.int64], Cells]], list[tuple[NDArray[np.int64], Cells]]]

_LOST = {"$error": "lost"}
_SMALL_BYTES = 1 << 22  # of the captures of blocks that are looked at together


@dataclass(frozen=True, slots=True)
class BlockCaptures:
    """Captures of a block of events, or of some that follow one another.

    Attributes:
        first: number of the first event in the trace.
        sites: u32[n], of each event.
        capture: i64[n], number of each event's capture, -1 none.
        plan: i64[k], of each capture.
        start, length: i64[k], where the blob lies in `words`, in bytes.
        words: zeros follow the captures of each block.
    """

    first: int
    sites: NDArray[np.uint32]
    capture: NDArray[np.int64]
    plan: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    words: NDArray[np.uint64]

    @property
    def end(self) -> int:
        """Number of the event behind the last one."""
        return self.first + len(self.sites)


def _joined(blocks: Sequence[BlockCaptures]) -> BlockCaptures:
    """Blocks that follow one another as one."""
    if len(blocks) == 1:
        return blocks[0]
    captures = np.cumsum([0, *(len(block.start) for block in blocks)]).tolist()
    begins = np.cumsum([0, *(block.words.nbytes for block in blocks)]).tolist()
    numbers = [np.where(block.capture < 0, -1, block.capture + at) for block, at in zip(blocks, captures, strict=False)]
    return BlockCaptures(
        blocks[0].first,
        np.concatenate([block.sites for block in blocks]),
        np.concatenate(numbers),
        np.concatenate([block.plan for block in blocks]),
        np.concatenate([block.start + at for block, at in zip(blocks, begins, strict=False)]),
        np.concatenate([block.length for block in blocks]),
        np.concatenate([block.words for block in blocks]),
    )


class Store:
    """The captures of a trace, block by block.

    Attributes:
        decoder: of the captures.
        events: number of events of the trace.
        reads: how many blocks were read, each time counted.
    """

    def __init__(self, trace: "Trace") -> None:
        reader = trace.reader
        self._reader = reader
        self.decoder = Decoder(reader.types, reader.plans, {each.address: each.name for each in reader.code})
        self._renderer = JsonRenderer(self.decoder)
        blocks = list(reader.blocks)
        self._first = np.array([block.first_event for block in blocks], dtype=np.int64)
        self.events = int(blocks[-1].first_event + blocks[-1].n) if blocks else 0
        self._plan_of_site = np.full(max(len(trace.sites), 1), -1, dtype=np.int64)
        for site, plan in self.decoder.plan_of_site.items():
            if site < len(self._plan_of_site):
                self._plan_of_site[site] = plan
        self._block = lru_cache(maxsize=4)(self._read)
        self.reads = 0

    def around(self, events: NDArray[np.int64]) -> Iterator[BlockCaptures]:
        """The blocks that some events are in, in order, small ones joined."""
        return self._together(self._touched(events))

    def _read(self, number: int) -> BlockCaptures:
        self.reads += 1
        values, sites = self._reader.values(number), self._reader.event_sites(number)
        length = np.zeros(0, np.int64) if values is None else values.length.astype(np.int64)
        event = length if values is None else values.event.astype(np.int64)
        data = np.frombuffer(b"" if values is None else values.data, dtype=np.uint8)
        start = np.cumsum(length) - length
        # Vectors want blobs at whole words: they are written so; anything else is not ours.
        inside = (event < len(sites)) & (start % 8 == 0) & (start + length <= len(data))
        event, start, length = event[inside], start[inside], length[inside]
        words = np.zeros(len(data) // 8 + 2, dtype=np.uint64)
        words.view(np.uint8)[: len(data)] = data
        capture = np.full(len(sites), -1)
        capture[event] = np.arange(len(event))  # of several the last
        first = int(self._first[number])
        return BlockCaptures(first, sites, capture, self._plans(sites[event]), start, length, words)

    def _plans(self, sites: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The plans of some sites, -1 none."""
        return self._plan_of_site.take(np.minimum(sites, len(self._plan_of_site) - 1))

    def decode(self, events: NDArray[np.int64]) -> dict[int, Values]:
        """Values of the captures of some events (ascending numbers); lost ones say so."""
        out: dict[int, Values] = {}
        for number in self._touched(events):
            block = self._block(number)
            data = block.words.view(np.uint8)
            mine = events[(events >= block.first) & (events < block.end)]
            local = mine - block.first
            found = (each.tolist() for each in (mine, block.sites[local], block.capture[local]))
            for event, site, capture in zip(*found, strict=True):
                if capture >= 0:
                    start, length = int(block.start[capture]), int(block.length[capture])
                    out[event] = self.decoder.decode(site, data[start : start + length].tobytes())
                elif site in self.decoder.plan_of_site:
                    values = self.decoder.plans[self.decoder.plan_of_site[site]].values
                    arguments, results = ([v.name for v in values if v.result == side] for side in (False, True))
                    out[event] = dict.fromkeys(arguments, _LOST), dict.fromkeys(results, _LOST)
        return out

    def cells(self, entry: NDArray[np.int64], exit_: NDArray[np.int64]) -> Sides:
        """JSON of the arguments captured at some events and the results at others (-1: none), by plan."""
        sides: Sides = ([], [])
        # Both sides of a block together: few blocks are kept.
        for block in self.around(np.concatenate([entry, exit_])):
            for result, (side, events) in enumerate(zip(sides, (entry, exit_), strict=True)):
                mine = np.flatnonzero((events >= block.first) & (events < block.end))
                side += [(mine[at], found) for at, found in self._cells(block, events[mine], bool(result))]
        return sides

    def _touched(self, events: NDArray[np.int64]) -> list[int]:
        """The blocks of some events, in order."""
        blocks = np.searchsorted(self._first, events[events >= 0], side="right") - 1
        return np.flatnonzero(np.bincount(blocks)).tolist()

    def _together(self, numbers: Sequence[int]) -> Iterator[BlockCaptures]:
        """Yield blocks, small ones joined: what is done for all captures of a plan is dear for a few."""
        some: list[BlockCaptures] = []
        for number in numbers:
            block = self._block(number)
            size = sum(each.words.nbytes for each in some) + block.words.nbytes
            if some and (size > _SMALL_BYTES or block.first != some[-1].end):
                yield _joined(some)
                some = []
            some.append(block)
        if some:
            yield _joined(some)

    def _cells(
        self, block: BlockCaptures, events: NDArray[np.int64], result: bool
    ) -> Iterator[tuple[NDArray[np.int64], Cells]]:
        """Values of events of a block, by plan: which of the events, and theirs."""
        local = events - block.first
        capture = block.capture.take(local)
        for plan, at in grouped(self._plans(block.sites.take(local))):
            if plan < 0:
                continue
            layout, chosen = self.decoder.plans[plan], capture[at]
            there = chosen >= 0
            if not there.all():
                names = [value.name for value in layout.values if value.result == result]
                yield at[~there], fixed(dict.fromkeys(names, _LOST))
                at, chosen = at[there], chosen[there]
            if len(at):
                captures = Captures(layout, block.words, block.start.take(chosen), block.length.take(chosen))
                yield at, self._renderer.render(captures, result=result)


_STORES: "WeakKeyDictionary[Trace, Store]" = WeakKeyDictionary()


def store_of(trace: "Trace") -> Store:
    """The captures of a trace; made once, and again when blocks turned out to be damaged."""
    store = _STORES.get(trace)
    if store is None or store.events != trace.stored:
        store = _STORES[trace] = Store(trace)
    return store

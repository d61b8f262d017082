"""The captures of a trace, block by block: decoded one by one for showing, or many at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from funcrec.report.capturememory import Captures
from funcrec.report.valuecells import Cells, fixed
from funcrec.report.valuejson import JsonRenderer
from funcrec.trace.values import Decoder

if TYPE_CHECKING:
    from funcrec.report.trace import Trace

Json = Any
Values = tuple[dict[str, Json], dict[str, Json]]
# Arguments and results: which rows, and their values as a JSON object each; rows in none of them have none.
Sides = tuple[list[tuple[NDArray[np.int64], Cells]], list[tuple[NDArray[np.int64], Cells]]]

_LOST = {"$error": "lost"}


@dataclass(frozen=True, slots=True)
class BlockCaptures:
    """Captures of one block: event number, plan, and where the blob lies in `data` and `words` (byte offsets)."""

    event: NDArray[np.int64]
    plan: NDArray[np.int64]
    site: NDArray[np.uint32]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    data: bytes
    words: NDArray[np.uint64]


class Store:
    """The captures of a trace, block by block."""

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
        self._sites = lru_cache(maxsize=4)(self._sites_of)
        self._plans = lru_cache(maxsize=4)(self._plans_of)

    def blocks(self) -> Iterator[BlockCaptures]:
        """All blocks that have captures."""
        for number in range(len(self._first)):
            captures = self._read(number)
            if captures is not None and len(captures.event):
                yield captures

    def _read(self, number: int) -> BlockCaptures | None:
        values = self._reader.values(number)
        if values is None:
            return None
        site = self._sites(number)
        length = values.length.astype(np.int64)
        start = np.cumsum(length) - length
        data = np.frombuffer(values.data, dtype=np.uint8)
        event = values.event.astype(np.int64)
        inside = event < len(site)
        # Vectors want blobs at whole words: they are written so; anything else is not ours.
        inside &= (start % 8 == 0) & (start + length <= len(data))
        event, start, length = event[inside], start[inside], length[inside]
        words = np.zeros(len(data) // 8 + 2, dtype=np.uint64)
        words.view(np.uint8)[: len(data)] = data
        sites = site[event]
        plan = self._plan_of_site[np.minimum(sites, len(self._plan_of_site) - 1)]
        return BlockCaptures(event + self._first[number], plan, sites, start, length, values.data, words)

    def decode(self, events: NDArray[np.int64]) -> dict[int, Values]:
        """Values of the captures of some events (ascending numbers); lost ones say so."""
        out: dict[int, Values] = {}
        block_of = np.searchsorted(self._first, events, side="right") - 1
        for number in np.unique(block_of).tolist():
            mine = events[block_of == number]
            captures = self._block(number)
            if captures is not None:
                at = np.flatnonzero(np.isin(captures.event, mine))
                data = captures.words.view(np.uint8)
                for i in at.tolist():
                    start, length = int(captures.start[i]), int(captures.length[i])
                    blob = data[start : start + length].tobytes()
                    out[int(captures.event[i])] = self.decoder.decode(int(captures.site[i]), blob)
            self._fill_lost(number, mine, out)
        return out

    def cells(self, entry: NDArray[np.int64], exit_: NDArray[np.int64]) -> Sides:
        """JSON of the arguments captured at some events and the results at others (-1: none), by block and plan."""
        sides: Sides = ([], [])
        events = (entry, exit_)
        blocks = [np.where(each >= 0, np.searchsorted(self._first, each, side="right") - 1, -1) for each in events]
        # Both sides of a block together: few blocks are kept.
        for number in np.unique(np.concatenate(blocks)).tolist():
            if number < 0:
                continue
            for result, (side, each, block) in enumerate(zip(sides, events, blocks, strict=True)):
                mine = np.flatnonzero(block == number)
                side += [(mine[at], found) for at, found in self._block_cells(number, each[mine], bool(result))]
        return sides

    def _plans_of(self, number: int) -> NDArray[np.int64]:
        """The plan of each event of a block, -1 none."""
        plans: NDArray[np.int64] = self._plan_of_site[np.minimum(self._sites(number), len(self._plan_of_site) - 1)]
        return plans

    def _sites_of(self, number: int) -> NDArray[np.uint32]:
        """The site of each event of a block."""
        site: NDArray[np.uint32] = self._reader.events(number).site
        return site

    def _block_cells(
        self, number: int, events: NDArray[np.int64], result: bool
    ) -> Iterator[tuple[NDArray[np.int64], Cells]]:
        """Values of events of one block, by plan: which of the events, and theirs."""
        plans = self._plans(number)
        local = events - self._first[number]
        plan = np.where(local < len(plans), plans[np.minimum(local, len(plans) - 1)], -1)
        captures = self._block(number)
        capture = np.full(len(events), -1)
        if captures is not None and len(captures.event):
            order = np.argsort(captures.event, kind="stable")
            last = np.searchsorted(captures.event[order], events, side="right") - 1
            candidate = order[np.maximum(last, 0)]
            capture = np.where((last >= 0) & (captures.event[candidate] == events), candidate, -1)
        for each in np.unique(plan[plan >= 0]).tolist():
            layout = self.decoder.plans[each]
            at = np.flatnonzero((plan == each) & (capture >= 0))
            if captures is not None and len(at):
                chosen = capture[at]
                batch = Captures(layout, captures.data, captures.words, captures.start[chosen], captures.length[chosen])
                yield at, self._renderer.render(batch, result=result)
            at = np.flatnonzero((plan == each) & (capture < 0))
            names = [value.name for value in layout.values if value.result == result]
            if len(at):
                yield at, fixed(dict.fromkeys(names, _LOST))

    def _fill_lost(self, number: int, events: NDArray[np.int64], out: dict[int, Values]) -> None:
        site = self._sites(number)
        for event in events.tolist():
            if event in out or event - int(self._first[number]) >= len(site):
                continue
            plan = self.decoder.plan_of_site.get(int(site[event - int(self._first[number])]))
            if plan is not None:
                values = self.decoder.plans[plan].values
                out[event] = (
                    {value.name: _LOST for value in values if not value.result},
                    {value.name: _LOST for value in values if value.result},
                )


_STORES: "WeakKeyDictionary[Trace, Store]" = WeakKeyDictionary()


def store_of(trace: "Trace") -> Store:
    """The captures of a trace; made once."""
    store = _STORES.get(trace)
    if store is None:
        store = _STORES[trace] = Store(trace)
    return store

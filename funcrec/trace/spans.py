"""SPANS records: the calls that outlast the block of events they begin in, and which goroutines each block has.

A reader that wants a part of a long trace begins there with the frames that are open, finds where calls end that go on
after it, and knows how many calls came before. It is a hint: what contradicts the blocks is not used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.trace import planes
from funcrec.trace.fields import Body
from funcrec.trace.framing import BadRecordError
from funcrec.trace.limits import MAX_BLOCK_EVENTS
from funcrec.trace.records import I64, U8, U64, EventColumns, SiteRole
from funcrec.trace.standing import BlockSpans

_COLUMNS = ("pid", "goid", "site", "depth", "tid", "caller")


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What is known of a block of events: how many, and when."""

    n: int
    t_min: int
    t_max: int


@dataclass(frozen=True)
class Spans:
    """What outlasts the b blocks of a trace.

    Attributes:
        calls: i64[b], calls that begin in each.
        entries: k events whose frames were open when their block ended, by block and position.
        born: i64[k], their block. event: i64[k], their position in it.
        ended: i64[k], the block in which the frame ended, b when none did.
        goids: u64, those of each block one after the other, ascending in each; goids_at: i64[b + 1], where they begin;
            a block without any has too many to list.
    """

    calls: I64
    entries: EventColumns
    born: I64
    event: I64
    ended: I64
    goids: U64
    goids_at: I64

    def may_have(self, asked: Callable[[U64], NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """Return which blocks may have events of goroutines that are asked for."""
        counts = np.diff(self.goids_at)
        block = np.repeat(np.arange(len(counts)), counts)
        may: NDArray[np.bool_] = counts == 0
        may |= np.bincount(block[asked(self.goids)], minlength=len(counts)) > 0
        return may

    def agrees(self, block: int, found: BlockSpans) -> bool:
        """Whether this says of a block what was found by reading it and those before."""
        born = slice(*np.searchsorted(self.born, (block, block + 1)))
        goids = self.goids[self.goids_at[block] : self.goids_at[block + 1]]
        pairs: list[tuple[NDArray[Any], NDArray[Any]]]
        pairs = [(self.event[born], found.event), (np.flatnonzero(self.ended == block), found.ended)]
        pairs += [(goids, found.goids), (self.calls[block : block + 1], np.array([found.calls]))]
        told = [getattr(self.entries, name)[born] for name in (*_COLUMNS, "time_ns")]
        pairs += zip(told, (getattr(found.entries, name) for name in (*_COLUMNS, "time_ns")), strict=True)
        return all(np.array_equal(one, other) for one, other in pairs)


def encode_spans(blocks: Sequence[BlockSpans]) -> dict[str, Any]:
    """Encode what outlasts the blocks since the last such record."""
    events = [block.event for block in blocks]
    entries = {
        name: np.concatenate([getattr(block.entries, name) for block in blocks]) for name in (*_COLUMNS, "time_ns")
    }
    goids = np.concatenate([block.goids for block in blocks])
    return {
        "record": "spans",
        "blocks": len(blocks),
        "calls": planes.pack(np.array([block.calls for block in blocks], np.int64)),
        "goids": planes.pack(np.array([len(block.goids) for block in blocks], np.int64)),
        "born": planes.pack(np.array([len(event) for event in events], np.int64)),
        "ended": planes.pack(np.array([len(block.ended) for block in blocks], np.int64)),
        "block_goid": planes.pack_deltas(goids.astype(np.int64)),
        "event": planes.pack_deltas(np.concatenate(events).astype(np.int64)),
        "time": planes.pack_deltas(entries["time_ns"]),
        **{name: planes.pack_deltas(entries[name].astype(np.int64)) for name in _COLUMNS},
        "end": planes.pack_deltas(np.concatenate([block.ended for block in blocks])),
    }


class SpansDecoder:
    """Puts SPANS records together.

    Args:
        blocks: facts of all blocks of the file.
        roles: of all sites.
        call_sites: how many there are.
    """

    def __init__(self, blocks: Sequence[BlockFacts], roles: U8, call_sites: int) -> None:
        self._n, self._t_min, self._t_max = (
            np.array([getattr(block, name) for block in blocks], np.int64) for name in ("n", "t_min", "t_max")
        )
        self._roles, self._call_sites = roles, call_sites
        self._blocks = 0
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._entries: list[dict[str, NDArray[Any]]] = []

    def add(self, fields: dict[str, Any]) -> None:
        """Take in the next record.

        Raises:
            BadRecordError: it contradicts itself or the blocks.
        """
        body = Body(fields)
        count = body.integer("blocks", 1, max(len(self._n) - self._blocks, 1))
        _require(self._blocks + count <= len(self._n), "it speaks of more blocks than there are")
        at = slice(self._blocks, self._blocks + count)
        calls, goids, born, ended = (
            planes.unpack_u32(body.data(name), count).astype(np.int64) for name in ("calls", "goids", "born", "ended")
        )
        _require(bool((calls <= self._n[at]).all() and (born <= calls).all()), "it has more calls than events")
        _require(bool((goids <= self._n[at]).all()), "it has more goroutines than events")
        _require(int(ended.max()) <= MAX_BLOCK_EVENTS, "it ends more than there is")
        _require(int(ended.sum()) <= self._born() + int(born.sum()), "it ends more than there is")
        block = np.repeat(np.arange(at.start, at.stop), born)
        self._entries.append(self._decode_entries(body, block))
        event = planes.unpack_deltas(body.data("event"), len(block), 5)
        _require(_ascending(event, block) and bool((event < self._n[block]).all()), "its events are not in the blocks")
        listed = planes.unpack_deltas(body.data("block_goid"), int(goids.sum()), 8)
        _require(_ascending(listed, np.repeat(np.arange(count), goids)), "its goroutines are out of order")
        end = planes.unpack_deltas(body.data("end"), int(ended.sum()), 8)
        self._parts.append((calls, goids, block, event, listed, end, np.repeat(np.arange(at.start, at.stop), ended)))
        self._blocks = at.stop

    def _born(self) -> int:
        return sum(len(part[2]) for part in self._parts)

    def _decode_entries(self, body: Body, block: I64) -> dict[str, NDArray[Any]]:
        n = len(block)
        found = {name: planes.unpack_deltas(body.data(name), n, 8) for name in _COLUMNS}
        found["time_ns"] = planes.unpack_deltas(body.data("time"), n, 8)
        for name, column in found.items():
            limit = 1 << 62 if name == "time_ns" else 1 << (63 if name == "goid" else 32)
            _require(n == 0 or (int(column.min()) >= 0 and int(column.max()) < limit), "its entries are out of range")
        site, time_ns = found["site"], found["time_ns"]
        _require(bool((site < len(self._roles)).all()), "it names a site that is not in the tables")
        _require(bool((self._roles[site] == SiteRole.ENTRY).all()), "what it calls entries is none")
        _require(bool((found["caller"] <= self._call_sites).all()), "it names a call site that is not in the tables")
        _require(not (found["depth"] & 7).any(), "its depths are no multiples of 8")
        inside = (time_ns >= self._t_min[block]) & (time_ns <= self._t_max[block])
        _require(bool(inside.all()), "its times are not those of the blocks")
        return found

    def spans(self) -> Spans:
        """Return all of it.

        Raises:
            BadRecordError: it does not speak of all blocks, or ends what did not begin.
        """
        _require(self._blocks == len(self._n) > 0, "it does not speak of all blocks")
        calls, goids, born, event, listed, end, end_block = (
            np.concatenate(each) for each in zip(*self._parts, strict=True)
        )
        _require(len(end) == 0 or (int(end.min()) >= 0 and int(end.max()) < len(born)), "it ends what did not begin")
        _require(len(np.unique(end)) == len(end), "it ends something twice")
        _require(bool((born[end] < end_block).all()), "it ends something before it began")
        ended = np.full(len(born), len(calls), np.int64)
        ended[end] = end_block
        columns = {name: np.concatenate([each[name] for each in self._entries]) for name in self._entries[0]}
        types = {"time_ns": np.int64, "goid": np.uint64}
        typed: dict[str, Any] = {name: column.astype(types.get(name, np.uint32)) for name, column in columns.items()}
        entries = EventColumns(
            **typed,
            stack=np.zeros(len(born), np.uint64),
        )
        goids_at = np.append(0, np.cumsum(goids))
        return Spans(calls, entries, born, event, ended, listed.astype(np.uint64), goids_at)


def _ascending(values: I64, group: I64) -> bool:
    """Whether values of one group are ascending, from 0 on."""
    return bool((values >= 0).all() and ((np.diff(values) > 0) | (np.diff(group) > 0)).all())


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise BadRecordError(reason)

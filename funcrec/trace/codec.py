"""Columns of events and captures to record bodies and back (`formats/trace.md`, "EVENTS" and "VALUES").

A body is the msgpack map of a record, as a dict. Decoding trusts nothing in it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from funcrec.trace import planes
from funcrec.trace.fields import Body
from funcrec.trace.framing import BadRecordError
from funcrec.trace.limits import MAX_BLOCK_EVENTS, MAX_TIME
from funcrec.trace.records import I64, U8, U32, EventColumns, SiteRole, ValueColumns

_WITH_CALLER = np.zeros(256, bool)
_WITH_CALLER[[SiteRole.ENTRY, SiteRole.POINT]] = True


@dataclass(frozen=True, slots=True)
class Tables:
    """What ids of an event may refer to: the role of each site, and how many call sites are known."""

    roles: U8
    call_sites: int

    def with_caller(self, sites: U32) -> Any:
        """Mask (n) of the events that carry a caller."""
        return _WITH_CALLER[self.roles[sites]]


def encode_events(events: EventColumns, lengths: I64, tables: Tables) -> dict[str, Any]:
    """Encode events that are in stored order, `lengths` being that of each run."""
    t_min, t_max = int(events.time_ns.min()), int(events.time_ns.max())
    starts = np.cumsum(lengths) - lengths
    return {
        "record": "events",
        "n": len(events),
        "t_min": t_min,
        "t_max": t_max,
        "runs": len(lengths),
        "length": planes.pack(lengths),
        "pid": planes.pack(events.pid[starts]),
        "goid": planes.pack(events.goid[starts]),
        "stack": planes.pack(events.stack[starts]),
        "time": planes.pack_deltas(events.time_ns, t_min),
        "site": planes.pack(events.site),
        "depth": planes.pack_deltas(events.depth.astype(np.int64) >> 3),
        "tid": planes.pack_deltas(events.tid.astype(np.int64)),
        "caller": planes.pack(events.caller[tables.with_caller(events.site)]),
    }


def decode_events(fields: dict[str, Any], tables: Tables) -> EventColumns:
    """Decode a body; columns are in stored order.

    Raises:
        BadRecordError: anything that is missing, out of range or out of order.
    """
    body = Body(fields)
    n = body.integer("n", 1, MAX_BLOCK_EVENTS)
    t_min = body.integer("t_min", 0, MAX_TIME - 1)
    t_max = body.integer("t_max", t_min, MAX_TIME - 1)
    runs = body.integer("runs", 1, n)
    lengths = planes.unpack_u32(body.data("length"), runs).astype(np.int64)
    _require(int(lengths.min()) > 0 and int(lengths.sum()) == n, "its runs do not add up")
    pid = planes.unpack_u32(body.data("pid"), runs)
    goid = planes.unpack(body.data("goid"), runs, 8)
    stack = planes.unpack(body.data("stack"), runs, 8)
    _require(_ascending(pid, goid, stack), "its runs are out of order")

    site = _sites(body, n, tables)
    time = planes.unpack_deltas(body.data("time"), n, 8, t_min)
    _require(int(time.min()) == t_min and int(time.max()) == t_max, "its times leave their bounds")
    backwards = time[1:] < time[:-1]
    backwards[np.cumsum(lengths)[:-1] - 1] = False
    _require(not backwards.any(), "its times run backwards")
    return EventColumns(
        time_ns=time,
        pid=np.repeat(pid, lengths),
        goid=np.repeat(goid, lengths),
        stack=np.repeat(stack, lengths),
        tid=_narrow(planes.unpack_deltas(body.data("tid"), n, 5), 1 << 32, "thread ids"),
        site=site,
        depth=_narrow(planes.unpack_deltas(body.data("depth"), n, 5), 1 << 29, "depths") << np.uint32(3),
        caller=_callers(body.data("caller"), site, tables),
    )


def decode_sites(fields: dict[str, Any], tables: Tables) -> U32:
    """Decode only the site of each event of a body, in stored order.

    Raises:
        BadRecordError: they are missing or out of range.
    """
    body = Body(fields)
    return _sites(body, body.integer("n", 1, MAX_BLOCK_EVENTS), tables)


def encode_values(values: ValueColumns) -> dict[str, Any]:
    """Encode captures whose `event` counts in stored order."""
    return {
        "record": "values",
        "n": len(values),
        "event": planes.pack_deltas(values.event.astype(np.int64)),
        "length": planes.pack(values.length),
        "data": values.data,
    }


def decode_values(fields: dict[str, Any], n: int, events: int) -> ValueColumns:
    """Decode the n captures of a body that belongs to a block of `events` events.

    Raises:
        BadRecordError: anything that is missing or out of range.
    """
    body = Body(fields)
    body.integer("n", n, n)
    event = _narrow(planes.unpack_deltas(body.data("event"), n, 5), events, "event numbers")
    length = planes.unpack_u32(body.data("length"), n)
    data = body.data("data")
    _require(int(length.sum(dtype=np.uint64)) == len(data), "its lengths do not add up to its data")
    return ValueColumns(event, length, data)


def join_values(pieces: list[ValueColumns]) -> ValueColumns:
    """Put the pieces of one block together."""
    if len(pieces) == 1:
        return pieces[0]
    return ValueColumns(
        np.concatenate([piece.event for piece in pieces]),
        np.concatenate([piece.length for piece in pieces]),
        b"".join(piece.data for piece in pieces),
    )


def _sites(body: Body, n: int, tables: Tables) -> U32:
    site = planes.unpack_u32(body.data("site"), n)
    _require(int(site.max()) < len(tables.roles), "it names a site that is not in the tables")
    return site


def _callers(data: bytes, site: U32, tables: Tables) -> U32:
    here = tables.with_caller(site)
    given = planes.unpack_u32(data, int(np.count_nonzero(here)))
    _require(len(given) == 0 or int(given.max()) <= tables.call_sites, "it names a call site that is not in the tables")
    callers = np.zeros(len(site), np.uint32)
    callers[here] = given
    return callers


def _ascending(pid: U32, goid: Any, stack: Any) -> bool:
    """True when the rows (pid, goid, stack) are in strictly ascending order."""
    above = stack[1:] > stack[:-1]
    for column in (goid, pid):
        above = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & above)
    return bool(above.all())


def _narrow(values: I64, limit: int, what: str) -> U32:
    if len(values):
        _require(int(values.min()) >= 0 and int(values.max()) < limit, f"its {what} are out of range")
    return values.astype(np.uint32)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise BadRecordError(reason)

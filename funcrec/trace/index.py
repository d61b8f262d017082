"""The index record: all prefixes again, the goroutines of each block, and how the recording ended.

A convenience: it saves a reader from touching every block of a long file. Nothing in it is believed that the records
themselves contradict.
"""

from typing import Any

import numpy as np

from funcrec.trace import bodies, planes
from funcrec.trace.fields import Body
from funcrec.trace.framing import HEAD_SIZE, PREFIX_PAYLOAD, PREFIX_SIZE, BadRecordError, Prefix
from funcrec.trace.limits import MAX_INDEXED
from funcrec.trace.records import I64, U64, Closing


def encode_index(
    prefixes: list[bytes], goid_ranges: list[tuple[int, int]], site_events: I64, closing: Closing
) -> dict[str, Any]:
    """Encode the last record.

    Args:
        prefixes: payload of every record before this one.
        goid_ranges: lowest and highest goid of each EVENTS record, in order.
        site_events: number of events of each site.
        closing: how the recording ended.
    """
    if len(prefixes) > MAX_INDEXED:
        prefixes, goid_ranges = [], []  # readers walk the file instead
    ranges = np.array(goid_ranges, np.uint64).reshape(-1, 2)
    return {
        "record": "index",
        "closing": bodies.encode_closing(closing),
        "records": len(prefixes),
        "prefixes": b"".join(prefixes),
        "goid_min": planes.pack(ranges[:, 0]),
        "goid_max": planes.pack(ranges[:, 1]),
        **({"site_events": planes.pack(site_events)} if len(site_events) <= MAX_INDEXED else {}),
    }


def decode_prefixes(fields: dict[str, Any], file_id: int, index_offset: int) -> list[tuple[int, Prefix]]:
    """Return offset and prefix of every record before the index.

    Raises:
        BadRecordError: a checksum is wrong, or the records do not fill the file up to the index.
    """
    body = Body(fields)
    records = body.integer("records", 0, index_offset // PREFIX_SIZE)
    data = body.data("prefixes")
    if len(data) != records * PREFIX_PAYLOAD:
        raise BadRecordError("its prefixes have another length")
    found: list[tuple[int, Prefix]] = []
    offset = HEAD_SIZE
    for at in range(0, len(data), PREFIX_PAYLOAD):
        prefix = Prefix.parse_payload(data[at : at + PREFIX_PAYLOAD], file_id)
        if prefix is None or prefix.sequence != len(found):
            raise BadRecordError("it has a damaged prefix")
        found.append((offset, prefix))
        offset += PREFIX_SIZE + prefix.compressed
    if offset != index_offset:
        raise BadRecordError("its records do not fill the file")
    return found


def decode_goid_ranges(fields: dict[str, Any], blocks: int) -> tuple[U64, U64]:
    """Return lowest and highest goid of each of the `blocks` EVENTS records."""
    body = Body(fields)
    return planes.unpack(body.data("goid_min"), blocks, 8), planes.unpack(body.data("goid_max"), blocks, 8)


def decode_site_events(fields: dict[str, Any], sites: int) -> I64:
    """Return the number of events of each of the `sites` sites."""
    return planes.unpack(Body(fields).data("site_events"), sites, 7).astype(np.int64)

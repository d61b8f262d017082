"""A trace taken apart into records, and put together with right checksums: only what was changed is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import msgpack
import zstandard

from funcrec.trace.framing import HEAD_SIZE, PREFIX_SIZE, Head, Prefix, pack_end
from funcrec.trace.records import RecordType

_COMPRESSOR = zstandard.ZstdCompressor(level=1, write_checksum=True)


@dataclass
class Part:
    """One record: what its prefix says, and its content, which is a map unless it is no msgpack (then bytes).

    `packed` is the content's size and zstd frame as long as the body is what was read.
    """

    prefix: Prefix
    body: Any
    packed: tuple[int, bytes] | None = None

    def copy(self) -> Part:
        """A part whose body may be replaced; what is in the body is shared."""
        return Part(self.prefix, self.body)


@dataclass
class Anatomy:
    """All records of a trace; the end mark is made anew when there was one."""

    head: Head
    parts: list[Part] = field(default_factory=list)
    closed: bool = False


def unpack(content: bytes) -> Any:
    """Msgpack to objects; bytes that are none stay bytes."""
    try:
        return msgpack.unpackb(content, raw=False, unicode_errors="surrogateescape", strict_map_key=False)
    except Exception:
        return content


def pack(body: Any) -> bytes:
    """The inverse of `unpack`; what msgpack cannot hold becomes nil."""
    if isinstance(body, bytes):
        return body
    try:
        return msgpack.packb(body, unicode_errors="surrogateescape")
    except (ValueError, OverflowError, TypeError, UnicodeError, RecursionError):
        return b"\xc0"


def take_apart(data: bytes) -> Anatomy:
    """Read the records of a sound trace."""
    head = Head.parse(data)
    anatomy, offset = Anatomy(head), HEAD_SIZE
    while (prefix := Prefix.parse(data[offset : offset + PREFIX_SIZE], head.file_id)) is not None:
        end = offset + PREFIX_SIZE + prefix.compressed
        frame = data[offset + PREFIX_SIZE : end]
        anatomy.parts.append(Part(prefix, unpack(zstandard.decompress(frame)), (prefix.raw, frame)))
        offset = end
    anatomy.closed = offset < len(data)
    return anatomy


def put_together(anatomy: Anatomy, *, keep_sequence: bool = False, keep_raw: bool = False) -> bytes:
    """Write the records with right checksums and sizes; an index lists what is really there.

    Args:
        anatomy: the records.
        keep_sequence: leave the numbers of the records as their prefixes have them.
        keep_raw: leave the declared size of the content as the prefix has it.
    """
    file_id = anatomy.head.file_id
    result = bytearray(anatomy.head.pack())
    payloads: list[bytes] = []
    offset = 0
    for number, part in enumerate(anatomy.parts):
        body, packed = part.body, part.packed
        if part.prefix.type == RecordType.INDEX and isinstance(body, dict) and isinstance(body.get("prefixes"), bytes):
            body = body | {"records": len(payloads), "prefixes": b"".join(payloads)}
            packed = None
        if packed is None:
            content = pack(body)
            packed = len(content), _COMPRESSOR.compress(content)
        raw, frame = packed
        prefix = replace(
            part.prefix,
            sequence=part.prefix.sequence if keep_sequence else number,
            raw=part.prefix.raw if keep_raw else raw,
            compressed=len(frame),
        )
        offset = len(result)
        payloads.append(prefix.payload(file_id))
        result += prefix.frame(file_id) + frame
    if anatomy.closed:
        result += pack_end(offset, len(anatomy.parts), file_id)
    return bytes(result)

"""The outer layer of the file: head, record prefixes, zstd frames, end mark (`formats/trace.md`, "Container").

Knows bytes and checksums, not what a record means. Every part is a legal zstd frame, so `zstd -dc` prints the records.
"""

import zlib
from dataclasses import dataclass
from struct import Struct

import zstandard

from funcrec.trace.limits import MAX_RAW, MAX_WINDOW

# Skippable frame: zstd format specification, "Skippable Frames": magic 0x184D2A50..5F, payload size, payload.
SKIPPABLE = 0x184D2A50
_FRAME = Struct("<II")

HEAD_MAGIC = b"FUNCREC\0"
_HEAD = Struct("<II8sHHII")
HEAD_SIZE = _HEAD.size

END_MAGIC = b"FRECEND\0"
_END = Struct("<II8sQII")
END_SIZE = _END.size
END_START = _FRAME.pack(SKIPPABLE, END_SIZE - 8) + END_MAGIC

_PREFIX = Struct("<BBHIIIQqqI")
_CRC = Struct("<I")
PREFIX_PAYLOAD = _PREFIX.size + _CRC.size
PREFIX_SIZE = _FRAME.size + PREFIX_PAYLOAD
PREFIX_START = _FRAME.pack(SKIPPABLE, PREFIX_PAYLOAD)


class BadRecordError(Exception):
    """A part of the file is not what the format allows; the reader turns it into damage or a TraceError."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first frame: format version and the number that every checksum of this file starts from."""

    version: int
    minor: int
    file_id: int

    def pack(self) -> bytes:
        """Return the HEAD_SIZE bytes of the frame."""
        body = _HEAD.pack(SKIPPABLE, HEAD_SIZE - 8, HEAD_MAGIC, self.version, self.minor, self.file_id, 0)[8:-4]
        return _FRAME.pack(SKIPPABLE, HEAD_SIZE - 8) + body + _CRC.pack(zlib.crc32(body))

    @classmethod
    def parse(cls, data: bytes) -> "Head":
        """Read the frame from the first bytes of a file.

        Raises:
            BadRecordError: other bytes; the message does not name the file.
        """
        if len(data) < HEAD_SIZE or data[:16] != _FRAME.pack(SKIPPABLE, HEAD_SIZE - 8) + HEAD_MAGIC:
            raise BadRecordError("not a head")
        *_, version, minor, file_id, crc = _HEAD.unpack(data[:HEAD_SIZE])
        if crc != zlib.crc32(data[8 : HEAD_SIZE - 4]):
            raise BadRecordError("the checksum of the head is wrong")
        return cls(version, minor, file_id)


@dataclass(frozen=True, slots=True)
class Prefix:
    """What stands before each record.

    Attributes:
        type, version, flags: see "Records" in trace.md.
        sequence: number of the record in the file, from 0.
        compressed, raw: bytes of the zstd frame that follows, and of its content.
        first: EVENTS: events in all earlier EVENTS records; VALUES: sequence of their EVENTS record; else 0.
        t_min, t_max: EVENTS: monotonic ns of the first and last event; else 0.
        count: rows in the record (events, captures, losses ...).
    """

    type: int
    version: int
    flags: int
    sequence: int
    compressed: int
    raw: int
    first: int
    t_min: int
    t_max: int
    count: int

    def payload(self, file_id: int) -> bytes:
        """Return the PREFIX_PAYLOAD bytes with their checksum, which includes the file's id."""
        body = _PREFIX.pack(
            self.type,
            self.version,
            self.flags,
            self.sequence,
            self.compressed,
            self.raw,
            self.first,
            self.t_min,
            self.t_max,
            self.count,
        )
        return body + _CRC.pack(_checksum(body, file_id))

    def frame(self, file_id: int) -> bytes:
        """Return the PREFIX_SIZE bytes of the whole skippable frame."""
        return PREFIX_START + self.payload(file_id)

    @classmethod
    def parse_payload(cls, data: bytes, file_id: int) -> "Prefix | None":
        """Read a payload; None when it is too short or its checksum is wrong."""
        body = data[: _PREFIX.size]
        if len(data) < PREFIX_PAYLOAD or _CRC.unpack_from(data, _PREFIX.size)[0] != _checksum(body, file_id):
            return None
        return cls(*_PREFIX.unpack(body))

    @classmethod
    def parse(cls, data: bytes, file_id: int) -> "Prefix | None":
        """Read a whole prefix frame; None when the bytes are something else."""
        return cls.parse_payload(data[8:], file_id) if data[:8] == PREFIX_START else None


def _checksum(body: bytes, file_id: int) -> int:
    # The id keeps a resynchronising reader from taking a record of another trace, quoted in a captured value, for one
    # of this file.
    return zlib.crc32(body, zlib.crc32(_CRC.pack(file_id)))


def pack_end(index_offset: int, records: int, file_id: int) -> bytes:
    """Return the end mark: the index record's offset and the number of records, index included."""
    whole = _END.pack(SKIPPABLE, END_SIZE - 8, END_MAGIC, index_offset, records, 0)
    return whole[:-4] + _CRC.pack(_checksum(whole[8:-4], file_id))


def parse_end(data: bytes, file_id: int) -> tuple[int, int] | None:
    """Return (index offset, records) of an end mark; None when the bytes are something else."""
    if len(data) != END_SIZE or data[:16] != END_START:
        return None
    *_, offset, records, crc = _END.unpack(data)
    return (offset, records) if crc == _checksum(data[8:-4], file_id) else None


def decompress(frame: bytes, raw: int, limit: int = MAX_RAW) -> bytes:
    """Decompress one zstd frame that must have exactly `raw` bytes of content.

    Raises:
        BadRecordError: the frame is damaged, has other sizes than declared, or asks for more than the limits.
    """
    # python-zstandard ignores max_output_size when the frame states its size: look before any allocation.
    try:
        parameters = zstandard.get_frame_parameters(frame)
    except zstandard.ZstdError as error:
        raise BadRecordError("its zstd frame does not begin as one") from error
    if parameters.content_size != raw or raw > limit:
        raise BadRecordError(f"its sizes do not agree or exceed {limit} bytes")
    if parameters.window_size > MAX_WINDOW or not parameters.has_checksum or parameters.dict_id:
        raise BadRecordError("its zstd frame has no checksum, a dictionary or too large a window")
    try:
        content = zstandard.ZstdDecompressor().decompress(frame, max_output_size=raw, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadRecordError("its zstd frame is damaged") from error
    if len(content) != raw:
        raise BadRecordError("its content is shorter than declared")
    return content

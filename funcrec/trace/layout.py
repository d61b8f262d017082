"""Find the records of a trace: from its index when that is sound, else from prefix to prefix, over damage too."""

from dataclasses import dataclass, field

from funcrec.errors import TraceError
from funcrec.trace.fields import unpack_body
from funcrec.trace.framing import (
    END_SIZE,
    END_START,
    HEAD_MAGIC,
    HEAD_SIZE,
    PREFIX_SIZE,
    PREFIX_START,
    BadRecordError,
    Head,
    Prefix,
    decompress,
    parse_end,
)
from funcrec.trace.index import decode_prefixes
from funcrec.trace.limits import MAX_LARGE_CONTAINERS
from funcrec.trace.records import RecordType
from funcrec.trace.source import Source

_CUT = "the file is cut inside a record"


@dataclass(frozen=True, slots=True)
class Place:
    """A record in the file: where its prefix begins, and what the prefix says."""

    offset: int
    prefix: Prefix

    @property
    def end(self) -> int:
        """Offset of the first byte after the record."""
        return self.offset + PREFIX_SIZE + self.prefix.compressed


@dataclass(frozen=True, slots=True)
class Hole:
    """A part of the file that holds no readable record; by their numbers, `records` of them are missing."""

    offset: int
    end: int
    records: int

    def describe(self) -> str:
        """One line about it."""
        unread = f"{self.end - self.offset} bytes cannot be read, " if self.end > self.offset else ""
        return f"{unread}{self.records} record{'' if self.records == 1 else 's'} lost"


@dataclass(slots=True)
class Layout:
    """Where everything is.

    Attributes:
        head: the file's first frame.
        places: records in file order.
        holes: damage between them.
        tail: where the end of the file is wrong and how; None when it ends between records.
    """

    head: Head
    places: list[Place] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    tail: tuple[int, str] | None = None


def read_head(source: Source) -> Head:
    """Read the first frame.

    Raises:
        TraceError: this is no trace; the message says what it begins with.
    """
    data = source.read(0, HEAD_SIZE)
    try:
        return Head.parse(data)
    except BadRecordError as error:
        if data[8:16] == HEAD_MAGIC:
            cause = f"{source.name!a} is a damaged trace: {error}"
        elif not data:
            cause = f"{source.name!a} is empty"
        else:
            cause = f"{source.name!a} is not a funcrec trace: it begins with {data[:8].hex(' ')}"
        raise TraceError(cause, remedy="give a file that 'funcrec record' wrote") from error


def find_records(source: Source) -> Layout:
    """Find all records.

    Raises:
        TraceError: this is no trace.
    """
    head = read_head(source)
    return _from_index(source, head) or _walk(source, head)


def read_body(source: Source, place: Place, file_id: int, limit: int) -> bytes:
    """Return the decompressed content of a record.

    Raises:
        BadRecordError: it is damaged or larger than the limit.
    """
    data = source.read(place.offset, PREFIX_SIZE + place.prefix.compressed)
    if Prefix.parse(data, file_id) != place.prefix:
        raise BadRecordError("its prefix is damaged")
    return decompress(data[PREFIX_SIZE:], place.prefix.raw, limit)


def _from_index(source: Source, head: Head) -> Layout | None:
    end = parse_end(source.read(max(source.size - END_SIZE, 0), END_SIZE), head.file_id)
    if end is None:
        return None
    offset, records = end
    prefix = Prefix.parse(source.read(offset, PREFIX_SIZE), head.file_id)
    if prefix is None or prefix.type != RecordType.INDEX or prefix.sequence != records - 1:
        return None
    index = Place(offset, prefix)
    if index.end != source.size - END_SIZE:
        return None
    try:
        content = read_body(source, index, head.file_id, _index_limit(source.size))
        found = decode_prefixes(unpack_body(content, MAX_LARGE_CONTAINERS), head.file_id, offset)
    except BadRecordError:
        return None
    if len(found) != records - 1:
        return None
    return Layout(head, [*(Place(at, each) for at, each in found), index])


def _index_limit(size: int) -> int:
    return 64 * size  # an index lists what is in the file, in 48 bytes for at least 56


def _walk(source: Source, head: Head) -> Layout:
    layout = Layout(head)
    offset, sequence = HEAD_SIZE, 0
    while offset < source.size:
        data = source.read(offset, PREFIX_SIZE)
        prefix = Prefix.parse(data, head.file_id)
        if prefix is not None and prefix.sequence >= sequence:
            place = Place(offset, prefix)
            if place.end > source.size:
                layout.tail = offset, _CUT
                break
            if prefix.sequence > sequence:
                layout.holes.append(Hole(offset, offset, prefix.sequence - sequence))
            layout.places.append(place)
            offset, sequence = place.end, prefix.sequence + 1
            continue
        if parse_end(data[:END_SIZE], head.file_id) is not None:
            if offset + END_SIZE < source.size:
                layout.tail = offset + END_SIZE, "something follows the end mark"
            break
        following = _resynchronise(source, head, offset + 1, sequence)
        if following is None:
            layout.tail = offset, _describe_tail(data)
            break
        layout.holes.append(Hole(offset, following.offset, following.prefix.sequence - sequence))
        offset, sequence = following.offset, following.prefix.sequence
    return layout


def _resynchronise(source: Source, head: Head, offset: int, sequence: int) -> Place | None:
    """Find the next record at or after `offset`: a prefix with a right checksum, of a later record."""
    for at in source.find(PREFIX_START, offset):
        prefix = Prefix.parse(source.read(at, PREFIX_SIZE), head.file_id)
        if prefix is not None and prefix.sequence >= sequence:
            return Place(at, prefix)
    return None


def _describe_tail(data: bytes) -> str:
    """Say what is wrong with the last bytes of the file, which are no record; `data` has up to PREFIX_SIZE of them."""
    cut_record = len(data) < PREFIX_SIZE and data[:8] == PREFIX_START[: len(data)]
    cut_end = len(data) < END_SIZE and data[:16] == END_START[: len(data)]
    return _CUT if cut_record or cut_end else "nothing more can be read"

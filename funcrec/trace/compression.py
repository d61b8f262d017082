"""One zstd frame of a record's content; knows nothing of what the content means."""

import zstandard

_LEAST = 1024  # bytes of a plane that are worth a block's header and tables of their own


def compressed(compressor: zstandard.ZstdCompressor, raw: bytes, planes: bytes, length: int) -> bytes:
    """Compress content, each plane of one column by itself.

    zstd has one table of symbols for each block of up to 128 KB (RFC 8878, 3.1.1.2). Planes of times differ in what
    bytes are frequent: two of them in one block take a sixth more, which is what small records used to cost.

    Args:
        compressor: what to use.
        raw: the content.
        planes: a part of it, planes of `length` bytes; b"": none.
        length: of a plane.

    Returns:
        a frame that says its size.
    """
    at = raw.find(planes) if len(planes) > length >= _LEAST else -1
    if at < 0:
        return compressor.compress(raw)
    stream = compressor.compressobj(size=len(raw))
    pieces, done = [], 0
    for cut in range(at, at + len(planes) + 1, length):
        pieces += [stream.compress(raw[done:cut]), stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
        done = cut
    return b"".join([*pieces, stream.compress(raw[done:]), stream.flush()])

"""Make rings, change and read BPF hash maps by raw system calls, from any process that holds their descriptor."""

import ctypes
import errno
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from funcrec.record.syscall import bpf

# enum bpf_cmd; batches since Linux 5.6
_CREATE, _UPDATE, _DELETE, _NEXT_KEY, _LOOKUP_BATCH, _UPDATE_BATCH = 0, 2, 3, 4, 24, 26
_BATCH = 4096
_RINGBUF = 27  # enum bpf_map_type, Linux 5.8


class _CreateAttr(ctypes.Structure):
    _fields_ = (
        ("map_type", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("_rest", ctypes.c_uint32 * 13),
    )


class _ElementAttr(ctypes.Structure):
    _fields_ = (
        ("map_fd", ctypes.c_uint32),
        ("_pad", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


class _BatchAttr(ctypes.Structure):
    _fields_ = (
        ("in_batch", ctypes.c_uint64),
        ("out_batch", ctypes.c_uint64),
        ("keys", ctypes.c_uint64),
        ("values", ctypes.c_uint64),
        ("count", ctypes.c_uint32),
        ("map_fd", ctypes.c_uint32),
        ("elem_flags", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


def _done(command: int, attr: ctypes.Structure) -> int:
    """The result of a bpf() call.

    Raises:
        OSError: it failed.
    """
    result, code = bpf(command, attr)
    if code:
        raise OSError(code, os.strerror(code))
    return result


def create_ring(size: int) -> int:
    """Make a ring buffer and return its descriptor.

    Args:
        size: bytes of its data area, a power of two of at least a page.

    Raises:
        OSError: no room for it, or not allowed.
    """
    return _done(_CREATE, _CreateAttr(map_type=_RINGBUF, max_entries=size))


def update(descriptor: int, key: bytes, value: bytes) -> None:
    """Set an element.

    Raises:
        OSError: the map is full (E2BIG), or no such map.
    """
    _done(_UPDATE, _ElementAttr(map_fd=descriptor, key=_address(key), value=_address(value)))


def put_maps(descriptor: int, inner: list[int]) -> None:
    """Fill an array of maps, from its first place on.

    All at once, since the kernel waits for running programs after each such call.

    Raises:
        OSError: a map does not fit.
    """
    keys, values = (np.array(each, dtype=np.uint32) for each in (range(len(inner)), inner))
    attr = _BatchAttr(keys=keys.ctypes.data, values=values.ctypes.data, count=len(inner), map_fd=descriptor)
    _done(_UPDATE_BATCH, attr)


def delete(descriptor: int, key: bytes) -> None:
    """Remove an element; none there is fine."""
    bpf(_DELETE, _ElementAttr(map_fd=descriptor, key=_address(key)))


def keys(descriptor: int, size: int) -> Iterator[bytes]:
    """Go through the keys of a hash map whose values are too large to be copied; some may come twice, or be gone."""
    key = ctypes.create_string_buffer(size)
    attr = _ElementAttr(map_fd=descriptor, key=0, value=ctypes.addressof(key))
    while bpf(_NEXT_KEY, attr)[1] == 0:
        yield key.raw
        attr.key = ctypes.addressof(key)


def values(descriptor: int, key_size: int, row: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Return all values of a hash map as rows, in no order."""
    return items(descriptor, np.dtype((np.void, key_size)), row)[1]


def items(
    descriptor: int, key: np.dtype[Any], row: np.dtype[Any]
) -> tuple[np.ndarray[Any, np.dtype[Any]], np.ndarray[Any, np.dtype[Any]]]:
    """Return all keys of a hash map, in no order, and their values."""
    found: list[tuple[np.ndarray[Any, np.dtype[Any]], np.ndarray[Any, np.dtype[Any]]]] = []
    position = ctypes.create_string_buffer(8)
    first = True
    while True:
        keys, rows = np.zeros(_BATCH, dtype=key), np.zeros(_BATCH, dtype=row)
        attr = _BatchAttr(
            in_batch=0 if first else ctypes.addressof(position),
            out_batch=ctypes.addressof(position),
            keys=keys.ctypes.data,
            values=rows.ctypes.data,
            count=_BATCH,
            map_fd=descriptor,
        )
        _, code = bpf(_LOOKUP_BATCH, attr)
        found.append((keys[: attr.count], rows[: attr.count]))
        if code:  # ENOENT: that was the last batch
            if code != errno.ENOENT:
                raise OSError(code, os.strerror(code))
            return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])
        first = False


def _address(data: bytes) -> int:
    """Address of the contents of a bytes object, which the caller keeps alive."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0

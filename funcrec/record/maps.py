"""Make rings, change and read BPF hash maps by raw system calls, from any process that holds their descriptor."""

import ctypes
import errno
import os
from typing import Any

import numpy as np

from funcrec.record.syscall import bpf

_CREATE, _UPDATE, _DELETE, _LOOKUP_BATCH, _UPDATE_BATCH = 0, 2, 3, 24, 26  # enum bpf_cmd; batches since Linux 5.6
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


def create_ring(size: int) -> int:
    """Make a ring buffer and return its descriptor.

    Args:
        size: bytes of its data area, a power of two of at least a page.

    Raises:
        OSError: no room for it, or not allowed.
    """
    descriptor, code = bpf(_CREATE, _CreateAttr(map_type=_RINGBUF, max_entries=size))
    if code:
        raise OSError(code, os.strerror(code))
    return descriptor


def update(descriptor: int, key: bytes, value: bytes) -> None:
    """Set an element.

    Raises:
        OSError: the map is full (E2BIG), or no such map.
    """
    attr = _ElementAttr(map_fd=descriptor, key=_address(key), value=_address(value))
    _, code = bpf(_UPDATE, attr)
    if code:
        raise OSError(code, os.strerror(code))


def put_maps(descriptor: int, inner: list[int]) -> None:
    """Fill an array of maps, from its first place on.

    All at once, since the kernel waits for running programs after each such call.

    Raises:
        OSError: a map does not fit.
    """
    keys, values = (np.array(each, dtype=np.uint32) for each in (range(len(inner)), inner))
    attr = _BatchAttr(keys=keys.ctypes.data, values=values.ctypes.data, count=len(inner), map_fd=descriptor)
    _, code = bpf(_UPDATE_BATCH, attr)
    if code:
        raise OSError(code, os.strerror(code))


def delete(descriptor: int, key: bytes) -> None:
    """Remove an element; none there is fine."""
    bpf(_DELETE, _ElementAttr(map_fd=descriptor, key=_address(key)))


def values(descriptor: int, key_size: int, row: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Return all values of a hash map as rows, in no order."""
    found = []
    position = ctypes.create_string_buffer(8)
    keys = ctypes.create_string_buffer(_BATCH * key_size)
    first = True
    while True:
        rows = np.zeros(_BATCH, dtype=row)
        attr = _BatchAttr(
            in_batch=0 if first else ctypes.addressof(position),
            out_batch=ctypes.addressof(position),
            keys=ctypes.addressof(keys),
            values=rows.ctypes.data,
            count=_BATCH,
            map_fd=descriptor,
        )
        _, code = bpf(_LOOKUP_BATCH, attr)
        found.append(rows[: attr.count])
        if code:  # ENOENT: that was the last batch
            if code != errno.ENOENT:
                raise OSError(code, os.strerror(code))
            return np.concatenate(found)
        first = False


def _address(data: bytes) -> int:
    """Address of the contents of a bytes object, which the caller keeps alive."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0

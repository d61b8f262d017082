"""Sums by key in exact integer arithmetic, at the speed of `numpy.bincount`.

`bincount` adds in double precision, which is exact only while every partial sum stays below 2**53. Large numbers are
cut into pieces for which that holds, so that sums of parts add up to the sum of the whole, to the last bit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_EXACT = 1 << 53
_PIECE = 26

# Python integers of any size in a numpy array of objects: one per key, so few.
BigInts = NDArray[Any]


def sum_by(codes: NDArray[np.intp], values: NDArray[np.integer[Any]], n: int) -> NDArray[np.int64]:
    """Sum of `values` (not negative, fewer than 2**27) for each code 0..n-1, as i64[n]."""
    if len(values) == 0:
        return np.zeros(n, np.int64)
    if int(values.max()) * len(values) < _EXACT:
        return np.bincount(codes, weights=values, minlength=n).astype(np.int64)
    low = np.bincount(codes, weights=values & ((1 << _PIECE) - 1), minlength=n).astype(np.int64)
    high = np.bincount(codes, weights=values >> _PIECE, minlength=n).astype(np.int64)
    return (high << _PIECE) + low


def _sum_wide(codes: NDArray[np.intp], values: NDArray[np.uint64], n: int) -> BigInts:
    total = np.zeros(n, object)
    for shift in range(0, 64, 22):
        piece = (values >> np.uint64(shift)) & np.uint64((1 << 22) - 1)
        sums = np.bincount(codes, weights=piece, minlength=n).astype(np.int64)
        total += sums.astype(object) << shift
    return total


def sum_squares_by(codes: NDArray[np.intp], values: NDArray[np.int64], n: int) -> BigInts:
    """Sum of the squares of `values` (not negative) for each code 0..n-1, as n Python integers."""
    wide = values.astype(np.uint64)
    low, high = wide & np.uint64(0xFFFFFFFF), wide >> np.uint64(32)
    total = _sum_wide(codes, low * low, n)
    big = np.flatnonzero(high)
    if len(big):
        total += _sum_wide(codes[big], np.uint64(2) * high[big] * low[big], n) << 32
        total += _sum_wide(codes[big], high[big] * high[big], n) << 64
    return total

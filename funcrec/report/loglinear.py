"""Log-linear buckets: 128 per octave, so that any value of a bucket is within 0.8 % of any other.

The bucket of a value is the exponent and the first seven fraction bits of its IEEE 754 double, read as one integer:
no logarithm and no search. Integers below 256 have a bucket of their own; negative values do not occur.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FRACTION_BITS = 7
_SHIFT = 52 - _FRACTION_BITS
_BASE = (1023 << _FRACTION_BITS) - 1  # the bucket of 1.0 is 1, and 0 is everything below
BUCKETS = (64 << _FRACTION_BITS) + 2


def bucket_of(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bucket (i64[n], 0..BUCKETS-1) of each value (i64[n], not negative)."""
    bits = values.astype(np.float64).view(np.int64)
    bits >>= _SHIFT
    bits -= _BASE
    return np.maximum(bits, 0, out=bits)


def lower_edge(buckets: ArrayLike) -> NDArray[np.float64]:
    """Smallest real number (f64[n]) that falls into each bucket; the upper edge is that of the next one."""
    buckets = np.asarray(buckets, np.int64)
    edge = ((buckets + _BASE) << _SHIFT).view(np.float64)
    return np.where(buckets == 0, 0.0, edge)


def middle(buckets: ArrayLike) -> NDArray[np.float64]:
    """The value (f64[n]) that stands for each bucket: the middle of the integers in it."""
    buckets = np.asarray(buckets, np.int64)
    return (np.ceil(lower_edge(buckets)) + np.ceil(lower_edge(buckets + 1)) - 1) / 2

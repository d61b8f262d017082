"""Log-linear buckets: 128 per octave, so that any value of a bucket is within 0.8 % of any other.

The bucket of a value is the exponent and the first seven fraction bits of its IEEE 754 double, read as one integer, and
negated for negative values: no logarithm and no search, and the order of buckets is that of values. Integers below 256
have a bucket of their own.
"""

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_SHIFT = 52 - 7
_ONE = 1023 << 7  # the bucket of 1.0


def bucket_of(values: NDArray[np.generic]) -> I64:
    """Bucket (i64[n]) of each value (any finite numbers)."""
    real = values.astype(np.float64)
    bits = real.view(np.int64) >> _SHIFT
    negative = bits < 0  # the sign bit
    if negative.any():
        bits[negative] = -((-real[negative]).view(np.int64) >> _SHIFT)
    return bits


def _edge(buckets: I64) -> F64:
    """Smallest number (f64[n]) of each bucket (not negative)."""
    return (buckets << _SHIFT).view(np.float64)


def middle(buckets: I64, *, whole: bool = True) -> F64:
    """The number (f64[n]) that stands for each bucket: the middle of the integers in it, or of the numbers in it."""
    size = np.abs(buckets)
    low, high = _edge(size), _edge(size + 1)
    between = (np.ceil(low) + np.ceil(high) - 1) / 2 if whole else (low + high) / 2
    return np.copysign(between, buckets)


def octave_of(buckets: I64) -> I64:
    """Power of two (i64[n]) at or below the values of each bucket (not negative): 0 for [1, 2), 3 for [8, 16)."""
    return (buckets - _ONE) >> 7

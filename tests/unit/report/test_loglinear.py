import numpy as np

from funcrec.report.loglinear import bucket_of, middle, octave_of


def test_small_integers_have_a_bucket_of_their_own() -> None:
    values = np.arange(-255, 256)
    assert np.array_equal(middle(bucket_of(values)), values)
    assert len(np.unique(bucket_of(values))) == len(values)


def test_buckets_are_in_order_and_narrow() -> None:
    sizes = np.unique(np.geomspace(1, 2**62, 5000).astype(np.int64))
    values = np.concatenate([-sizes[::-1], sizes])
    buckets = bucket_of(values)
    assert np.all(np.diff(buckets) >= 0)
    assert np.all(np.abs(middle(buckets) / values - 1) < 0.004)


def test_fractions() -> None:
    values = np.array([-2.75, -0.3, 0.0, 1e-300, 0.125, 1.9999])
    assert np.allclose(middle(bucket_of(values), whole=False), values, rtol=0.004)


def test_octaves() -> None:
    assert octave_of(bucket_of(np.array([1, 2, 3, 1023, 1024, 0.5]))).tolist() == [0, 1, 1, 9, 10, -1]

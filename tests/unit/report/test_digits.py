import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from funcrec.report.views import digits

times = st.lists(
    st.integers(0, 10**15) | st.integers(0, 10**7) | st.sampled_from([999_999, 999_500, 10**9 - 1]), min_size=1
)


def texts(field: digits.Bytes) -> list[str]:
    return [row.tobytes().decode() for row in field]


def expected(ns: int) -> str:
    if ns < 1000:
        return f"{ns} ns"
    if ns < 10**6:
        return f"{ns // 1000}.{ns % 1000:03} us"
    micros = (ns + 500) // 1000
    if micros < 10**6:
        return f"{micros // 1000}.{micros % 1000:03} ms"
    millis = (ns + 500_000) // 10**6
    return f"{millis // 1000}.{millis % 1000:03} s"


@given(times)
def test_durations(values: list[int]) -> None:
    field = np.empty((len(values), digits.duration_width(max(values))), dtype=np.uint8)
    digits.put_durations(field, np.array(values))
    assert [text.strip() for text in texts(field)] == [expected(value) for value in values]


@given(times)
def test_seconds(values: list[int]) -> None:
    field = np.empty((len(values), digits.seconds_width(max(values))), dtype=np.uint8)
    digits.put_seconds(field, np.array(values))
    seconds = [f"{value // 10**9}.{value % 10**9 // 1000:06}" for value in values]
    assert [text.strip() for text in texts(field)] == seconds


def test_marks_are_those_of_the_kernel() -> None:
    assert digits.mark_of(np.array([0, 9_999, 10_000, 100_000, 10**6, 10**7, 10**8, 10**9])).tolist() == [
        0,
        0,
        1,
        2,
        3,
        4,
        5,
        6,
    ]

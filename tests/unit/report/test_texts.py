"""Texts as far as they are known: what was cut off decides nothing."""

import pytest

from funcrec.report.texts import FAILS, HOLDS, UNKNOWN, CutText, matcher, undecided

WHOLE, CUT = "hello", CutText("hel…")


@pytest.mark.parametrize(
    ("glob", "whole", "cut"),
    [
        ("hello", HOLDS, UNKNOWN),
        ("hel", FAILS, UNKNOWN),
        ("hel*", HOLDS, HOLDS),
        ("*e*", HOLDS, HOLDS),
        ("*x*", FAILS, UNKNOWN),
        ("*lo", HOLDS, UNKNOWN),
        ("h?l*", HOLDS, HOLDS),
        ("x*", FAILS, FAILS),
        ("help", FAILS, UNKNOWN),
        ("hex*", FAILS, FAILS),
        ("hel…", FAILS, UNKNOWN),
        ("*", HOLDS, HOLDS),
        ("", FAILS, UNKNOWN),
    ],
)
def test_globs(glob: str, whole: int, cut: int) -> None:
    assert (matcher(glob)(WHOLE), matcher(glob)(CUT)) == (whole, cut)


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("/api/*", "/api.v1", False),
        ("main.F", "main.F[int]", False),
        ("a.b", "a%2eb", False),
        ("(*T)", "(xT)", True),
        ("a[1]", "a[1]", True),
        ("*", "two\nlines", True),
    ],
)
def test_texts_are_no_names(glob: str, text: str, fits: bool) -> None:
    assert matcher(glob)(text) == (HOLDS if fits else FAILS)


def test_a_cut_text_equals_no_whole_one() -> None:
    assert CutText("hel…") != "hel…"
    assert CutText("hel…") == CUT
    assert len({CUT, "hel…", CutText("hel…")}) == 2


@pytest.mark.parametrize(
    ("one", "other", "open_"),
    [
        (CUT, "hello", True),
        (CUT, "help", True),
        (CUT, "he", False),
        (CUT, "hex", False),
        (CUT, CutText("he…"), True),
        (CUT, CutText("ha…"), False),
        ("hel", "hello", False),
    ],
)
def test_order(one: str, other: str, open_: bool) -> None:
    assert undecided(one, other) is undecided(other, one) is open_

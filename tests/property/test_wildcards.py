"""Globs against a matcher that is too simple to be wrong."""

from hypothesis import given
from hypothesis import strategies as st

from funcrec.lang.pattern import Pattern, compile_glob

NAME = st.text("ab./", max_size=8)
GLOB = st.text("ab./*?", min_size=1, max_size=8)


def naive(glob: str, name: str) -> bool:
    if not glob:
        return not name
    if glob[0] == "*":
        return naive(glob[1:], name) or (bool(name) and naive(glob, name[1:]))
    return bool(name) and (glob[0] in ("?", name[0])) and naive(glob[1:], name[1:])


def expected(glob: str, name: str) -> bool:
    if glob.endswith("/*"):
        return naive(glob[:-2] + "/*", name) or naive(glob[:-2] + ".*", name)
    return naive(glob, name)


@given(GLOB, NAME)
def test_globs_agree_with_a_naive_matcher(glob: str, name: str) -> None:
    assert compile_glob(glob)(name) is expected(glob, name)


@given(GLOB, st.lists(NAME, max_size=5))
def test_selecting_is_matching_one_by_one(glob: str, names: list[str]) -> None:
    pattern = Pattern.parse(glob)
    assert pattern.select(names) == [at for at, name in enumerate(names) if pattern.matches(name)]


@given(st.text("ab.(*)[]%", min_size=1, max_size=10))
def test_a_name_matches_itself(name: str) -> None:
    glob = compile_glob(name)
    assert glob(name)


@given(st.text("main.F(*), ->[x]", max_size=20))
def test_parsing_ends_in_a_pattern_or_a_usage_error(text: str) -> None:
    from funcrec.errors import UsageError

    try:
        pattern = Pattern.parse(text)
    except UsageError:
        return
    assert pattern.glob

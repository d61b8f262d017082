import pytest

from funcrec.errors import UsageError
from funcrec.lang.pattern import Pattern, compile_glob


@pytest.mark.parametrize(
    ("text", "glob", "arguments", "results"),
    [
        ("main.add", "main.add", None, None),
        ("main.(*Student).String", "main.(*Student).String", None, None),
        ("main.(*Student).String(s.name, s.age)", "main.(*Student).String", "s.name, s.age", None),
        ("main.add(*p)", "main.add", "*p", None),
        ("main.add()", "main.add", "", None),
        ("main.f(x) -> (r0, err)", "main.f", "x", "r0, err"),
        ("main.f->($results)", "main.f", None, "$results"),
        ("main.f(a[0]) -> (r0[1].x)", "main.f", "a[0]", "r0[1].x"),
        ("main.(*T).*", "main.(*T).*", None, None),
        ("main.F[func(int) string]", "main.F[func(int) string]", None, None),
        ("main.F[func(int) string](x)", "main.F[func(int) string]", "x", None),
        ("main.F[<-chan int,chan<- int]", "main.F[<-chan int,chan<- int]", None, None),
        (
            "a/b.(*Mutex).tryAcquire(pfx=+0(+8(%ax)):c512, n=16(0(%ax)):u64 )",
            "a/b.(*Mutex).tryAcquire",
            "pfx=+0(+8(%ax)):c512, n=16(0(%ax)):u64",
            None,
        ),
    ],
)
def test_the_name_is_split_from_the_values(text: str, glob: str, arguments: str | None, results: str | None) -> None:
    pattern = Pattern.parse(text)
    assert (pattern.glob, pattern.arguments, pattern.results) == (glob, arguments, results)
    assert not pattern.exclude


def test_an_exclamation_mark_excludes() -> None:
    pattern = Pattern.parse("! main.*")
    assert pattern.exclude
    assert pattern.matches("main.add")


@pytest.mark.parametrize(
    "text", ["", "  ", "!", "(x)", "main.add(", "main.add(x))", "main.f -> x", "main.f -> (x", "!main.f(x)"]
)
def test_what_does_not_parse_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="pattern"):
        Pattern.parse(text)


def test_an_unknown_kind_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="kind"):
        Pattern.parse("main.*", "perl")


@pytest.mark.parametrize(
    ("glob", "name", "expected"),
    [
        ("main.*", "main.add", True),
        ("main.*", "main", False),
        ("*", "main.(*T).M", True),
        ("main.ad?", "main.add", True),
        ("main.ad?", "main.ad", False),
        ("*http.Get", "net/http.Get", True),  # a star crosses slashes
        ("main.(*T).M", "main.(*T).M", True),
        ("main.(*T).M", "main.(xT).M", False),  # the receiver's star is itself
        ("main.(*T*).M", "main.(*Tree).M", True),
        ("main.(*).M", "main.(*Tree).M", True),
        ("main.[a]", "main.a", False),  # brackets are no character class
        ("main.Map[go.shape.int]", "main.Map[go.shape.int]", True),
        ("main.Map", "main.Map[go.shape.int]", True),
        ("main.Map[...]", "main.Map[go.shape.int]", True),
        ("main.(*GT).Get", "main.(*GT[go.shape.string]).Get", True),
        ("main.(*GT[...]).Get", "main.(*GT[go.shape.string]).Get", True),
        ("main.Map[go.shape.int]", "main.Map[go.shape.string]", False),
        ("gopkg.in/yaml.v3.Load", "gopkg.in/yaml.v3.Load", True),
        ("gopkg.in/yaml%2ev3.Load", "gopkg.in/yaml.v3.Load", True),
        ("gopkg.in/yaml.v3.*", "gopkg.in/yaml%2ev3.Load", True),
        ("main.f·1", "main.f.1", True),
        ("net/http/*", "net/http.Get", True),  # below the path, and the package itself
        ("net/http/*", "net/http/httptest.New", True),
        ("net/http/*", "net/http2.New", False),
        ("net/*", "net.Dial", True),
    ],
)
def test_globs(glob: str, name: str, expected: bool) -> None:
    assert compile_glob(glob)(name) is expected
    assert Pattern.parse(glob).matches(name) is expected
    assert Pattern.parse(glob).select([name]) == ([0] if expected else [])


def test_regular_expressions_search_and_keep_their_parentheses() -> None:
    pattern = Pattern.parse(r"main\.(add|sub)$", "regex")
    assert pattern.arguments is None
    assert [pattern.matches(name) for name in ("main.add", "main.subtract", "x/main.sub")] == [True, False, True]
    assert Pattern.parse(r"^main\.Map$", "regex").matches("main.Map[go.shape.int]")


def test_values_follow_a_regular_expression_after_a_blank() -> None:
    pattern = Pattern.parse(r"main\.(add|sub) (a, b) -> (r0)", "regex")
    assert (pattern.glob, pattern.arguments, pattern.results) == (r"main\.(add|sub)", "a, b", "r0")


def test_a_broken_regular_expression_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="regular expression"):
        Pattern.parse("main.[", "regex")


def test_an_exact_name_is_one_without_wildcards() -> None:
    assert Pattern.parse("gopkg.in/yaml%2ev3.(*T).M(x)").exact_name == "gopkg.in/yaml.v3.(*T).M"
    assert Pattern.parse("main.(*T).M*").exact_name is None
    assert Pattern.parse("main.add", "regex").exact_name is None

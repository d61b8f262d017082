import pytest

from funcrec.lang.names import (
    display_name,
    is_generated,
    is_go_name,
    is_vendored,
    package_path,
    unescape,
    without_type_arguments,
)


@pytest.mark.parametrize(
    ("symbol", "name", "package"),
    [
        ("main.add", "main.add", "main"),
        ("net/http.(*Server).Serve", "net/http.(*Server).Serve", "net/http"),
        ("gopkg.in/yaml%2ev3.Load", "gopkg.in/yaml.v3.Load", "gopkg.in/yaml.v3"),
        ("a%20b/c%c3%a9.F", "a b/cé.F", "a b/cé"),
        ("main.F[go.shape.struct { a/b%2ec.X int }]", "main.F[go.shape.struct { a/b%2ec.X int }]", "main"),
        ("main.F[a/b.X]", "main.F[a/b.X]", "main"),
        ("main.f·1", "main.f.1", "main"),
        ("memmove", "memmove", ""),
    ],
)
def test_symbols_are_shown_unescaped(symbol: str, name: str, package: str) -> None:
    assert display_name(symbol) == name
    assert package_path(symbol) == package


def test_what_is_no_escape_stays() -> None:
    assert unescape("a%zz%2") == "a%zz%2"


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("main.add", "main.add"),
        ("main.(*GT[go.shape.string]).Get", "main.(*GT).Get"),
        ("main.F[map[string][]int].func1", "main.F.func1"),
        ("main.F[x", "main.F[x"),
        ("main.F]x", "main.F]x"),
    ],
)
def test_type_arguments_are_cut(name: str, bare: str) -> None:
    assert without_type_arguments(name) == bare


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("main.init", True),
        ("main.init.0", False),
        ("main.init.func1", False),
        ("main.(*T).init", False),
        ("main.map.init.0", True),
        ("main.(*T).M-fm", True),
        ("main.main.gowrap1", True),
        ("main.main.func2.deferwrap1", True),
        ("main.main.gowrap1.func2", False),
        ("main.F-range1", False),
        ("type:.eq.main.T", True),
        ("type..eq.main.T", True),
        ("go:struct { a.B }.M", True),
        ("go.etcd.io/etcd.Main", False),
        ("types.New", False),
        ("go/types.New", False),
    ],
)
def test_generated_names(symbol: str, expected: bool) -> None:
    assert is_generated(symbol) is expected


def test_go_names_have_a_package() -> None:
    assert is_go_name("main.main")
    assert not is_go_name("__tsan_read")


@pytest.mark.parametrize("package", ["vendor/golang.org/x/net", "cmd/vendor/golang.org/x/mod"])
def test_vendored_packages(package: str) -> None:
    assert is_vendored(package)
    assert not is_vendored("example.com/vendored")

import pytest

from funcrec.errors import UsageError
from funcrec.lang.expr import Binary, Literal, Name, Size, Unary, parse


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("dur > 1ms", "dur > 1ms"),
        ("not dur>1ms  and goid == 7 or x", "not dur > 1ms and goid == 7 or x"),
        ("!(a && b) || c", "not (a and b) or c"),
        ("a - (b - c)", "a - (b - c)"),
        ("(a - b) - c", "a - b - c"),
        ("a * (b + c) // 2 % 3", "a * (b + c) // 2 % 3"),
        ("-x * *p.next == 3", "-x * *p.next == 3"),
        ("len(req.items[3].name) / 1KB", "len(req.items[3].name) / 1KB"),
        ("func =~ 'main.(*T).*'", 'func =~ "main.(*T).*"'),
        ("err != nil", "err != nil"),
        ('s == "a\\"b\\n\\x1b"', 's == "a\\"b\\x0a\\x1b"'),
        ("ret.r0 == true", "ret.r0 == true"),
    ],
)
def test_expressions_print_back(text: str, printed: str) -> None:
    assert str(parse(text)) == printed
    assert parse(printed) == parse(text)


def test_operators_bind_as_people_expect() -> None:
    assert parse("a or b and not c == 1 + 2 * 3") == Binary(
        "or",
        Name(("a",)),
        Binary(
            "and",
            Name(("b",)),
            Unary(
                "not",
                Binary("==", Name(("c",)), Binary("+", Literal(1), Binary("*", Literal(2), Literal(3)))),
            ),
        ),
    )
    assert parse("*p.x") == Unary("*", Name(("p", "x")))
    assert parse("len(b)") == Size("len", Name(("b",)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1ms", 10**6),
        ("1.5us", 1500),
        ("4KB", 4096),
        ("2MiB", 2 << 20),
        ("64K", 65536),
        ("3B", 3),
        ("1m", 60 * 10**9),
        ("0xff", 255),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("18446744073709551615", 2**64 - 1),
    ],
)
def test_numbers_have_units(text: str, value: float) -> None:
    node = parse(text)
    assert isinstance(node, Literal)
    assert node.value == value
    assert str(node) == text


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 1, "a value is missing"),
        ("dur >", 6, "a value is missing"),
        ("dur > 1parsec", 7, "parsec"),
        ("dur = 3", 5, "means nothing"),
        ("a < b < c", 7, "do not chain"),
        ("(a", 3, "')' is missing"),
        ("a b", 3, "does not fit"),
        ("x == 'abc", 6, "not closed"),
        ("x =~ y", 3, "wants a glob"),
        ("'a' == 3", 5, "text cannot be compared with a number"),
        ("len(x) == 'a'", 8, "a number cannot be compared with text"),
        ("x.", 3, "field name"),
        ("x[y]", 3, "index"),
        ("1M > x", 1, "minutes or megabytes"),
        ("99999999999999999999 == x", 1, "64 bits"),
        ("x == '\\q'", 6, "unknown escape"),
    ],
)
def test_errors_name_the_column(text: str, column: int, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert f"column {column}:" in caught.value.cause
    assert says in caught.value.cause
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["(" * 500 + "a", "-" * 3000 + "a", "not " * 900 + "a", "a+" * 2000 + "a", "a" * 5000])
def test_hostile_expressions_end_in_one_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)

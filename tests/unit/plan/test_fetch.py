import pytest

from funcrec.errors import UsageError
from funcrec.lang.path import Path
from funcrec.plan.fetch import FIRST_RESULT, NamedFetch, RawFetch, RawType, Special, parse_list


def raw(text: str) -> RawFetch:
    (found,) = parse_list(text)
    assert isinstance(found, RawFetch)
    return found


def test_every_documented_rule_of_the_ancestors_parses_as_they_read_it() -> None:
    pfx, n_pfx, identity = parse_list("pfx=+0(+8(%ax)):c512, n_pfx=+16(%ax):u64, m.s.id=16(0(%ax)):u64 ")
    assert pfx == RawFetch("pfx", "AX", 0, False, (8, 0), RawType("c", 64))
    assert n_pfx == RawFetch("n_pfx", "AX", 0, False, (16,), RawType("u", 8))
    assert identity == RawFetch("m.s.id", "AX", 0, False, (0, 16), RawType("u", 8))
    name, length, age = parse_list("s.name=(*+0(%ax)):c64, s.name.len=(+8(%ax)):s64, s.age=(+16(%ax)):s64")
    assert name == RawFetch("s.name", "AX", 0, False, (0, 0), RawType("c", 8))
    assert length == RawFetch("s.name.len", "AX", 0, False, (8,), RawType("s", 8))
    assert age == RawFetch("s.age", "AX", 0, False, (16,), RawType("s", 8))
    assert raw("len=(%bx):s64") == RawFetch("len", "BX", 0, False, (), RawType("s", 8))


@pytest.mark.parametrize(
    ("text", "register", "offsets"),
    [
        ("x=%rax:u64", "AX", ()),
        ("x = + 8 ( %sp ) : u64", "SP", (8,)),
        ("x=-8(%bp):u32", "BP", (-8,)),
        ("x=$stack2:u64", "SP", (16,)),
        ("x=$retval:s32", FIRST_RESULT, ()),
        ("x=0x10(%r15):u8", "R15", (16,)),
        ("x=@0x5000:u64", "", (0,)),
        ("x=+8(@0x5000):u64", "", (0, 8)),
        ("x=+8(*+16(*+24(%ax))):u64", "AX", (24, 16, 8)),
        ("x=*+8(%ax):u64", "AX", (8, 0)),
    ],
)
def test_raw_operands(text: str, register: str, offsets: tuple[int, ...]) -> None:
    found = raw(text)
    assert (found.register, found.offsets) == (register, offsets)


def test_types() -> None:
    assert raw("%ax").type == RawType("x", 8)
    assert raw("a=%ax:x8[4]").type == RawType("x", 1, 4)
    assert raw("a=%ax:f32").type == RawType("f", 4)
    assert raw("a=%ax:string").type == RawType("string", 0)
    assert raw("a=\\42:u8") == RawFetch("a", "", 42, True, (), RawType("u", 1))
    assert raw("%ax:bool").name == "%ax:bool"


def test_names_and_paths() -> None:
    assert parse_list(" req . URL . Path , len( b ), *p, s.items[0].id:c64, v=err") == [
        NamedFetch("req.URL.Path", Path("req", ("URL", "Path"))),
        NamedFetch("len(b)", Path("b", (), 0, "len")),
        NamedFetch("*p", Path("p", (), 1)),
        NamedFetch("s.items[0].id", Path("s", ("items", 0, "id")), 8),
        NamedFetch("v", Path("err")),
    ]
    assert parse_list("$params") == [Special.PARAMETERS]
    assert parse_list("") == []


@pytest.mark.parametrize(
    "text",
    [
        *("x=%zz:u64", "x=%ax:u7", "x=(%ax:u64", "x=%ax):u64", "a,,b", "a.", ".a", "a b", "x=\\1:c8", "x=+8(\\1):u8"),
        *("a=%ax:c7", "a=%ax:u8[0]", "x=%ax:string[2]", "a,a", "=%ax", "len(a", "x=+8:u64", "x=@zz:u8"),
        ",".join(f"v{i}" for i in range(65)),
    ],
)
def test_malformed_items_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_list(text)

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from funcrec.target.code import CodeReader
from funcrec.target.executable import Executable
from funcrec.target.runtime_layout import layout_from_dwarf, runtime_layout
from tests.toolchain import DEFAULT, EVERY_VERSION, PROGRAMS, VERSIONS, c_compiler, strip

SOURCE = PROGRAMS / "shapes" / "main.go"
CGO = (("CGO_ENABLED", "1"),)


def as_printed(name: str) -> str:
    """How the runtime shows a generic name: everything from the first bracket to the last is left out."""
    first, last = name.find("["), name.rfind("]")
    return name[:first] + "[...]" + name[last + 1 :] if 0 <= first < last else name


BUILDS = [
    pytest.param(DEFAULT, (), (), id="plain"),
    pytest.param(DEFAULT, ("-buildmode=pie",), (), id="pie"),
    pytest.param(DEFAULT, ("-ldflags=-s -w",), (), id="stripped"),
    pytest.param(DEFAULT, ("-gcflags=all=-N -l",), (), id="unoptimised", marks=pytest.mark.slow),
    *(pytest.param(version, (), (), id=version) for version in VERSIONS if version != DEFAULT),
    *(
        pytest.param(version, flags, CGO, id=f"{version}-{name}", marks=pytest.mark.slow)
        for version in VERSIONS
        for name, flags in (
            ("external", ("-ldflags=-linkmode=external",)),
            ("external-pie", ("-buildmode=pie", "-ldflags=-linkmode=external")),
            ("external-pie-stripped", ("-buildmode=pie", "-ldflags=-linkmode=external -s -w")),
        )
    ),
]


def ask(binary: Path, executable: Executable, addresses: list[int]) -> list[tuple[int, str, str, int] | None]:
    """What the program's own runtime knows about addresses: entry, innermost name, file, line."""
    (main,) = executable.functions.named("main.main")
    lines = [f"main.main {main.address}", *map(str, addresses)]
    done = subprocess.run([binary], input="\n".join(lines), capture_output=True, text=True, check=True, timeout=60)
    answers: list[tuple[int, str, str, int] | None] = []
    for line in done.stdout.splitlines():
        if line == "none":
            answers.append(None)
            continue
        entry, name, file, number = line.split("\t")
        answers.append((int(entry), name, file, int(number)))
    assert len(answers) == len(addresses)
    return answers


@pytest.mark.parametrize(("version", "flags", "env"), BUILDS)
def test_the_runtime_agrees(
    version: str, flags: tuple[str, ...], env: tuple[tuple[str, str], ...], build_shapes: Callable[..., Path]
) -> None:
    if env and c_compiler() is None:
        pytest.skip("no C compiler")
    binary = build_shapes(version, *flags, env=env)
    executable = Executable.open(str(binary))
    assert executable.go_version == f"go{version}"
    assert executable.is_pie is ("-buildmode=pie" in flags)
    start, end = executable.text
    addresses = [start - 1, *range(start, end, 977)]
    for address, answer in zip(addresses, ask(binary, executable, addresses), strict=True):
        function = executable.function_at(address)
        if answer is None:
            assert function is None
            continue
        entry, name, file, line = answer
        assert function is not None
        assert function.address == entry
        file = file.removeprefix("?")
        assert executable.line(address) == (file, line)
        chain = executable.inline_chain(address)
        assert (chain[0].file, chain[0].line) == (file, line)
        assert chain[-1].name == function.name
        # The runtime takes the first name of its table, at offset 0, for no name.
        if name and "·" not in name and "%" not in name:
            assert as_printed(chain[0].name) == name


@pytest.mark.parametrize("flags", [(), ("-buildmode=pie",)])
def test_functions_are_those_of_the_symbol_table(flags: tuple[str, ...], build_shapes: Callable[..., Path]) -> None:
    binary = build_shapes(DEFAULT, *flags)
    executable = Executable.open(str(binary))
    with binary.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab").iter_symbols()
        expected: dict[int, set[str]] = {}
        for symbol in symbols:
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_size"]:
                expected.setdefault(symbol["st_value"], set()).add(symbol.name.removesuffix(".abi0"))
    for function in executable.functions:
        if function.address in expected:
            assert function.symbol.replace("·", ".") in expected.pop(function.address)
    assert not expected


@pytest.mark.parametrize(
    "version",
    [pytest.param(v, marks=[] if v in VERSIONS else pytest.mark.slow) for v in EVERY_VERSION],
)
def test_the_layout_of_the_runtime_is_that_of_the_debug_information(
    version: str, build_shapes: Callable[..., Path]
) -> None:
    binary = str(build_shapes(version))
    assert layout_from_dwarf(binary) == Executable.open(binary).runtime_layout


def test_a_newer_version_is_read_from_the_debug_information(build_shapes: Callable[..., Path]) -> None:
    binary = build_shapes()
    assert runtime_layout(str(binary), (1, 99, 0)) == Executable.open(str(binary)).runtime_layout
    from funcrec.errors import TargetError

    with pytest.raises(TargetError, match=r"1\.99"):
        runtime_layout(str(strip(binary)), (1, 99, 0))
    with pytest.raises(TargetError, match=r"1\.17"):
        runtime_layout(str(binary), (1, 17, 0))


def test_facts_about_the_build(shapes: Executable) -> None:
    assert shapes.release == tuple(map(int, DEFAULT.split(".")))
    assert shapes.main_module == "funcrec.test/programs"
    assert shapes.build.main_package == "funcrec.test/programs/shapes"
    assert shapes.settings["GOARCH"] == "amd64"
    assert shapes.experiments == ()
    assert shapes.architecture == "x86-64"
    assert shapes.go_build_id.count("/") == 3
    assert len(shapes.gnu_build_id) == 40
    assert shapes.types_base is not None


def test_a_stripped_copy_is_read_alike(shapes: Executable) -> None:
    stripped = Executable.open(str(strip(Path(shapes.path))))
    assert stripped.functions.names == shapes.functions.names
    assert stripped.inlined_only == shapes.inlined_only
    assert stripped.go_build_id == shapes.go_build_id
    assert stripped.types_base == shapes.types_base


def test_names_are_shown_unescaped(shapes: Executable) -> None:
    (function,) = shapes.functions.named("funcrec.test/programs/shapes/dotted.pkg.Straight")
    assert function.symbol == "funcrec.test/programs/shapes/dotted%2epkg.Straight"
    assert function.package == "funcrec.test/programs/shapes/dotted.pkg"


def test_functions_are_a_sequence(shapes: Executable) -> None:
    functions = shapes.functions
    assert functions[-1].index == len(functions) - 1
    assert [f.index for f in functions[2:4]] == [2, 3]
    assert functions.named("main.nobody") == []
    assert next(iter(functions)) == functions[0]
    with pytest.raises(IndexError):
        functions[len(functions)]


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(SOURCE.read_text().splitlines(), 1) if text in line)


def test_declarations(shapes: Executable) -> None:
    (function,) = shapes.functions.named("main.outer")
    assert function.declaration == (str(SOURCE), line_of("func outer("))


def test_a_call_site_is_told_through_inlined_callers(shapes: Executable) -> None:
    (outer,), (where,) = shapes.functions.named("main.outer"), shapes.functions.named("main.where")
    calls = CodeReader(shapes).calls_of(outer, {where.address})
    returns = [call.address + 5 for call in calls]
    assert [shapes.describe(pc) for pc in returns] == [
        ("main.outer", returns[0] - outer.address, str(SOURCE), line_of("line of the call in inner")),
        ("main.outer", returns[1] - outer.address, str(SOURCE), line_of("line of the calls in outer")),
    ]
    assert [(frame.name, frame.line) for frame in shapes.inline_chain(returns[0] - 1)] == [
        ("main.inner", line_of("line of the call in inner")),
        ("main.middle", line_of("line of the call in middle")),
        ("main.outer", line_of("line of the calls in outer")),
    ]


def test_what_is_forgotten_is_read_again(shapes: Executable) -> None:
    """Single names without the list of all, which has the same in it when it is asked for again."""
    functions = shapes.functions
    names, symbols, inlined = functions.names, functions.symbols, shapes.inlined_only
    places = [shapes.describe(int(address) + 1) for address in functions.addresses]
    shapes.forget()
    assert [shapes.describe(int(address) + 1) for address in functions.addresses] == places
    assert [(function.name, function.symbol) for function in functions] == list(zip(names, symbols, strict=True))
    assert shapes.inlined_only == inlined
    assert (functions.names, functions.symbols) == (names, symbols)


def test_outside_the_text_there_is_nothing(shapes: Executable) -> None:
    for pc in (0, 1, shapes.text[0], shapes.text[1] + 1, 1 << 63):
        assert shapes.describe(pc) == ("", 0, "", 0)
    assert shapes.function_at(0) is None
    assert shapes.line(0) == ("", 0)
    assert shapes.inline_chain(0) == []
    assert shapes.frame_size(0) == -1


def test_what_was_inlined_is_known(shapes: Executable) -> None:
    assert {"main.inner", "main.middle", "main.onlyInlined"} <= set(shapes.inlined_only)
    assert "main.outer" not in shapes.inlined_only
    assert shapes.inlined_into(["main.inner", "main.onlyInlined", "main.where", "main.nobody"]) == {
        "main.inner": ["main.outer"],
        "main.onlyInlined": ["main.main"],
    }


def test_another_processor_is_read(build_shapes: Callable[..., Path]) -> None:
    executable = Executable.open(str(build_shapes(DEFAULT, env=(("GOARCH", "arm64"),))))
    assert executable.architecture == "arm64"
    (function,) = executable.functions.named("main.outer")
    assert function.declaration == (str(SOURCE), line_of("func outer("))

import re
from collections.abc import Sequence

import pytest

from funcrec.errors import TargetError, UsageError
from funcrec.plan.selection import Selection, parse_patterns, select_functions
from funcrec.target.executable import Executable
from tests.toolchain import PROGRAMS, c_compiler, go_build


def select(executable: Executable, *patterns: str, roots: Sequence[str] = (), vendor: bool = False) -> Selection:
    return select_functions(executable, parse_patterns(patterns), parse_patterns(roots), exclude_vendor=not vendor)


def names(executable: Executable, selection: Selection) -> list[str]:
    return [executable.functions.names[selected.index] for selected in selection.functions]


def test_a_wildcard_takes_ordinary_functions_only(shapes: Executable) -> None:
    found = names(shapes, select(shapes, "main.*"))
    assert {"main.add", "main.(*Student).String", "main.main.func1", "main.Map[go.shape.int,go.shape.string]"} <= set(
        found
    )
    # Compiler-made: a method value, a wrapper, and a forwarder that is no wrapper by its funcID.
    assert not {"main.(*Student).String-fm", "main.Wrapped.Promoted", "main.(*Wrapped).Promoted"} & set(found)
    assert found == sorted(found, key=lambda name: shapes.functions.named(name)[0].address)


def test_everything_leaves_out_assembly_wrappers_and_vendored_packages(shapes: Executable) -> None:
    table = shapes.functions
    for selected in select(shapes, "*").functions:
        assert not table.assembly[selected.index]
        assert not table.wrapper[selected.index]
        assert not table.names[selected.index].startswith(("type:", "go:", "vendor/"))


@pytest.mark.skipif(c_compiler() is None, reason="-race needs a C compiler")
def test_everything_leaves_out_c() -> None:
    """The race detector is some 800 C++ functions in Go's own table, parts of them with a dot in their names."""
    executable = Executable.open(str(go_build(PROGRAMS / "workload", flags=("-race",), env={"CGO_ENABLED": "1"})))
    table = executable.functions
    mangled = {index for index, name in enumerate(table.names) if name.startswith(("_ZN", "x_cgo_", "__tsan"))}
    assert len(mangled) > 500
    assert any("." in table.names[index] for index in mangled)
    chosen = {selected.index for selected in select(executable, "*").functions}
    assert not chosen & mangled
    assert all(table[index].declaration[0] for index in chosen)


def test_an_exact_name_takes_anything(shapes: Executable) -> None:
    for name in ("main.(*Wrapped).Promoted", "main.Wrapped.Promoted", "main.(*Student).String-fm", "runtime.memmove"):
        assert names(shapes, select(shapes, name)) == [name]


def test_of_a_function_and_its_abi_wrapper_the_function_is_taken(shapes: Executable) -> None:
    assert len(shapes.functions.named("runtime.goexit1")) == 2
    (selected,) = select(shapes, "runtime.goexit1").functions
    assert not shapes.functions.wrapper[selected.index]


def test_generic_functions_are_found_without_their_type_arguments(shapes: Executable) -> None:
    for pattern in ("main.(*Box).Get", "main.(*Box[...]).Get", "main.(*Box[go.shape.string]).Get"):
        assert names(shapes, select(shapes, pattern)) == ["main.(*Box[go.shape.string]).Get"]


def test_escaped_and_plain_paths_are_the_same(shapes: Executable) -> None:
    path = "funcrec.test/programs/shapes/dotted"
    plain, escaped = select(shapes, f"{path}.pkg.*"), select(shapes, f"{path}%2epkg.*")
    assert plain.functions == escaped.functions
    assert len(plain.functions) == 3
    assert len(select(shapes, "funcrec.test/programs/*").functions) == 3


def test_exclusions_apply_whatever_the_order(shapes: Executable) -> None:
    first, last = select(shapes, "!main.add", "main.a*"), select(shapes, "main.a*", "!main.add")
    assert names(shapes, first) == names(shapes, last) == ["main.answer"]
    assert first.functions[0].patterns == (1,)


def test_all_patterns_and_roots_that_name_a_function_are_known(shapes: Executable) -> None:
    selection = select(shapes, "main.a*", "main.add(a)", roots=["main.main", "main.add"])
    by_name = dict(zip(names(shapes, selection), selection.functions, strict=True))
    assert (by_name["main.add"].patterns, by_name["main.add"].roots) == ((0, 1), (1,))
    assert (by_name["main.main"].patterns, by_name["main.main"].roots) == ((), (0,))


def test_exclusions_of_patterns_do_not_touch_roots(shapes: Executable) -> None:
    selection = select(shapes, "main.*", "!main.main", roots=["main.main"])
    (root,) = [selected for selected in selection.functions if selected.roots]
    assert root.patterns == ()


def test_inlined_functions_are_named_with_their_callers(shapes: Executable) -> None:
    selection = select(shapes, "main.*")
    reasons = {skipped.name: skipped.reason for skipped in selection.skipped}
    assert reasons["main.inner"] == "inlined everywhere (into main.outer): no code"
    assert any("main.inner" in note and "inlined everywhere" in note for note in selection.notes)
    assert "main.inner" not in {skipped.name for skipped in select(shapes, "main.*", "!main.in*").skipped}


def test_a_wrapper_that_seems_to_be_asked_for_is_explained(shapes: Executable) -> None:
    selection = select(shapes, "main.(*Wrapped).*", "main.add")
    assert {skipped.name for skipped in selection.skipped} == {"main.(*Wrapped).Promoted"}


def test_vendored_packages_are_left_out(shapes: Executable) -> None:
    # The program has none, but the rule looks at names alone.
    assert select(shapes, "main.*", vendor=True).functions == select(shapes, "main.*").functions


@pytest.mark.parametrize(
    ("patterns", "cause", "remedy"),
    [
        (["main.aad"], "no function in .* matches 'main.aad'", "did you mean main.add"),
        (["main.Student.String"], "no function", r"main\.\(\*Student\)\.String"),
        (["nothing.like.it.Anywhere"], "no function", "funcrec list -u 'main.*'"),
        (["main.ad*", "main.addd"], "matches 'main.addd'", "main.add"),
        (["main.onlyInlined"], "main.onlyInlined in .* is inlined everywhere", "noinline"),
        (["*.String-fm"], "matches only what wildcards leave out", r"main\.\(\*Student\)\.String-fm"),
        (["main.add", "!main.*"], "exclusions leave none", "narrower"),
    ],
)
def test_no_match_is_an_error_with_a_way_out(patterns: list[str], cause: str, remedy: str, shapes: Executable) -> None:
    with pytest.raises(TargetError, match=cause) as raised:
        select(shapes, *patterns)
    assert re.search(remedy, raised.value.remedy)


def test_one_wildcard_without_a_match_is_a_note(shapes: Executable) -> None:
    selection = select(shapes, "main.add", "net/http.*")
    assert names(shapes, selection) == ["main.add"]
    assert "no function matches 'net/http.*'" in selection.notes


def test_a_root_that_names_nothing_is_an_error(shapes: Executable) -> None:
    with pytest.raises(TargetError, match="net/http"):
        select(shapes, "main.*", roots=["main.main", "net/http.*"])


def test_only_exclusions_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="only excludes"):
        parse_patterns(["!main.*"])

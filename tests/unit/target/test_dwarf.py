"""The fast reader against real binaries of every Go version."""

from pathlib import Path

import pytest

from funcrec.errors import TargetError
from funcrec.lang.types import Kind
from funcrec.target import dwarf
from funcrec.target.debug import debug_sections
from funcrec.target.dwarf import Dwarf
from funcrec.target.executable import Executable
from funcrec.target.gotypes import GoTypes
from funcrec.target.runtimetypes import runtime_types
from funcrec.target.subprograms import Subprograms
from tests.toolchain import DEFAULT, PROGRAMS, VERSIONS, go_build


@pytest.fixture(scope="module", params=VERSIONS)
def binary(request: pytest.FixtureRequest) -> Path:
    return go_build(PROGRAMS / "values", version=request.param)


def function(executable: Executable, name: str) -> tuple[str, int]:
    (found,) = executable.functions.named(name)
    return found.symbol, found.address


def test_parameters_and_results_in_order(binary: Path) -> None:
    executable, types = Executable.open(str(binary)), GoTypes(Dwarf(debug_sections(str(binary))))
    found = Subprograms(types.debug).find(*function(executable, "main.(*Point).Scale"))
    assert found is not None
    assert [(v.name, v.result) for v in found.parameters] == [("p", False), ("by", False), ("~r0", True)]
    names = [types.table[types.number(v.type)].name for v in found.parameters]
    assert names == ["*main.Point", "int", "main.Point"]


def test_structures_with_offsets(binary: Path) -> None:
    executable, types = Executable.open(str(binary)), GoTypes(Dwarf(debug_sections(str(binary))))
    found = Subprograms(types.debug).find(*function(executable, "main.Student.Label"))
    assert found is not None
    student = types.table[types.number(found.parameters[0].type)]
    assert student.kind is Kind.STRUCT
    described = [(f.name, f.offset, types.table[f.type].kind, f.embedded) for f in student.fields]
    assert described == [
        ("name", 0, Kind.STRING, False),
        ("age", 16, Kind.INT, False),
        ("inner", 24, Kind.POINTER, False),
        ("Point", 32, Kind.STRUCT, True),
        ("grades", 48, Kind.ARRAY, False),
        ("empty", 54, Kind.STRUCT, False),
    ]
    inner = types.table[types.table[student.fields[2].type].elem]
    assert (inner.name, inner.size) == ("main.Inner", 40)


def test_kinds_that_are_typedefs(binary: Path) -> None:
    executable, types = Executable.open(str(binary)), GoTypes(Dwarf(debug_sections(str(binary))))
    kinds = {}
    for name in ("main.maps", "main.channels", "main.interfaces", "main.failures"):
        found = Subprograms(types.debug).find(*function(executable, name))
        assert found is not None
        kinds[name] = [types.table[types.number(v.type)].kind for v in found.parameters if not v.result]
    assert kinds == {
        "main.maps": [Kind.MAP, Kind.MAP],
        "main.channels": [Kind.CHAN, Kind.FUNC, Kind.UNSAFE],
        "main.interfaces": [Kind.EFACE, Kind.IFACE],
        "main.failures": [Kind.IFACE, Kind.IFACE],
    }


def test_types_of_the_runtime_are_those_of_a_full_walk(binary: Path) -> None:
    reader = Dwarf(debug_sections(str(binary)))
    walked: dict[int, int] = {}
    for unit in reader.units:
        at = unit.first
        while at < unit.end:
            entry = reader.entry(at, unit)
            at = at + 1 if entry is None else entry.next
            place = entry.attributes.get(dwarf.AT_GO_RUNTIME_TYPE) if entry else None
            if entry and place:
                walked.setdefault(place, entry.offset)
    found = runtime_types(reader)
    assert {place: found.get(place) for place in walked} == walked
    assert len(found) <= len(walked) * 1.02


def test_an_unknown_function_is_none_and_no_information_an_error() -> None:
    reader = Dwarf(debug_sections(str(go_build(PROGRAMS / "values", version=DEFAULT))))
    assert Subprograms(reader).find("main.nowhere", 0x1000) is None
    with pytest.raises(TargetError):
        Dwarf(debug_sections(str(go_build(PROGRAMS / "values", version=DEFAULT, flags=("-ldflags=-w",)))))

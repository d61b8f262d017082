from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from funcrec.errors import TargetError, UsageError
from funcrec.plan.builder import build_plan
from funcrec.plan.cost import estimate_cost
from funcrec.plan.listing import function_rows, skipped_rows
from funcrec.plan.sites import Edge, ProbePlan, Role, SiteKind
from funcrec.target.code import CodeReader
from funcrec.target.executable import Executable
from tests.toolchain import VERSIONS


def roles(plan: ProbePlan, name: str) -> list[Role]:
    (number,) = [at for at, function in enumerate(plan.functions) if function.name == name]
    return [site.role for site in plan.sites if site.function == number]


def test_sites_carry_what_the_kernel_needs(shapes: Executable) -> None:
    plan = build_plan(shapes, ["main.outer"])
    entry, ret = [site for site in plan.sites if site.function == 0]
    assert (entry.role, entry.edge, entry.condition, entry.kind) == (Role.ENTRY, Edge.FALLTHROUGH, 6, SiteKind.EMULATED)
    assert (ret.role, ret.edge, ret.condition, ret.kind) == (Role.EXIT, Edge.ALWAYS, -1, SiteKind.STEPPED)
    for site in (entry, ret):
        assert site.offset == shapes.offset_of(site.address)
        assert site.sp_delta == 0
    assert plan.functions[0].pattern == 0
    assert not plan.rooted


def test_no_address_has_two_probes(shapes: Executable) -> None:
    plan = build_plan(shapes, ["*"], ["main.main"])
    addresses = Counter(site.address for site in plan.sites)
    assert addresses.most_common(1)[0][1] == 1
    assert len({function.address for function in plan.functions if not function.hidden}) == sum(
        not function.hidden for function in plan.functions
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_the_runtime_is_watched_for_the_truth_of_states(version: str, build_shapes: Callable[..., Path]) -> None:
    plan = build_plan(Executable.open(str(build_shapes(version))), ["main.add"])
    hidden = [function.name for function in plan.functions if function.hidden]
    assert hidden == ["runtime.recovery", "runtime.goexit1", "runtime.fatalpanic", "runtime.main"]
    (recovery,) = [site for site in plan.sites if site.role == Role.RECOVERY]
    executable = Executable.open(str(build_shapes(version)))
    assert CodeReader(executable).instruction_at(recovery.address).startswith("call")
    assert recovery.kind == SiteKind.EMULATED
    for role in (Role.GOEXIT, Role.START):
        (site,) = [site for site in plan.sites if site.role == role]
        assert (site.edge, site.condition) == (Edge.FALLTHROUGH, 6)
    (fatal,) = [site for site in plan.sites if site.role == Role.FATAL]
    assert fatal.kind == SiteKind.EMULATED
    assert plan.notes == ()


def test_a_watched_function_is_not_recorded_too(shapes: Executable) -> None:
    plan = build_plan(shapes, ["main.add", "runtime.goexit1", "runtime.gogo"])
    reasons = {skipped.name: skipped.reason for skipped in plan.skipped}
    assert "how goroutines begin and end" in reasons["runtime.goexit1"]
    assert "calling convention" in reasons["runtime.gogo"]


def test_values_that_are_wanted_decide_where_straight_code_is_probed(shapes: Executable) -> None:
    point, entry, ret = [Role.POINT], Role.ENTRY, Role.EXIT
    assert roles(build_plan(shapes, ["main.add"]), "main.add") == point
    assert roles(build_plan(shapes, ["main.add(a)"]), "main.add") == point
    assert roles(build_plan(shapes, ["main.add(a) -> (r0)"]), "main.add") == [entry, ret]
    assert roles(build_plan(shapes, ["main.*", "main.add(a) -> (r0)"]), "main.add") == [entry, ret]
    assert roles(build_plan(shapes, ["main.pick"], ["main.add(a) -> (r0)"]), "main.add") == [entry, ret]
    assert roles(build_plan(shapes, ["main.add"], arguments=True, results=True), "main.add") == [entry, ret]


def test_roots_are_probed_without_being_patterns(shapes: Executable) -> None:
    plan = build_plan(shapes, ["main.add"], ["main.outer"])
    assert plan.rooted
    (root,) = [function for function in plan.functions if function.root]
    assert (root.name, root.pattern, root.patterns, root.roots) == ("main.outer", -1, (), (0,))
    assert [pattern.text for pattern in plan.root_patterns] == ["main.outer"]


def test_the_same_input_gives_the_same_plan(shapes: Executable) -> None:
    again = Executable.open(shapes.path)
    assert build_plan(shapes, ["*"], ["main.main"]).sites == build_plan(again, ["*"], ["main.main"]).sites


def test_partly_inlined_functions_are_marked(shapes: Executable) -> None:
    plan = build_plan(shapes, ["runtime.*"])
    partly = [function for function in plan.functions if function.inlined_count]
    assert partly
    assert all(0 < len(function.inlined_into) <= 10 for function in partly)
    assert any("partly inlined" in note for note in plan.notes)


def test_too_many_probes_are_an_error_that_names_the_option(shapes: Executable) -> None:
    with pytest.raises(UsageError, match="--max-probes"):
        build_plan(shapes, ["main.*"], max_probes=10)


def test_nothing_to_probe_is_an_error(shapes: Executable) -> None:
    with pytest.raises(TargetError, match=r"runtime\.gogo .* cannot be probed"):
        build_plan(shapes, ["runtime.gogo"])


def test_rows_of_a_listing(shapes: Executable) -> None:
    plan = build_plan(shapes, ["main.*"], ["main.main"])
    rows = {row["name"]: row for row in function_rows(plan, CodeReader(shapes).instruction_at)}
    assert "runtime.recovery" not in rows
    assert (rows["main.outer"]["entry"], rows["main.outer"]["exit"]) == ("emulated", "stepped")
    assert (rows["main.add"]["entry"], rows["main.add"]["exit"]) == ("stepped", "entry")
    assert rows["main.forever"]["exit"] == "never"
    assert rows["main.main"]["root"]
    assert rows["main.main"]["patterns"] == ["main.*", "main.main"]
    assert [probe["role"] for probe in rows["main.outer"]["probes"]] == ["entry", "exit"]
    assert {"name": "main.inner", "reason": "inlined everywhere (into main.outer): no code"} in skipped_rows(plan)


def test_stepped_sites_make_calls_dearer(shapes: Executable) -> None:
    cheap, dear = (estimate_cost(build_plan(shapes, [name])) for name in ("main.forever", "main.load"))
    assert cheap.bare_ns < dear.bare_ns
    assert cheap.virtual_ns < dear.virtual_ns

"""Which exits are cheap, chained or left at the RET."""

import pytest

from funcrec.plan.builder import build_plan
from funcrec.plan.captures import ResultReader, Signatures
from funcrec.plan.chains import MAX_CHAIN
from funcrec.plan.sites import ExitMode, ProbePlan, ProbeSite, Role, SiteKind
from funcrec.target.executable import Executable
from tests.toolchain import PROGRAMS, go_build


@pytest.fixture(scope="module")
def tails() -> Executable:
    return Executable.open(str(go_build(PROGRAMS / "tails")))


def plan(executable: Executable, *patterns: str, takes_back: bool = True, results: bool = False) -> ProbePlan:
    return build_plan(executable, patterns, exits=ExitMode.AUTO, takes_back=takes_back, results=results)


def of(found: ProbePlan, name: str) -> list[ProbeSite]:
    (number,) = [at for at, function in enumerate(found.functions) if function.name == name]
    return [site for site in found.sites if site.function == number]


def exits(found: ProbePlan, name: str) -> set[SiteKind]:
    return {site.kind for site in of(found, name) if site.role == Role.EXIT}


def test_one_probe_for_entry_and_exit(tails: Executable) -> None:
    entry, twin = of(plan(tails, "main.leaf"), "main.leaf")
    assert (entry.role, entry.kind, twin.role, twin.kind) == (
        Role.ENTRY,
        SiteKind.EMULATED,
        Role.EXIT,
        SiteKind.CHAINED,
    )
    assert entry.address == twin.address
    (point,) = of(plan(tails, "main.touch"), "main.touch")
    assert (point.role, point.kind) == (Role.POINT, SiteKind.EMULATED)


def test_no_address_has_two_probes(tails: Executable) -> None:
    addresses = [site.address for site in plan(tails, "*").sites if site.kind != SiteKind.CHAINED]
    assert len(addresses) == len(set(addresses))


def test_a_chain_needs_the_callee(tails: Executable) -> None:
    assert exits(plan(tails, "main.after", "main.touch"), "main.after") == {SiteKind.CHAINED}
    assert exits(plan(tails, "main.after"), "main.after") == {SiteKind.STEPPED}
    both = plan(tails, "main.after", "main.touch")
    assert [function.ends_callers for function in both.functions if not function.hidden] == [True, False]


def test_a_cycle_is_not_a_chain(tails: Executable) -> None:
    assert SiteKind.STEPPED in exits(plan(tails, "main.*"), "main.deep")


def test_results_are_read_at_the_return(tails: Executable) -> None:
    found = plan(tails, "main.after", "main.touch", results=True)
    assert all("results" in site.why for site in of(found, "main.after") if site.role == Role.EXIT)
    mixed = plan(tails, "main.after", "main.touch() -> ($results)")
    assert exits(mixed, "main.after") == {SiteKind.CHAINED}, "a callee may be seen at its RET"


def test_results_are_read_before_the_return_where_they_are_known() -> None:
    executable = Executable.open(str(go_build(PROGRAMS / "results")))
    reads = ResultReader(Signatures(executable), results=True).reads
    found = build_plan(
        executable, ["main.*"], exits=ExitMode.AUTO, takes_back=True, adaptive=True, results=True, reads=reads
    )
    assert exits(found, "main.early") == {SiteKind.EMULATED, SiteKind.STEPPED}, "behind a call there is no other way"
    cheap = [site for site in of(found, "main.early") if site.kind == SiteKind.EMULATED and site.role == Role.EXIT]
    assert len(cheap) == 3
    assert all(site.address in found.results for site in cheap)
    assert not any(site.kind == SiteKind.CHAINED for site in found.sites if site.role == Role.EXIT)
    whys = {name: " ".join(site.why for site in of(found, f"main.{name}")) for name in ("counted", "onStack", "yes")}
    assert "may change before it" in whys["counted"], "an atomic"
    assert "writes memory before it" in whys["onStack"]
    assert "is not known before it" in whys["yes"]


def test_nothing_may_fault_where_no_exit_can_be_taken_back(tails: Executable) -> None:
    found = plan(tails, "main.*", takes_back=False)
    assert not any(site.role == Role.FAULT for site in found.sites)
    assert any(site.role == Role.FAULT for site in plan(tails, "main.*").sites)
    assert SiteKind.STEPPED in exits(found, "main.leaf")


def test_loops_that_call_nothing_recorded_have_no_site(tails: Executable) -> None:
    found = plan(tails, "main.search", "main.searchBy", "main.touch")
    assert exits(found, "main.search") == {SiteKind.STEPPED}
    assert any("loop" in site.why for site in of(found, "main.search"))
    assert exits(found, "main.searchBy") == {SiteKind.EMULATED}
    assert exits(plan(tails, "main.searchBy"), "main.searchBy") == {SiteKind.STEPPED}


def test_cascades_are_short(tails: Executable) -> None:
    """Follow every chain downwards: none is a cycle, none longer than allowed."""
    found = plan(tails, "*")
    names = {function.name: number for number, function in enumerate(found.functions)}
    below: dict[int, set[int]] = {}
    for site in found.sites:
        if site.kind == SiteKind.CHAINED and site.why.endswith(" ends it too"):
            callee = site.why.removeprefix("the exit of ").removesuffix(" ends it too")
            below.setdefault(site.function, set()).add(names[callee])

    def length(function: int, left: int = MAX_CHAIN + 1) -> int:
        assert left
        return max((1 + length(callee, left - 1) for callee in below.get(function, ())), default=0)

    assert 2 <= max(map(length, below)) <= MAX_CHAIN

"""Values by their names in the source: where the root of each is, and the steps from there. Pure."""

import difflib
from dataclasses import dataclass
from enum import IntEnum

from funcrec.errors import UsageError
from funcrec.lang.path import Path
from funcrec.lang.steps import Step, StepKind, resolve
from funcrec.lang.types import Kind, TypeTable
from funcrec.plan.fetch import NamedFetch, Special
from funcrec.target.abi import Piece, Place, Signature


@dataclass(frozen=True, slots=True)
class Wanted:
    """A value of a function, resolved: where its root is and the steps from there."""

    name: str
    place: Place
    steps: tuple[Step, ...]
    result: bool
    text_bytes: int = 0
    dictionary: IntEnum | None = None


def _dictionary(types: TypeTable, signature: Signature, place: Place, results: bool) -> IntEnum | None:
    """The register of the generic dictionary when a value's type has to be looked up there; gone when a call ends."""
    type_ = types[place.type]
    needed = type_.kind is Kind.POINTER and type_.shape >= 0 and not results
    return signature.dictionary if needed else None


def all_values(types: TypeTable, special: Special, signature: Signature | None, *, results: bool) -> list[Wanted]:
    """All parameters or all results of a function; none where debug information does not describe it.

    Raises:
        UsageError: parameters are asked for where results stand, or the other way round.
    """
    if (special is Special.RESULTS) is not results:
        where = "after '->'" if special is Special.RESULTS else "in the first list"
        raise UsageError(
            f"{special} at the wrong place", remedy=f"write it {where}, such as 'f($params) -> ($results)'"
        )
    if signature is None:
        return []
    places = signature.results if results else signature.parameters
    return [
        Wanted(place.name, place, (), results, 0, _dictionary(types, signature, place, results)) for place in places
    ]


def value_names(types: TypeTable, signature: Signature, *, results: bool) -> list[str]:
    """Names by which the values of one side of a call can be fetched."""
    places = signature.results if results else signature.parameters
    return [place.name for place in places] + ([] if results else _captured_names(types, signature))


def find_value(
    types: TypeTable, function: str, signature: Signature | None, fetch: NamedFetch, *, results: bool
) -> Wanted:
    """Where a value of a function is, and the steps to it.

    Raises:
        UsageError: there is none of that name, or no such path.
    """
    if signature is None:
        raise UsageError(
            f"'{fetch.name}' of {function}: the binary's debug information does not describe this function",
            remedy="give a raw rule, such as x=%ax:s64",
        )
    places = signature.results if results else signature.parameters
    path = fetch.path
    for place in places:
        if place.name == path.root:
            steps = tuple(resolve(types, place.type, path))
            dictionary = None if steps else _dictionary(types, signature, place, results)
            return Wanted(fetch.name, place, steps, results, fetch.text_bytes, dictionary)
    captured = None if results else _captured(types, signature, fetch)
    if captured:
        return captured
    known = value_names(types, signature, results=results)
    near = difflib.get_close_matches(path.root, known, 3, 0.5)
    what = "result" if results else "parameter"
    remedy = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known) or 'none'}"
    raise UsageError(f"{function} has no {what} '{path.root}'", remedy=remedy)


def _closure_fields(types: TypeTable, signature: Signature) -> dict[str, Step]:
    if signature.captures < 0:
        return {}
    fields = types[types[signature.captures].elem].fields
    return {field.name: Step(StepKind.FIELD, field.type, field.offset) for field in fields if field.name != "F"}


def _captured_names(types: TypeTable, signature: Signature) -> list[str]:
    return [name.removeprefix("&") for name in _closure_fields(types, signature)]


def _captured(types: TypeTable, signature: Signature, fetch: NamedFetch) -> Wanted | None:
    """A variable of the enclosing function: in the closure object itself, or behind a pointer there (named `&x`)."""
    fields = _closure_fields(types, signature)
    path = fetch.path
    place = Place("closure", signature.captures, (Piece(0, 8, register=signature.closure),))
    prefix = [Step(StepKind.DEREFERENCE, types[signature.captures].elem)] if fields else []
    by_value, by_reference = fields.get(path.root), fields.get("&" + path.root)
    if by_value:
        prefix.append(by_value)
    elif by_reference and types[by_reference.type].kind is Kind.POINTER:
        prefix += [by_reference, Step(StepKind.DEREFERENCE, types[by_reference.type].elem)]
    else:
        return None
    steps = resolve(types, prefix[-1].type, Path(path.root, path.steps, path.dereferences, path.function))
    return Wanted(fetch.name, place, tuple(prefix + steps), False, fetch.text_bytes)

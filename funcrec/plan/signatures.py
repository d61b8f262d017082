"""A function's signature as lines for people: each value with its type and where a probe finds it. Pure."""

from typing import Any

from funcrec.lang.types import Kind, TypeTable
from funcrec.plan.captures import Signatures
from funcrec.plan.sites import PlannedFunction
from funcrec.target.abi import Piece, Place, Signature


def signature_lines(signatures: Signatures, function: PlannedFunction) -> list[str]:
    """One line for each parameter, captured variable and result; one that says why when nothing is known."""
    rows = signature_rows(signatures, function)
    if not rows:
        described = signatures.of(function.index)
        if described is None:
            return [f"values by name: none ({signatures.reason or 'debug information does not describe it'})"]
        return []
    lines = []
    for row in rows:
        reason = f"  cannot be read: {row['reason']}" if row["reason"] else ""
        arrow = "-> " if row["side"] == "result" else "   "
        lines.append(f"{arrow}{row['name']} {row['type']}  {row['where']}{reason}")
    return lines


def signature_rows(signatures: Signatures, function: PlannedFunction) -> list[dict[str, Any]]:
    """Rows for machines: side (`parameter`, `captured`, `result`), name, type, where, reason ("" when readable)."""
    described = signatures.of(function.index)
    if described is None or signatures.types is None:
        return []
    types = signatures.types.table
    rows = [_row(types, "parameter", place) for place in described.parameters]
    rows += _captured(types, described)
    rows += [_row(types, "result", place) for place in described.results]
    return rows


def _row(types: TypeTable, side: str, place: Place) -> dict[str, Any]:
    floats = [piece for piece in place.pieces if piece.floating is not None]
    reason = ""
    if floats:
        reason = "float register" if len(floats) == len(place.pieces) else "partly: float register"
    where = " ".join(map(_where, place.pieces)) or "no bytes"
    return {"side": side, "name": place.name, "type": types[place.type].name or "?", "where": where, "reason": reason}


def _where(piece: Piece) -> str:
    return str(piece) if piece.stack is None else f"stack {piece}"


def _captured(types: TypeTable, described: Signature) -> list[dict[str, Any]]:
    if described.captures < 0:
        return []
    rows = []
    for field in types[types[described.captures].elem].fields:
        if field.name == "F":
            continue
        type_, where = types[field.type], f"+{field.offset}(%dx)"
        name = field.name
        if name.startswith("&") and type_.kind is Kind.POINTER:
            name, type_, where = name[1:], types[type_.elem], f"+0({where})"
        rows.append(
            {"side": "captured", "name": name, "type": type_.name or "?", "where": f"memory {where}", "reason": ""}
        )
    return rows

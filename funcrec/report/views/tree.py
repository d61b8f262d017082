"""Trees for people and programs: nodes depth first, the longest first, with shares of the whole."""

from collections.abc import Callable, Sequence
from typing import Any

from funcrec.report.answers.graph import Graph, total_of
from funcrec.report.request import Format, OutputRequest
from funcrec.report.text import Output, printable
from funcrec.report.tree import Tree
from funcrec.report.views.head import write_head
from funcrec.report.views.table import (
    Column,
    Row,
    choose_columns,
    duration_column,
    sort_rows,
    text_column,
    write_rows,
    write_table,
)

_LINES = {"last": "└─ ", "more": "├─ ", "below last": "   ", "below more": "│  "}
_PLAIN_LINES = {"last": "`- ", "more": "|- ", "below last": "   ", "below more": "|  "}

Children = Callable[[int], Sequence[int]]


def indented(children: Children, draws: bool) -> "list[tuple[int, str]]":
    """Nodes of a tree depth first, each with the lines that are drawn in front of it.

    Args:
        children: of a node in their order; those of -1 are the roots.
        draws: with line characters, or in ASCII.
    """
    lines = _LINES if draws else _PLAIN_LINES
    result: list[tuple[int, str]] = []
    waiting = [(node, "", "") for node in reversed(children(-1))]
    while waiting:
        node, own, below = waiting.pop()
        result.append((node, own))
        kids = children(node)
        for at in range(len(kids) - 1, -1, -1):
            place = "last" if at == len(kids) - 1 else "more"
            waiting.append((kids[at], below + lines[place], below + lines[f"below {place}"]))
    return result


_COLUMNS = [
    text_column("tree"),
    Column("id"),
    Column("parent"),
    Column("depth"),
    Column("share", "share", lambda value: f"{100 * value:5.1f} %"),
    duration_column("total_ns"),
    duration_column("self_ns"),
    Column("calls"),
    text_column("func", "function"),
]
_SORTABLE = [column for column in _COLUMNS if column.key in ("total_ns", "self_ns", "calls", "func")]
_MACHINE = ("tree", "id", "parent", "depth", "func", "calls", "total_ns", "self_ns", "share")
_PEOPLE = ("share", "total_ns", "self_ns", "calls", "func")


def write_graph(output: Output, graph: Graph, request: OutputRequest, least_share: float) -> None:
    """Write the trees of an answer.

    Raises:
        UsageError: an unknown field or column to sort by.
    """
    trees = (
        [("callees", graph.callees)]
        if graph.callers is None
        else [
            ("callers", graph.callers),
            ("callees", graph.callees),
        ]
    )
    people = request.format == Format.TEXT
    columns = choose_columns(request.fields, _COLUMNS, _PEOPLE if people else _MACHINE)
    tables = [_rows(tree, name, request, least_share, output.draws) for name, tree in trees]
    if not people:
        write_rows(output, columns, [row for rows in tables for row in rows if row["id"] is not None], request.format)
        return
    write_head(output, graph.facts)
    for (name, _), rows in zip(trees, tables, strict=True):
        if graph.callers is not None:
            what = "what leads to it, from the function upwards" if name == "callers" else "what it calls"
            output.line(f"\n{output.palette.paint(what, output.palette.bold)}")
        write_table(output, columns, [{**row, "func": row["drawn"]} for row in rows])


def _rows(tree: Tree, name: str, request: OutputRequest, least_share: float, draws: bool) -> list[Row]:
    """Rows of one tree depth first; those without an id stand for siblings left out."""
    whole = total_of(tree)
    children, left_out = _arrange(tree, _order(tree, request.sort or "total_ns"), request.top, least_share * whole)
    columns = {each: getattr(tree, each).tolist() for each in ("ended", "calls", "total_ns", "self_ns")}
    parents, funcs = tree.parent.tolist(), tree.func
    numbers: dict[int, int] = {}
    depths = {-1: -1}
    rows: list[Row] = []
    for node, lines in indented(lambda node: children.get(node, ()), draws):
        members = left_out.get(node, [node])
        parent = parents[members[0]]
        func = funcs[node] if node not in left_out else f"({len(members)} more)"
        ended, calls, total_ns, self_ns = (sum(map(column.__getitem__, members)) for column in columns.values())
        known = ended > 0
        row: dict[str, Any] = {
            "tree": name,
            "id": None,
            "parent": numbers.get(parent),
            "depth": depths[parent] + 1,
            "func": func,
            "drawn": lines + printable(func),
            "calls": calls,
            "total_ns": total_ns if known else None,
            "self_ns": self_ns if known else None,
        }
        row["share"] = round(row["total_ns"] / whole, 6) if known and whole else None
        if node not in left_out:
            row["id"] = numbers[node] = len(numbers)
            depths[node] = row["depth"]
        rows.append(row)
    return rows


def _order(tree: Tree, sort: str) -> list[int]:
    """Nodes in the order asked for, from large to small and from a to z.

    Raises:
        UsageError: an unknown column.
    """
    rows = [
        {"total_ns": total, "self_ns": own, "calls": calls, "func": func, "node": node}
        for node, (total, own, calls, func) in enumerate(
            zip(tree.total_ns.tolist(), tree.self_ns.tolist(), tree.calls.tolist(), tree.func, strict=True)
        )
    ]
    return [row["node"] for row in sort_rows(rows, f"{sort},total_ns,calls,func", _SORTABLE)]


def _arrange(
    tree: Tree, order: list[int], top: int | None, least_ns: float
) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Children of each node, and by further numbers the siblings that are left out for being too many or too small."""
    siblings: dict[int, list[int]] = {}
    parents, total_ns = tree.parent.tolist(), tree.total_ns.tolist()
    for node in order:
        siblings.setdefault(parents[node], []).append(node)
    left_out: dict[int, list[int]] = {}
    children: dict[int, list[int]] = {}
    for parent, nodes in siblings.items():
        kept = [node for node in nodes if total_ns[node] >= least_ns][:top]
        children[parent] = kept
        if len(kept) < len(nodes):
            rest = len(tree) + len(left_out)
            gone = set(nodes).difference(kept)
            left_out[rest] = [node for node in nodes if node in gone]
            children[parent] = [*kept, rest]
    return children, left_out

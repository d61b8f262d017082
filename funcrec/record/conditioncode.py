"""The expression of --if as C, to stand between bpf/condition.h and bpf/admission.h. Pure.

Straight-line code: where the values are differs from site to site and is in tables, what is asked of them does not.
"""

from funcrec.plan.conditiontree import (
    BuiltIn,
    Calculation,
    Comparison,
    Formula,
    Join,
    Leaf,
    Lowered,
    Not,
    Number,
    Slot,
    TextEnds,
    TextHas,
)

_STEPS = {"+": "ADD", "-": "SUBTRACT", "*": "MULTIPLY", "/": "DIVIDE", "//": "DIVIDE", "%": "MODULO"}
# Operator -> function, operands exchanged, result negated.
_COMPARISONS = {
    "==": ("equal", False, False),
    "!=": ("equal", False, True),
    "<": ("less", False, False),
    ">": ("less", True, False),
    ">=": ("less", False, True),
    "<=": ("less", True, True),
}


def condition_code(lowered: Lowered) -> str:
    """Return the function `condition_holds`, which finds the values in s->value."""
    lines = []
    for number, leaf in enumerate(lowered.leaves):
        lines += [*_leaf(leaf), f"s->truths |= truth << {2 * number};"]
    body = "\n".join(f"\t{line}" for line in lines)
    return (
        "/* What the condition comes to: bit 0 it holds, bit 1 it fails, none: unknown. */\n"
        "static __always_inline u64 condition_holds(struct condition_scratch *s)\n"
        f"{{\n\tu64 truth, differs;\n\n{body}\n\treturn {_formula(lowered.formula)};\n}}\n"
    )


def _formula(formula: Formula) -> str:
    if isinstance(formula, Not):
        return f"condition_not({_formula(formula.operand)})"
    if isinstance(formula, Join):
        return f"condition_{formula.operator}({_formula(formula.left)}, {_formula(formula.right)})"
    return f"(s->truths >> {2 * formula} & 3)"


def _leaf(leaf: Leaf) -> list[str]:
    if isinstance(leaf, bool):
        return [f"truth = {1 if leaf else 2};"]
    if isinstance(leaf, Comparison):
        function, exchanged, negated = _COMPARISONS[leaf.operator]
        sides = [_number(leaf.left), _number(leaf.right)]
        compared = f"condition_{function}({', '.join(reversed(sides) if exchanged else sides)})"
        return [f"truth = condition_not({compared});" if negated else f"truth = {compared};"]
    if isinstance(leaf, TextEnds):
        return _ends(leaf)
    if isinstance(leaf, TextHas):
        words = leaf.piece.ljust(32, b"\0")
        stores = [f"s->words[{at // 8}] = {_word(words[at : at + 8])};" for at in range(0, 32, 8)]
        return [*stores, f"truth = condition_search(s, &s->value[{leaf.slot.number}], {len(leaf.piece)});"]
    return ["truth = 0; /* known for each function */"]


def _ends(leaf: TextEnds) -> list[str]:
    value = f"&s->value[{leaf.slot.number}]"
    wanted = len(leaf.prefix) + len(leaf.suffix)
    lines = [f"truth = condition_length({value}, {wanted}, {int(not leaf.whole)});"]
    for piece, from_end in ((leaf.prefix, 0), (leaf.suffix, 1)):
        if not piece:
            continue
        differs = [
            f"((*(u64 *)(s->text + {at}) ^ {_word(piece[at : at + 8])}) & {_mask(len(piece) - at)})"
            for at in range(0, len(piece), 8)
        ]
        lines += [
            "if (truth == 1) {",
            f"\ttruth = condition_piece(s, {value}, {len(piece)}, {from_end}) ? 0 : 1;",
            f"\tdiffers = {differs[0]};",
            *(f"\tdiffers |= {part};" for part in differs[1:]),
            "\ttruth += truth & condition_any(differs);",
            "}",
        ]
    return lines


def _number(value: Number) -> str:
    if isinstance(value, Slot):
        return f"s->value[{value.number}]"
    if isinstance(value, BuiltIn):
        return f"condition_number(s->hit.event.{value.name}, 0)"
    if isinstance(value, Calculation):
        step = _STEPS[value.operator]
        return f"condition_calculate(STEP_{step}, {_number(value.left)}, {_number(value.right)})"
    return f"condition_number({value % (1 << 64):#x}ull, {int(value >= 1 << 63)})"


def _word(data: bytes) -> str:
    return f"{int.from_bytes(data, 'little'):#x}ull"


def _mask(left: int) -> str:
    return f"{(1 << 8 * min(left, 8)) - 1:#x}ull"

"""Names close to one that does not exist, for error messages. Pure and fast enough for 100,000 names."""

from collections.abc import Sequence
from difflib import SequenceMatcher

_CANDIDATES = 300
_CUTOFF = 0.6


def near_names(wanted: str, names: Sequence[str], limit: int = 3) -> list[str]:
    """Up to `limit` names that resemble `wanted`, best first; its wildcards count for nothing.

    Names are ranked by how many letter pairs they share with it, then the best of them by similarity of the whole name
    and of its last part, so that both a typo and a forgotten receiver find their way.
    """
    plain = wanted.replace("*", "").replace("?", "").strip("/.").lower()
    pairs = {plain[at : at + 2] for at in range(len(plain) - 1)}
    if not pairs:
        return []
    scored = []
    for index, name in enumerate(names):
        lower = name.lower()
        shared = sum(pair in lower for pair in pairs)
        if 2 * shared >= len(pairs):
            scored.append((abs(len(lower) - len(plain)) - 4 * shared, index))
    scored.sort()
    last = plain.rpartition(".")[2]
    ratings = []
    for _, index in scored[:_CANDIDATES]:
        lower = names[index].lower().replace("(*", "").replace(")", "")
        whole = SequenceMatcher(None, plain, lower, autojunk=False).ratio()
        end = SequenceMatcher(None, last, lower.rpartition(".")[2], autojunk=False).ratio()
        rating = (2 * whole + end) / 3
        if rating >= _CUTOFF:
            ratings.append((-rating, index))
    found = [names[index] for _, index in sorted(ratings)]
    return list(dict.fromkeys(found))[:limit]

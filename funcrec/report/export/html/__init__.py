"""One HTML file with the calls of one trace or two: opens anywhere, offline, in any recent browser.

The page is `page.html` with the style, the script and the data put in. Data is JSON and base64 inside script elements
of types that browsers do not run; the page's policy lets only our own script run, by its hash.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from string import Template

from funcrec.report.export.html.comparison import comparison, sample_of
from funcrec.report.export.html.payload import Gathered, Payload
from funcrec.report.export.html.tables import EDGES
from funcrec.report.export.source import Source
from funcrec.report.export.text import to_json
from funcrec.report.export.timeline import Timeline
from funcrec.report.summary import Groups
from funcrec.report.text import printable

# In the order in which they need each other.
SCRIPTS = (
    "units.js",
    "model.js",
    "palette.js",
    "surface.js",
    "overview.js",
    "timeline.js",
    "details.js",
    "flame.js",
    "functions.js",
    "distribution.js",
    "compare.js",
    "app.js",
)
DEFAULT_MAX_CALLS = 1_000_000
_BLOCK = 3 << 18  # base64 of multiples of three bytes can be joined


def encode(
    parts: Sequence[Iterable[Timeline]],
    names: Sequence[str],
    *,
    max_calls: int = DEFAULT_MAX_CALLS,
    by: str = "",
    buckets: Sequence[tuple[Source, Groups]] = (),
    notes: Sequence[Callable[[], list[str]]] = (),
) -> tuple[Iterator[bytes], list[str]]:
    """Make the page.

    Args:
        parts: those of one trace, or of two to compare, the base first.
        names: what to call each, such as its file name.
        max_calls: keep at most so many calls of each, the longest; totals are of all calls all the same.
        by: what the calls are bucketed by, for people.
        buckets: for each trace, which is one part then, its calls grouped by (function, bucket); none without buckets.
        notes: for each trace what gives lines that stand above all views, asked at the end of its parts.

    Returns:
        The file in pieces, and what was left out, one line each.
    """
    pair = len(parts) == 2
    gathered = [Gathered(name, max_calls, sampled=pair) for name in names]
    for each, timelines in zip(gathered, parts, strict=True):
        for timeline in timelines:
            each.add(timeline)
    groups: Sequence[Groups | None] = [groups for _, groups in buckets] or [None] * len(parts)
    payloads = [each.payload(part) for each, part in zip(gathered, groups, strict=True)]
    facts: dict[str, object] = {"version": 1, "by": by, "edges": EDGES.tolist()}
    about = [[printable(line) for line in lines()] for lines in notes or [list] * len(parts)]
    facts["traces"] = [{**each.facts, "notes": lines} for each, lines in zip(payloads, about, strict=True)]
    if pair:
        base, new = gathered
        facts["comparison"] = comparison(base.sample(), new.sample())
        facts["bucket_comparison"] = comparison(*(sample_of(*each) for each in buckets)) if buckets else None
    return _page(facts, payloads), [line for each in payloads for line in each.cut]


def _page(facts: dict[str, object], payloads: Sequence[Payload]) -> Iterator[bytes]:
    folder = Path(__file__).parent
    style = _text(folder / "style.css")
    script = '"use strict";\n(() => {\n' + "".join(_text(folder / name) for name in SCRIPTS) + "})();\n"
    page = Template(_text(folder / "page.html"))
    head, tail = page.substitute(
        style=style, style_hash=_hash(style), script=script, script_hash=_hash(script), data="\0"
    ).split("\0")
    yield head.encode()
    yield f'<script type="application/json" id="facts">{script_json(facts)}</script>\n'.encode("utf-8", "replace")
    for number, each in enumerate(payloads):
        yield f'<script type="application/octet-stream" id="columns-{number}">'.encode()
        for at in range(0, len(each.columns), _BLOCK):
            yield base64.b64encode(each.columns[at : at + _BLOCK])
        yield b"</script>\n"
    yield tail.encode()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The content-security-policy source of an inline element (W3C CSP level 3, "hash-source")."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def script_json(value: object) -> str:
    """JSON that may stand in a script element: without `<` nothing in it ends the element or opens a comment."""
    return to_json(value).replace("<", "\\u003c")

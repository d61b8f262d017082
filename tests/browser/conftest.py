"""A real browser: Debian's Chromium, headless, without a network."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from funcrec.report.export.html import encode
from funcrec.report.export.source import Source
from funcrec.report.export.timeline import build


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Export and open; at the end of the test nothing may have been complained about or asked of the network."""
    complaints: list[str] = []
    tabs: list[Any] = []

    def show(*sources: Source, dark: bool = False, width: int = 1300, **options: Any) -> Any:
        names = ["base.zst", "new.zst"][-len(sources) :]
        groups = list(zip(sources, options.pop("buckets", ()), strict=False))
        pieces, _ = encode([[build(source)] for source in sources], names, buckets=groups, **options)
        path = tmp_path / f"page-{len(tabs)}.html"
        path.write_bytes(b"".join(pieces))
        tab = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
        )
        tabs.append(tab)
        tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        tab.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-ready]", timeout=30_000)
        return tab

    yield show
    for tab in tabs:
        tab.close()
    assert complaints == []

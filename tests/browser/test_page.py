"""The HTML page as a person uses it."""

import re

import numpy as np
import pytest

from funcrec.report.export.timeline import build
from funcrec.report.summary import Groups
from tests.unit.report.export.sample import HOSTILE, make, with_values


@pytest.fixture(scope="module")
def source():
    return with_values(make(600, 3, 2))


def settle(page):
    page.wait_for_timeout(250)  # names become text when the picture has stood still for a moment


def labels(page):
    settle(page)
    return [text for text in page.locator("#chart .label:visible").all_text_contents() if text]


def window(page):
    """The span of time shown, as the page says it."""
    return page.locator(".range").inner_text()


def test_the_first_sight_has_names_counts_and_losses_as_text(open_page, source):
    page = open_page(source)
    text = page.inner_text("body")
    assert "600" in text
    assert "37\nevents lost" in text
    assert "goroutine 7 main.main" in text
    busiest = max(source.trace.functions, key=lambda f: _self(source, f.name))
    assert busiest.name in text
    shown = labels(page)
    assert len(shown) > 5
    assert set(shown) & {function.name for function in source.trace.functions}


def _self(source, name):
    functions = np.array([function.name == name for function in source.trace.functions])
    rows = functions[source.calls.function] & (source.calls.self_ns >= 0)
    return int(source.calls.self_ns[rows].sum())


def test_a_click_on_a_bar_shows_the_call_with_its_values(open_page, source):
    page = open_page(source)
    settle(page)
    label = page.locator("#chart .label:visible").first
    name = label.get_attribute("title")
    label.click()
    details = page.locator("#details")
    details.get_by_text("Duration").wait_for()
    text = details.inner_text()
    assert name in text
    assert "18446744073709551615" in text
    assert "\\u001b</script>" in text
    assert "0x00ff" in text
    assert "Thread\n99" in text


def test_keys_walk_the_calls_and_zoom(open_page, source):
    page = open_page(source)
    page.locator(".chart-scroll").focus()
    page.keyboard.press("ArrowDown")
    page.locator("#details").get_by_text("Duration").wait_for()
    first = page.locator("#details h2").inner_text()
    before = window(page)
    page.keyboard.press("ArrowRight")
    page.locator("#spoken").filter(has_text=re.compile(r"\S")).wait_for(state="attached")
    page.keyboard.press("Enter")
    settle(page)
    assert window(page) != before
    page.keyboard.press("0")
    settle(page)
    assert window(page) == before
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert page.locator("#details h2").inner_text() == first
    page.keyboard.press("Escape")
    page.get_by_text("Where the time went").wait_for()


def test_wheel_buttons_and_overview_change_the_window(open_page, source):
    page = open_page(source)
    seen = [window(page)]
    box = page.locator(".chart-picture").bounding_box()
    page.mouse.move(box["x"] + 700, box["y"] + 80)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    settle(page)
    seen.append(window(page))
    page.get_by_role("button", name="Zoom in").click()
    settle(page)
    seen.append(window(page))
    overview = page.locator(".map").bounding_box()
    page.mouse.move(overview["x"] + 300, overview["y"] + 20)
    page.mouse.down()
    page.mouse.move(overview["x"] + 400, overview["y"] + 20, steps=4)
    page.mouse.up()
    settle(page)
    seen.append(window(page))
    assert len(set(seen)) == 4
    page.get_by_role("button", name="Show everything").click()
    settle(page)
    assert window(page) == seen[0]


def test_search_counts_highlights_and_steps(open_page, source):
    page = open_page(source)
    page.keyboard.press("/")
    page.keyboard.type("pool")
    number = sum(source.trace.functions[f].name == "db.(*Pool).Query" for f in source.calls.function.tolist())
    assert page.locator("#found").inner_text() == f"1 functions, {number} calls"
    assert set(labels(page)) <= {"db.(*Pool).Query"} | {text for text in labels(page) if text.endswith("…")}
    page.keyboard.press("Enter")
    page.locator("#details h2").filter(has_text="db.(*Pool).Query").wait_for()
    first = page.locator("#details").inner_text()
    page.keyboard.press("Enter")
    settle(page)
    assert page.locator("#details").inner_text() != first
    page.click("#tab-functions")
    assert page.locator("table.functions:visible tbody tr").count() == 1


def test_functions_sort_by_any_column(open_page, source):
    page = open_page(source)
    page.click("#tab-functions")
    rows = page.locator("#view-functions tbody tr")
    page.get_by_role("button", name="Calls", exact=True).click()
    calls = [int(row.locator("td").nth(1).inner_text().replace("\u2009", "")) for row in rows.all()]
    assert calls == sorted(calls, reverse=True)
    assert sum(calls) == len(source.calls)
    page.get_by_role("button", name="Function", exact=True).click()
    names = [row.locator(".name").inner_text() for row in rows.all()]
    assert names == sorted(names)
    header = page.locator("th[aria-sort=ascending]")
    assert header.inner_text().startswith("Function")


def test_distribution_counts_every_call_with_a_known_end(open_page, source):
    page = open_page(source)
    page.click("#tab-functions")
    name = page.locator("#view-functions .name").first.inner_text()
    page.locator("#view-functions .name").first.click()
    ended = sum(
        source.trace.functions[f].name == name and end >= 0
        for f, end in zip(source.calls.function.tolist(), source.calls.end_ns.tolist(), strict=True)
    )
    for fine in (False, True):
        page.get_by_label("four bars per octave").set_checked(fine)
        cells = page.locator(".histogram tr td:nth-child(2)").all_inner_texts()
        assert sum(int(cell or 0) for cell in cells) == ended


def test_flame_graph_zooms_and_returns(open_page, source):
    page = open_page(source)
    page.click("#tab-flame")
    settle(page)
    wide = page.locator("#view-flame .label:visible").first
    name = wide.get_attribute("title")
    wide.click()
    settle(page)
    assert page.locator(".path button").count() == 2
    assert page.locator(".path button").nth(1).get_attribute("title") == name
    page.locator(".path button").first.click()
    settle(page)
    assert page.locator(".path button").count() == 1


def test_two_traces_are_compared(open_page):
    base, new = make(3000, 3, 2, broken=False), make(3000, 3, 3, broken=False)
    new.calls.end_ns[:] = new.calls.start_ns + 3 * (new.calls.end_ns - new.calls.start_ns)
    page = open_page(base, new)
    page.click("#tab-compare")
    assert page.locator(".compare tbody tr").count() == 9
    assert "slower" in page.locator(".headline").inner_text()
    page.locator(".compare .link").first.click()
    assert page.locator(".moments tbody tr").count() == 2
    assert page.locator("#tab-distribution").get_attribute("aria-selected") == "true"
    page.select_option("#which", "0")
    page.click("#tab-timeline")
    assert labels(page)


def test_buckets_have_a_row_per_value_and_side(open_page):
    sources = [make(2000, 2, seed, broken=False) for seed in (2, 3)]
    groups = []
    for source in sources:
        functions = source.calls.function.astype(np.intp)
        keys = [(source.trace.functions[f].name, b) for f in range(9) for b in range(3)]
        groups.append(Groups(functions * 3 + np.arange(len(functions)) % 3, keys))
    page = open_page(*sources, by="len(b)/1KB", buckets=groups)
    page.click("#tab-distribution")
    table = page.locator(".buckets")
    assert "len(b)/1KB" in table.inner_text()
    assert table.locator("tbody tr").count() == 6
    assert table.locator(".verdict").count() == 3


def test_hostile_names_are_text(open_page):
    page = open_page(with_values(make(200, 2, 4, names=HOSTILE)))
    page.click("#tab-functions")
    names = page.locator("#view-functions .name").all_inner_texts()
    assert "main.<img src=x onerror=alert(1)>" in names
    assert "main.\\x1b[31mred\\x0a</script><script>alert(2)</script>" in names
    assert "main.\\u202egnitirw" in names
    assert page.locator("img").count() == 0
    assert page.evaluate("document.scripts.length") <= 2


def test_a_trace_without_calls(open_page):
    page = open_page(make(0, 1))
    for tab in ("flame", "functions", "distribution", "timeline"):
        page.click(f"#tab-{tab}")
        settle(page)


def test_calls_beyond_the_limit_are_cut_and_it_is_said(open_page):
    source = make(500, 2, 5)
    page = open_page(source, max_calls=100)
    assert "100 longest of 500 calls" in page.locator("#notes").inner_text()
    page.click("#tab-functions")
    rows = page.locator("#view-functions tbody tr").all()
    assert sum(int(row.locator("td").nth(1).inner_text()) for row in rows) == 500


def test_dark_light_and_narrow(open_page, source):
    def background(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = open_page(source), open_page(source, dark=True, width=600)
    assert background(light) != background(dark)
    dark.get_by_role("button", name="Light or dark").click()
    assert background(dark) == background(light)
    assert dark.evaluate("document.documentElement.scrollWidth") <= 600


def test_everything_has_a_name_and_is_reached_by_the_keyboard(open_page, source):
    page = open_page(source)
    for tab in ("timeline", "flame", "functions", "distribution"):
        page.click(f"#tab-{tab}")
        settle(page)
        for control in page.locator("button:visible, select:visible, input:visible, [role=application]:visible").all():
            label = control.evaluate(
                "e => e.getAttribute('aria-label') || e.textContent || e.closest('label')?.textContent"
            )
            assert label.strip(), control.evaluate("e => e.outerHTML")
    page.locator("#tab-distribution").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-timeline").get_attribute("aria-selected") == "true"
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()


def test_the_columns_are_the_calls(open_page, source):
    """What the script decodes is what the timeline holds."""
    page = open_page(source)
    timeline = build(source)
    page.click("#tab-timeline")
    page.keyboard.press("/")
    page.keyboard.type("main.f3")
    seen = set()
    for _ in range(int((timeline.function == 3).sum()) + 1):
        page.keyboard.press("Enter")
        page.wait_for_timeout(20)
        seen.add(page.locator("#details .facts").inner_text().split("#")[-1].strip())
    assert seen == {str(row) for row in timeline.row[timeline.function == 3].tolist()}

"""Every page on a small phone, with names as long as they may be; and the grid by keys alone.

They come after the flow, and walk what it has left behind: a run, its report, a model.
"""

import io
import re
import zipfile
from collections import deque
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Page, Response, expect

from kindred.demo.catalogue import Shot, draw
from tests.e2e.conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.browser]

WIDTH = 380  # px, the narrowest screen that the site promises
LONGEST = 200  # letters in a name
STARTS = ("/datasets/", "/datasets/new", "/runs/", "/reports/", "/models/", "/search/", "/jobs/", "/tokens/")
MORE_STARTS = ("/password/", "/api/docs/", "/styleguide", "/admin/")
NO_PAGES = re.compile(r"/(photo|table|manifest)$|/styleguide/|/api/schema/|/admin/.*/(add|history|delete|password)/")
PAGES_AT_MOST = 70
JOB_MS = 60_000


@pytest.fixture
def long_names(signed_in: Page, site: Site) -> str:
    """The address of a dataset of four photos, all of whose names are as long as they may be; made once."""
    there = signed_in.locator("h2 a", has_text=re.compile("^name name"))
    if there.count():
        return there.get_attribute("href") or ""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for number in range(4):
            photo = draw(Shot("", (("vase", number // 2),), (3, number)))[0]
            label = f"{'W' * (LONGEST - 1)}{number // 2}"
            file.writestr(f"{'c' * LONGEST}/{label}/{'photo-' * 20}{number}.jpg", photo)
        file.writestr(f"a/b/{'n' * LONGEST}.jpg", b"no photo")
    signed_in.goto(f"{site.url}/datasets/new")
    signed_in.fill("[name=name]", "name " * 20 + "W" * 99)
    signed_in.get_by_role("button", name="Make it").click()
    upload = {"name": f"{'z' * 99}.zip", "mimeType": "application/zip", "buffer": data.getvalue()}
    signed_in.set_input_files("input[type=file]", upload)
    signed_in.get_by_role("button", name="Upload").click()
    expect(signed_in.get_by_role("link", name="See the samples")).to_be_visible(timeout=JOB_MS)
    address = signed_in.locator(".tabs a").first.get_attribute("href")
    assert address
    return address


def test_no_page_scrolls_sideways_or_misses_a_file(signed_in: Page, site: Site, long_names: str) -> None:
    page = signed_in
    missing: list[str] = []

    def note(response: Response) -> None:
        if response.status >= 400:
            missing.append(f"{response.status} {response.url} on {page.url}")

    page.on("response", note)
    page.set_viewport_size({"width": WIDTH, "height": 800})
    starts = (long_names, *STARTS, *MORE_STARTS)
    to_see = deque(f"{site.url}{path}" for path in starts)
    seen: set[str] = set()
    wide: list[str] = []
    while to_see and len(seen) < PAGES_AT_MOST:
        address = to_see.popleft()
        if kind_of(address) in seen:
            continue
        seen.add(kind_of(address))
        page.goto(address)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > WIDTH:
            wide.append(f"{width} px: {address}")
        links = page.evaluate("[...document.querySelectorAll('a[href]')].map((link) => link.getAttribute('href'))")
        to_see.extend(filter(is_page, (urljoin(address, link) for link in links)))
    assert not wide, wide
    assert not missing, missing
    kinds = {kind.removeprefix(site.url) for kind in seen}
    assert {
        "/datasets/N/samples",
        "/datasets/N/labels",
        "/datasets/imports/N",
        "/datasets/samples/N",
        "/jobs/N/",
    } <= kinds
    assert "/admin/zoo/model/" in kinds


def kind_of(address: str) -> str:
    """The address without numbers and without its query: pages of one kind are looked at once."""
    return re.sub(r"\d+", "N", urlsplit(address)._replace(query="", fragment="", netloc="", scheme="").geturl())


def is_page(address: str) -> bool:
    parts = urlsplit(address)
    return parts.hostname == "127.0.0.1" and not NO_PAGES.search(parts.path)


def test_photos_are_selected_by_keys(signed_in: Page, site: Site, long_names: str) -> None:
    page = signed_in
    page.goto(f"{site.url}{long_names}samples")
    expect(page.locator(".selection-bar")).to_be_hidden()  # the script is there
    chosen = page.locator(".tile__check:checked")
    page.locator(".tile__photo").nth(0).hover()
    page.keyboard.press("x")
    page.locator(".tile__photo").nth(2).click(modifiers=["Shift"])
    expect(chosen).to_have_count(3)
    page.locator(".tile__photo").nth(1).click(modifiers=["Control"])
    expect(page.locator("[data-count]")).to_contain_text("2 selected")
    page.get_by_role("button", name="Set split").click()  # which split? the selection waits for the answer
    expect(page.locator("[name=split]:invalid, [name=split]:focus").last).to_be_focused()
    expect(chosen).to_have_count(2)
    page.locator(".tile__photo").nth(3).focus()
    page.keyboard.press("Escape")
    expect(chosen).to_have_count(0)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("x")
    assert page.locator(".tile__check").evaluate_all("boxes => boxes.map((box) => box.checked)") == [0, 0, 1, 0]
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("[name=q]")).to_be_focused()


def test_a_definition_shows_to_keys_and_fingers(signed_in: Page, site: Site) -> None:
    signed_in.goto(f"{site.url}/styleguide")
    shown = "() => getComputedStyle(document.querySelector('abbr[title]'), '::after').content"
    assert signed_in.evaluate(shown) == "none"
    named = signed_in.locator("abbr[title]").first
    named.focus()
    assert (named.get_attribute("title") or "?") in signed_in.evaluate(shown)


def test_the_axis_of_a_run_ends_at_its_last_step(signed_in: Page, site: Site) -> None:
    one_point = {"steps": 40, "series": [{"name": "loss", "label": "Loss", "points": [[0, 14.0]]}]}
    signed_in.route("**/styleguide/points", lambda route: route.fulfill(json=one_point))
    signed_in.goto(f"{site.url}/styleguide")
    expect(signed_in.locator("line-chart canvas").first).to_be_visible()
    assert signed_in.evaluate("document.querySelector('line-chart').plot.scales.x.max") == 40

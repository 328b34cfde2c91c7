"""The whole flow in Chromium, on the real site: link, upload, label, train, watch, report, publish, search, REST."""

import base64
import io
import re
import zipfile
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from kindred.demo.catalogue import Shot, draw
from tests.e2e.conftest import PASSWORD, Site

expect.set_options(timeout=20_000)

pytestmark = [pytest.mark.slow, pytest.mark.browser]

KINDS = ("vase", "mug")
DESIGNS = 6  # labels per category
PHOTOS = 5  # per label
JOB_MS = 180_000


@pytest.fixture(scope="session")
def photos() -> dict[str, bytes]:
    """`category/label/n.jpg` -> a drawn photo: 12 labels in 2 categories."""
    return {
        f"{kind}/{kind}-{design}/{number}.jpg": draw(Shot("", ((kind, design),), (7, design, number)))[0]
        for kind in KINDS
        for design in range(DESIGNS)
        for number in range(PHOTOS)
    }


@pytest.fixture(scope="session")
def archive(photos: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos as a folder per label, and a text file that calls itself a photo."""
    path = tmp_path_factory.mktemp("upload") / "pots.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, data in photos.items():
            file.writestr(name, data)
        file.writestr("vase/vase-0/note.jpg", "not a photo")
    return path


def test_from_the_first_link_to_a_search_over_rest(
    site: Site, page: Page, archive: Path, photos: dict[str, bytes]
) -> None:
    become_administrator(page, site)
    upload(page, site, archive)
    label_some(page)
    train(page)
    read_report(page)
    publish(page)
    search(page, photos)
    token = make_token(page, site)
    use_rest(site, token, photos)


def become_administrator(page: Page, site: Site) -> None:
    page.goto(site.setup_link)
    page.fill("[name=username]", "ada")
    for field in page.locator("input[type=password]").all():
        field.fill(PASSWORD)
    page.get_by_role("button", name="administrator").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Datasets")
    expect(page.get_by_text("Sign out").first).to_be_attached()


def upload(page: Page, site: Site, archive: Path) -> None:
    page.goto(f"{site.url}/datasets/new")
    page.fill("[name=name]", "Pots")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Import photos")  # the next step, at once
    page.set_input_files("input[type=file]", archive)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("link", name="See the samples")).to_be_visible(timeout=JOB_MS)
    expect(page.get_by_text("vase/vase-0/note.jpg")).to_be_visible()  # refused by name; the others are kept
    expect(page.locator("nav.filters")).to_contain_text(f"added {len(KINDS) * DESIGNS * PHOTOS}")
    expect(page.locator("nav.filters")).to_contain_text("refused 1")
    page.get_by_role("link", name="See the samples").click()


def label_some(page: Page) -> None:
    """Two photos of one training label get a label of their own, from the grid."""
    page.select_option(".filters [name=split]", "train")
    expect(page).to_have_url(re.compile("split=train"))
    tiles = page.locator(".tile")
    expect(tiles.first).to_be_visible()
    old = tiles.first.locator(".tile__caption .truncate").inner_text()
    tiles.nth(0).locator(".tile__check").check()
    tiles.nth(1).locator(".tile__check").check()
    expect(page.locator("[data-count]")).to_contain_text("2")
    page.fill(".selection-bar [name=label]", "Found twins")
    page.get_by_role("button", name="Set label").click()
    expect(page.locator(".tile", has_text="Found twins")).to_have_count(2)
    assert old != "Found twins"
    page.reload()
    expect(page.locator(".tile", has_text="Found twins")).to_have_count(2)


def train(page: Page) -> None:
    page.get_by_role("link", name="Snapshots").click()
    page.get_by_role("button", name="Take a snapshot").click()
    page.get_by_role("navigation", name="Pots").get_by_role("link", name="Snapshots").click()
    expect(page.get_by_role("row", name="Snapshot 1")).to_contain_text("60")  # samples
    page.get_by_role("link", name="Runs").last.click()
    page.get_by_role("link", name="run").or_(page.get_by_role("link", name="Train")).last.click()
    for name, value in {"steps": "24", "size": "32", "labels": "8", "instances": "2"}.items():
        with page.expect_response(lambda response: "preview" in response.url):
            page.fill(f"[name={name}]", value)
            page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Start the training")).to_be_enabled()
    page.get_by_role("button", name="Start the training").click()
    expect(page.locator("line-chart").first).to_be_visible()
    page.reload()  # a refresh loses nothing
    expect(page.get_by_role("link", name="Read the report")).to_be_visible(timeout=JOB_MS)
    expect(page.locator("line-chart canvas").first).to_be_visible()


def read_report(page: Page) -> None:
    page.get_by_role("link", name="Read the report").click()
    expect(page.get_by_role("heading", name="The worst queries")).to_be_visible()
    expect(page.locator(".stats")).to_contain_text("CMC@1")
    expect(page.get_by_role("row", name="vase")).to_be_visible()
    expect(page.locator("article.card img").first).to_be_visible()
    expect(page.locator(".stats")).to_contain_text(re.compile(r"95 %:\s+(no interval|.+ to )"))
    thresholds = page.locator("section", has=page.get_by_role("heading", name="by one threshold"))
    expect(thresholds.locator("tbody tr")).to_have_count(3)


def publish(page: Page) -> None:
    page.get_by_role("link", name="To the run").click()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Published as").or_(page.get_by_text("champion")).first).to_be_visible()


def search(page: Page, photos: dict[str, bytes]) -> None:
    page.get_by_role("link", name="Search").first.click()
    choice = page.locator("input[name=image]")
    choice.wait_for(state="attached", timeout=JOB_MS)
    choice.set_input_files({"name": "q.jpg", "mimeType": "image/jpeg", "buffer": photos["mug/mug-3/2.jpg"]})
    if page.get_by_role("button", name="Search", exact=True).is_visible():
        page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#results .tile").first).to_contain_text("mug-3")
    expect(page.locator("#results .tile").first).to_contain_text("1.000")
    hand_over(page, "paste", "select[name=k]", photos["vase/vase-1/0.jpg"])  # wherever the focus is
    expect(page.locator("#results .tile").first).to_contain_text("vase-1")
    hand_over(page, "drop", "#results", photos["mug/mug-2/1.jpg"])  # beside the zone: not lost to the browser
    expect(page.locator("#results .tile").first).to_contain_text("mug-2")
    crop(page)


def hand_over(page: Page, event: str, target: str, photo: bytes) -> None:
    """Pastes or drops a photo, as the browser tells a page of it."""
    page.evaluate(
        """([name, target, photo]) => {
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0));
            data.items.add(new File([bytes], "q.jpg", { type: "image/jpeg" }));
            const more = { bubbles: true, cancelable: true };
            const event = name === "paste"
                ? new ClipboardEvent(name, { ...more, clipboardData: data })
                : new DragEvent(name, { ...more, dataTransfer: data });
            if (document.querySelector(target).dispatchEvent(event)) throw new Error(`nobody took the ${name}`);
        }""",
        [event, target, base64.b64encode(photo).decode()],
    )


def crop(page: Page) -> None:
    """A box drawn on the photo searches again, with that piece alone."""
    frame = page.locator("crop-box").bounding_box()
    assert frame is not None
    with page.expect_response(lambda response: response.url.endswith("/query")) as answer:
        page.mouse.move(frame["x"] + 20, frame["y"] + 20)
        page.mouse.down()
        page.mouse.move(frame["x"] + 100, frame["y"] + 120, steps=4)
        page.mouse.up()
    assert answer.value.ok
    corner = [int(page.locator(f"crop-box [name={name}]").input_value()) for name in ("x1", "y1")]
    scale = page.locator("crop-box img").evaluate("picture => picture.naturalWidth / picture.clientWidth")
    assert corner == pytest.approx([20 * scale, 20 * scale], abs=2)


def make_token(page: Page, site: Site) -> str:
    page.goto(f"{site.url}/tokens/")
    page.fill("[name=name]", "end to end")
    page.get_by_role("button", name="Make token").click()
    token = page.locator(".copy code").first.inner_text().strip()
    page.goto(f"{site.url}/tokens/")
    expect(page.get_by_text(token)).to_have_count(0)  # shown once
    return token


def use_rest(site: Site, token: str, photos: dict[str, bytes]) -> None:
    with httpx.Client(base_url=f"{site.url}/api/v1", timeout=60) as anonymous:
        assert anonymous.get("/models/").status_code == 401
    with httpx.Client(
        base_url=f"{site.url}/api/v1", timeout=60, headers={"Authorization": f"Bearer {token}"}
    ) as client:
        (model,) = client.get("/models/").json()["results"]
        assert model["versions"][0]["aliases"] == ["champion"]
        photo = photos["vase/vase-2/1.jpg"]
        body = {"model": model["name"], "input": [base64.b64encode(photo).decode()] * 2}
        answer = client.post("/embeddings", json=body).json()
        assert len(answer["data"]) == 2
        assert len(answer["data"][0]["embedding"]) == answer["dimension"]
        hits = client.post(
            "/search", data={"model": model["name"], "k": 3}, files={"image": ("q.jpg", io.BytesIO(photo))}
        ).json()["hits"]
        assert hits[0]["label"] == "vase-2"
        assert hits[0]["score"] > 0.9999
        refused = client.post("/search", json={"model": model["name"], "vector": [0.0], "space": "another"})
        assert refused.status_code in (409, 422)
        assert refused.headers["Content-Type"] == "application/problem+json"

"""Every component renders, with what it needs and with as little as it can get."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client

from apps.accounts.models import User
from apps.core import styleguide

TEMPLATES = Path(settings.ROOT) / "templates"
COMPONENTS = sorted(path.name for path in (TEMPLATES / "components").glob("*.html"))


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_says_what_it_takes(name: str) -> None:
    assert "{% comment %}" in (TEMPLATES / "components" / name).read_text()[:400]


@pytest.mark.parametrize("name", [name for name in COMPONENTS if name not in ("field.html", "job_bar.html")])
def test_every_component_survives_an_empty_context(name: str) -> None:
    context = {"dataset": SimpleNamespace(pk=1, name="Grocery"), "user": User(username="ada")}
    render_to_string(f"components/{name}", context)


def bar(**changes: Any) -> str:
    job = styleguide.Job(**{"pk": 7, "title": "Import <b>", "state": "running", **changes})
    return render_to_string("components/job_bar.html", {"job": job})


def test_a_running_job_polls_and_shows_its_progress() -> None:
    shown = bar(progress_done=1840, progress_total=2936, progress_unit="files", stage="Decoding")
    assert 'hx-trigger="every 1s"' in shown
    assert '<progress max="1" value="0.6267"' in shown
    assert "1,840 / 2,936 files" in shown
    assert "Import &lt;b&gt;" in shown
    assert ">Cancel<" not in shown  # nobody asks: only those who may cancel are offered it


def test_a_job_that_is_being_cancelled_cannot_be_cancelled_again() -> None:
    shown = bar(cancel_requested=True)
    assert "stopping" in shown
    assert ">Cancel<" not in shown


def test_a_waiting_job_says_its_place() -> None:
    assert "next in line" in bar(state="queued", position=1)
    assert "number 3 in line" in bar(state="queued", position=3)


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_a_job_that_has_ended_polls_no_more(state: str) -> None:
    shown = bar(state=state, error="It ran out of disk.")
    assert "hx-trigger" not in shown
    assert "<progress" not in shown
    assert ("It ran out of disk." in shown) == (state == "failed")


def test_hits_and_misses_are_told_by_words_too() -> None:
    shown = render_to_string(
        "components/neighbours.html",
        {"query": styleguide.samples()[0], "neighbours": styleguide.neighbours(styleguide.samples(), judged=True)},
    )
    assert shown.count("✓ hit") == 2
    assert shown.count("✗ miss") == 4


def test_a_tile_is_selectable_only_when_asked() -> None:
    sample = styleguide.samples()[0]
    assert "checkbox" not in render_to_string("components/tile.html", {"sample": sample})
    assert 'form="selection"' in render_to_string("components/tile.html", {"sample": sample, "selectable": True})


@pytest.mark.django_db
def test_the_style_guide_needs_a_login() -> None:
    assert Client().get("/styleguide").status_code == 302


@pytest.mark.django_db
def test_the_style_guide_shows_every_component() -> None:
    client = Client()
    client.force_login(User.objects.create_user("ada"))
    answer = client.get("/styleguide")
    assert answer.status_code == 200
    assert client.get("/styleguide/points").json()["series"][0]["name"] == "loss"
    parts = ["job-bar", "tile", "neighbours", "histogram", "sparkline", "empty", "pager", "problems", "copy", "dialog"]
    for part in [*parts, "stat", "badge", "field", "dropzone", "selection-bar", "message", "notice", "breadcrumbs"]:
        assert f'class="{part}' in answer.text or f" {part}" in answer.text, part


@pytest.mark.django_db
def test_the_style_guide_is_for_staff_and_leads_to_no_sample_or_job() -> None:
    client = Client()
    client.force_login(User.objects.create_user("ada"))
    answer = client.get("/styleguide").text
    assert ">Style guide</a>" not in answer
    assert not re.search(r'"/(datasets|jobs)/[^"]', answer.replace('"/datasets/"', "").replace('"/jobs/"', ""))
    User.objects.update(is_staff=True)
    assert ">Style guide</a>" in client.get("/styleguide").text


@pytest.mark.django_db
def test_an_error_is_a_page_or_a_notice() -> None:
    client = Client()
    client.force_login(User.objects.create_user("ada"))
    page = client.get("/styleguide/problem")
    notice = client.get("/styleguide/problem", headers={"HX-Request": "true"})
    assert page.status_code == notice.status_code == 422
    assert "<html" in page.text
    assert "<html" not in notice.text
    for answer in (page, notice):
        assert "The validation split has 12 queries" in answer.text
        assert "Mark at least one more sample" in answer.text
        assert "images/mug_0031.jpg" in answer.text


def templates() -> list[Path]:
    return sorted(TEMPLATES.rglob("*.html"))


@pytest.mark.parametrize("path", templates(), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_no_template_holds_inline_style_or_script(path: Path) -> None:
    """The content security policy would refuse them."""
    source = re.sub(r"{% comment %}.*?{% endcomment %}", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(r"<[^>]*\sstyle\s*=", source)
    assert "<style" not in source
    assert not re.search(r"<[^>]*\son[a-z]+\s*=", source)
    assert "javascript:" not in source
    for script in re.findall(r"<script\b[^>]*>", source):
        assert "src=" in script
    assert not re.search(r"(?:src|href)=\"https?://", source)


def test_vendored_files_are_those_of_the_list() -> None:
    """`static/vendor/README.md` names each file with its sha256."""
    from hashlib import sha256

    vendor = Path(settings.ROOT) / "static" / "vendor"
    rows = dict(re.findall(r"^\| `([^`]+)` \|.*`([0-9a-f]{64})` \|$", (vendor / "README.md").read_text(), re.MULTILINE))
    files = {p.relative_to(vendor).as_posix() for p in vendor.rglob("*") if p.is_file() and p.name != "LICENSE"}
    assert files - {"README.md"} == set(rows)
    for name, digest in rows.items():
        assert sha256((vendor / name).read_bytes()).hexdigest() == digest

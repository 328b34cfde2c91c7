from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from apps.core import metrics
from apps.core.templatetags import kindred


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9123, "91.2 %"),
        (1, "100.0 %"),
        (0, "0.0 %"),
        (None, kindred.NOTHING),
        (float("nan"), kindred.NOTHING),
        ("", kindred.NOTHING),
        ("0.5", "50.0 %"),
    ],
)
def test_percent(value: object, text: str) -> None:
    assert kindred.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.012345, "0.0123"),
        (0.5, "0.500"),
        (12.345, "12.3"),
        (999.9, "1000"),
        (12345, "12,345"),
        (12345.6, "12,346"),
        (0, "0"),
        (3.0, "3"),
        (0.00000123, "1.23e-06"),
        (-0.25, "-0.250"),
        (None, kindred.NOTHING),
    ],
)
def test_figure(value: object, text: str) -> None:
    assert kindred.figure(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (44_781_234, "44.8 MB"), (123_456_789, "123 MB"), (2e12, "2.0 TB")],
)
def test_bytes(value: float, text: str) -> None:
    assert kindred.bytes_(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "250 ms"),
        (3.21, "3.2 s"),
        (59.6, "1 min"),
        (80, "1 min 20 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
        (None, kindred.NOTHING),
        (-1, kindred.NOTHING),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert kindred.duration(seconds) == text


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=1), "yesterday"),
        (timedelta(days=9), "9 days ago"),
    ],
)
def test_ago(age: timedelta, text: str) -> None:
    shown = kindred.ago(timezone.now() - age)
    assert f">{text}</time>" in shown
    assert 'datetime="' in shown


def test_ago_without_a_moment() -> None:
    assert kindred.ago(None) == kindred.NOTHING


def test_every_metric_of_a_report_has_a_label_and_a_definition() -> None:
    names = "cmc@1 cmc@5 cmc@10 precision@5 precision@10 map@5 map@10 map@r r_precision mrr recall@10 map_hits@10"
    for name in [*names.split(), "fnmr@0.01", "pcf@0.9"]:
        assert metrics.definition(name), name
        assert "{" not in metrics.definition(name) + metrics.label(name)
    assert metrics.label("cmc@1") == "CMC@1"
    assert metrics.label("map@r") == "mAP@R"
    assert metrics.label("map_hits@10") == "mAP@10, by hits"
    assert metrics.label("fnmr@0.001") == "FNMR@FMR=0.1 %"
    assert "no more than 0.1 % of the pairs of two labels" in metrics.definition("fnmr@0.001")
    assert "divided by R" in metrics.definition("map@r")


def test_definitions_say_what_is_divided_by_what() -> None:
    words = "Hits among the first 5, divided by 5 or by the number of relevant samples if that is smaller;"
    assert metrics.definition("precision@5").startswith(words)
    for name in ("cmc@1", "precision@1", "recall@1", "map@1"):
        assert "first 1" not in metrics.definition(name), name
        assert "nearest neighbour" in metrics.definition(name), name


@pytest.mark.parametrize(
    ("counts", "column", "words"),
    [
        ({"queries": 193, "queries_without_match": 3}, "190 of 193", "190 of 193 queries"),
        ({"queries": 193, "queries_without_match": 0}, "193", "193 queries"),
        ({"queries": 1193}, "1,193", "1,193 queries"),
        ({"queries": 1}, "1", "1 query"),
        ({}, "0", "0 queries"),
    ],
)
def test_queries_are_counted_alike_everywhere(counts: dict[str, int], column: str, words: str) -> None:
    assert str(metrics.query_counts(counts)) == column
    assert metrics.query_counts(counts).words == words


@pytest.mark.parametrize("name", ["", "cmc", "mrr@5", "my_own@3", "@"])
def test_a_metric_nobody_knows_stays_as_it_is(name: str) -> None:
    assert metrics.label(name) == name
    assert metrics.definition(name) == ""


def render(source: str, **context: Any) -> str:
    return Template(source).render(Context(context))


def test_url_with_keeps_the_other_filters() -> None:
    request = RequestFactory().get("/", {"label": "mug & cup", "page": "3"})
    assert render("{% url_with page=None split='train' %}", request=request) == "?label=mug+%26+cup&amp;split=train"
    assert render("{% url_with page=4 %}", request=request) == "?label=mug+%26+cup&amp;page=4"


def test_sparkline() -> None:
    drawn = render("{% sparkline values %}", values=[1, None, 3, float("nan"), 2])
    assert 'points="0.0,22.0 50.0,2.0 100.0,12.0"' in drawn
    assert render("{% sparkline values %}", values=[1]) == ""
    assert render("{% sparkline values %}", values=None) == ""
    assert 'points="0.0,22.0 100.0,22.0"' in render("{% sparkline values %}", values=[5, 5])


def test_histogram() -> None:
    bins = [{"low": 0.0, "high": 0.5, "count": 10}, {"low": 0.5, "high": 1.0, "count": 5, "count_other": 20}]
    drawn = render("{% histogram bins unit='cosine' threshold=0.5 %}", bins=bins)
    assert drawn.count("<rect") == 3
    assert 'x1="200.0"' in drawn
    assert "NaN" not in drawn
    assert "<rect" not in render("{% histogram bins %}", bins=[])


def test_progress_of_a_job() -> None:
    began = timezone.now() - timedelta(seconds=100)
    job = SimpleNamespace(progress_done=50, progress_total=200, started_at=began, finished_at=None)
    assert kindred.share_done(job) == 0.25
    assert kindred.seconds_left(job) == pytest.approx(300, rel=0.01)
    assert kindred.seconds_taken(job) == pytest.approx(100, rel=0.01)
    job.progress_total = 0
    assert kindred.share_done(job) is None
    assert kindred.seconds_left(job) is None
    job.progress_total, job.progress_done = 10, 11
    assert kindred.share_done(job) == 1.0


def test_thumb_url_of_nothing_is_empty() -> None:
    assert kindred.thumb_url("") == ""
    assert kindred.thumb_url(SimpleNamespace(thumb_url="/a.webp")) == "/a.webp"
